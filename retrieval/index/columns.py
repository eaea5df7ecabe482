"""Sparse vectors column by column: the cosine of a short question with every row, without reading the rows.

A question of seven words has about 28 of the 1,024 components of the weightless embedder, and a passage about a quarter
of them; so one search reads 28 columns of entries instead of every row. The files are written beside the rows they were
made from and mapped when they are read. They are of no use to dense vectors, for which none are written. Knows no ids::

    write_columns(folder, rows)                        # False: too few zeros, nothing was written
    columns = Columns.load(folder, count, dimension)   # None where there are none
    if columns is not None and columns.pays(query):
        scores = columns.scores(query)                 # of each row, in their order
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.embedders import Vectors
from retrieval.index.files import BrokenIndexError

__all__ = ["Columns", "write_columns"]

#: Of rows above this share of entries that are not zero no columns are written: their files would be as large as the
#: rows (eight bytes an entry instead of four).
LARGEST_SHARE = 0.5
#: Rows below which comparing all of them takes 2 ms at most.
FEWEST = 5_000
#: An entry of a column costs about as much as this many numbers of rows that are read from first to last.
ENTRY_COST = 6
#: Rows that are looked through at a time: 16 MB at 1,024 dimensions.
ROWS = 4096
STARTS, PLACES, VALUES = "columns.starts.npy", "columns.places.npy", "columns.values.npy"


def _blocks(rows: Vectors) -> Iterator[tuple[int, Vectors]]:
    for start in range(0, len(rows), ROWS):
        yield start, rows[start : start + ROWS]


def write_columns(folder: Path, rows: Vectors) -> bool:
    """Write the entries of ``rows``, shape (n, dimension), into ``folder``; False where that would not pay."""
    count, dimension = rows.shape
    if count < FEWEST:
        return False
    sizes = np.array([np.count_nonzero(block, axis=0) for _, block in _blocks(rows)], dtype=np.int64)
    total = int(sizes.sum())
    if total > LARGEST_SHARE * count * dimension:
        return False
    starts = np.concatenate([[0], np.cumsum(sizes.sum(axis=0))]).astype(np.int64)
    # Straight into the files, for they may be half as large as the rows.
    places = np.lib.format.open_memmap(folder / PLACES, mode="w+", dtype=np.int32, shape=(total,))
    values = np.lib.format.open_memmap(folder / VALUES, mode="w+", dtype=np.float32, shape=(total,))
    begins = starts[:-1] + np.cumsum(sizes, axis=0) - sizes
    for (start, block), first, size in zip(_blocks(rows), begins, sizes, strict=True):
        turned = np.ascontiguousarray(block.T)
        columns, inside = np.nonzero(turned)
        # Where each entry goes: the next free place of its column.
        target = np.arange(len(columns)) + np.repeat(first - (np.cumsum(size) - size), size)
        places[target], values[target] = inside + start, turned[columns, inside]
    np.save(folder / STARTS, starts)
    places.flush()
    values.flush()
    return True


@dataclass(frozen=True, slots=True)
class Columns:
    """Entries that are not zero: those of column ``i`` are ``starts[i]:starts[i + 1]``."""

    starts: NDArray[np.int64]  #: dimension + 1 numbers.
    places: NDArray[np.int32]  #: Row of each entry, ascending within a column.
    values: Vectors  #: The entry.
    count: int  #: Rows.

    @classmethod
    def load(cls, folder: Path, count: int, dimension: int) -> Columns | None:
        """The columns of ``count`` rows that were written into ``folder``, or None.

        Somebody must have checked the hashes of the files.

        Raises:
            BrokenIndexError: they are of other rows.
        """
        if not (folder / STARTS).exists():
            return None
        try:
            starts = np.load(folder / STARTS, allow_pickle=False)
            places, values = (np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in (PLACES, VALUES))
        except (OSError, ValueError, EOFError) as exc:
            raise BrokenIndexError(f"The columns in {folder} cannot be read: {exc}") from exc
        kinds = [(array.dtype, array.shape) for array in (starts, places, values)]
        total = int(starts[-1]) if starts.ndim == 1 and len(starts) else -1
        if kinds != [(np.int64, (dimension + 1,)), (np.int32, (total,)), (np.float32, (total,))]:
            raise BrokenIndexError(f"The columns in {folder} are of other rows.")
        return cls(starts, places, values, count)

    def pays(self, query: Vectors) -> bool:
        """Whether ``scores`` takes less than reading every row."""
        used = np.flatnonzero(query)
        entries = int((self.starts[used + 1] - self.starts[used]).sum())
        return ENTRY_COST * entries < self.count * len(query)

    def scores(self, query: Vectors) -> Vectors:
        """Inner product with every row, float32; equal rows get equal scores."""
        scores = np.zeros(self.count, dtype=np.float32)
        for column in np.flatnonzero(query).tolist():
            start, end = int(self.starts[column]), int(self.starts[column + 1])
            np.add.at(scores, self.places[start:end], self.values[start:end] * query[column])
        return scores
