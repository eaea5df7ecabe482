"""Inverted lists in numpy: for each term the rows that hold it and how often, in segments that are merged.

A term is a 64-bit number; what it stands for the lists do not know. ``Postings`` never changes: ``added`` and
``without`` give new ones, so that a search goes on undisturbed with those it began with. Knows no text and no ids::

    postings = Postings().added(segment(terms, rows))
    for rows, counts in postings.of(term): ...
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Postings", "Segment", "segment"]

Terms = NDArray[np.uint64]
Rows = NDArray[np.int32]
Counts = NDArray[np.uint16]
_MOST = int(np.iinfo(np.uint16).max)


@dataclass(frozen=True, slots=True)
class Segment:
    """Inverted lists of neighbouring rows: those of ``keys[i]`` are ``rows[starts[i]:starts[i + 1]]``."""

    keys: Terms  #: Ascending, each once.
    starts: NDArray[np.int64]  #: len(keys) + 1 numbers from 0 to len(rows).
    rows: Rows  #: Ascending within a term.
    counts: Counts  #: How often the term stands in the row; 65,535 stands for more too.

    def span(self, term: int) -> tuple[int, int]:
        """First and behind last posting of ``term``; equal where it has none."""
        place = int(np.searchsorted(self.keys, np.uint64(term)))
        if place == len(self.keys) or int(self.keys[place]) != term:
            return 0, 0
        return int(self.starts[place]), int(self.starts[place + 1])

    def is_sound(self, rows: int) -> bool:
        """Whether this can be the lists of ``rows`` rows: a file may say anything."""
        arrays: tuple[NDArray[np.generic], ...] = (self.keys, self.starts, self.rows, self.counts)
        kinds = zip(arrays, ("uint64", "int64", "int32", "uint16"), strict=True)
        if not all(array.ndim == 1 and array.dtype == np.dtype(kind) for array, kind in kinds):
            return False
        if len(self.starts) != len(self.keys) + 1 or len(self.rows) != len(self.counts):
            return False
        return bool(
            self.starts[0] == 0
            and self.starts[-1] == len(self.rows)
            and np.all(self.starts[1:] > self.starts[:-1])
            and np.all(self.keys[1:] > self.keys[:-1])
            and (not len(self.rows) or (self.rows.min() >= 0 and self.rows.max() < rows))
        )


def segment(terms: Terms, rows: Rows) -> Segment:
    """The lists of ``rows[i]`` holding ``terms[i]`` once for each i; rows ascend."""
    # Stable, so that rows go on ascending within a term.
    order = np.argsort(terms, kind="stable")
    terms, rows = terms[order], rows[order]
    first = np.ones(len(terms), dtype=bool)
    first[1:] = (terms[1:] != terms[:-1]) | (rows[1:] != rows[:-1])
    places = np.flatnonzero(first)
    counts = np.minimum(np.diff(places, append=len(terms)), _MOST).astype(np.uint16)
    return _grouped(terms[places], rows[places], counts)


def _grouped(terms: Terms, rows: Rows, counts: Counts) -> Segment:
    keys, starts = np.unique(terms, return_index=True)
    return Segment(keys, np.append(starts, len(terms)).astype(np.int64), rows, counts)


def _merged(left: Segment, right: Segment) -> Segment:
    """Both; every row of ``left`` is smaller than every row of ``right``."""
    keys = np.union1d(left.keys, right.keys)
    sizes = np.zeros((len(keys), 2), dtype=np.int64)
    sizes[np.searchsorted(keys, left.keys), 0] = np.diff(left.starts)
    sizes[np.searchsorted(keys, right.keys), 1] = np.diff(right.starts)
    # One byte a posting says which side it comes from: offsets would take eight.
    from_right = np.repeat(np.tile([False, True], len(keys)), sizes.ravel())
    rows = np.empty(len(from_right), dtype=np.int32)
    counts = np.empty(len(from_right), dtype=np.uint16)
    rows[from_right], counts[from_right] = right.rows, right.counts
    np.logical_not(from_right, out=from_right)
    rows[from_right], counts[from_right] = left.rows, left.counts
    return Segment(keys, np.concatenate([[0], np.cumsum(sizes.sum(axis=1))]), rows, counts)


def _renumbered(old: Segment, alive: NDArray[np.bool_]) -> Segment:
    """The postings of living rows, which are numbered anew in their order."""
    keep = alive[old.rows]
    numbers = (np.cumsum(alive) - 1).astype(np.int32)
    kept = np.add.reduceat(keep, old.starts[:-1], dtype=np.int64) if len(old.keys) else np.zeros(0, dtype=np.int64)
    sizes = kept[kept > 0]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return Segment(old.keys[kept > 0], starts, numbers[old.rows[keep]], old.counts[keep])


@dataclass(frozen=True, slots=True)
class Postings:
    """Segments of ascending rows. A new one is merged into the one before it unless that is twice as large.

    So n additions of one size copy each posting about log2(n) times, and a search looks at about log2(n) segments.
    """

    segments: tuple[Segment, ...] = ()

    def added(self, new: Segment) -> Postings:
        """With one more segment, whose rows are greater than all before."""
        segments = [*self.segments, new] if len(new.rows) else list(self.segments)
        while len(segments) > 1 and len(segments[-2].rows) < 2 * len(segments[-1].rows):
            segments[-2:] = [_merged(segments[-2], segments[-1])]
        return Postings(tuple(segments))

    def joined(self) -> Segment:
        """All in one segment."""
        segments = list(self.segments) or [segment(np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int32))]
        while len(segments) > 1:
            segments[-2:] = [_merged(segments[-2], segments[-1])]
        return segments[0]

    def without(self, alive: NDArray[np.bool_]) -> Postings:
        """Without the dead rows; the living ones are numbered anew."""
        return Postings(tuple(_renumbered(segment, alive) for segment in self.segments))

    def of(self, term: int) -> Iterator[tuple[Rows, Counts]]:
        """(rows, counts) of this term, a segment after the other; rows are distinct and ascend."""
        for part in self.segments:
            start, end = part.span(term)
            if start < end:
                yield part.rows[start:end], part.counts[start:end]

    @property
    def nbytes(self) -> int:
        """Memory of the lists in bytes."""
        return sum(s.keys.nbytes + s.starts.nbytes + s.rows.nbytes + s.counts.nbytes for s in self.segments)
