"""Encoded rows in little memory, and the count of what encoding came to.

A hundred thousand rows of 250 tokens as Python lists take 1.6 GB; here they are one array of 32-bit tokens and one byte
a token that says whether it is trained. A row is made into lists when it is asked for. Knows no tokenizer and no torch.
"""

from __future__ import annotations

import uuid
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["IGNORED", "LISTED", "Counted", "EncodedRow", "EncodedRows", "EncodingReport"]

#: Label of a token that is not trained.
IGNORED = -100
#: Most line numbers that a report lists of a kind; the counts are whole.
LISTED = 100
#: Tokens of one chunk of the table, at most; no row is nearly as long.
MOST_IN_CHUNK = 2**30


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """One conversation in tokens; both lists have the same length."""

    input_ids: list[int]  #: Tokens.
    labels: list[int]  #: The same where trained, -100 elsewhere.
    truncated: bool = False  #: Whether tokens were cut off at the end.


class Counted(NamedTuple):
    """What one kept row adds to a report."""

    line: int  #: Of its file.
    tokens: int
    trained: int
    longest: int  #: Tokens before cutting.
    cut: int = 0  #: Tokens that stood behind the cut.
    unstopped: int = 0  #: Answers that lost their stop token.
    unknown: int = 0  #: Tokens for letters that the tokenizer cannot spell.


@dataclass(slots=True)
class EncodingReport:
    """What encoding a file came to: rows = kept + dropped, dropped = dropped_cut + dropped_untrained."""

    rows: int = 0  #: Conversations read.
    kept: int = 0  #: Rows with something to train.
    dropped: int = 0  #: Rows without a trained token.
    dropped_cut: int = 0  #: Of these, rows whose answers all stand behind the cut.
    dropped_untrained: int = 0  #: Of these, rows whose answers all have weight 0.
    truncated: int = 0  #: Rows that lost tokens, dropped ones too.
    unstopped: int = 0  #: Kept rows whose last trained answer was cut and ends without its stop token.
    tokens: int = 0  #: Tokens of the kept rows.
    tokens_cut: int = 0  #: Tokens that stood behind the cut, in all rows.
    trained_tokens: int = 0  #: Of ``tokens``, answers' tokens, those with a label; one pass. No billed figure.
    unknown_tokens: int = 0  #: Of ``tokens``, those that stand for letters that the tokenizer cannot spell.
    longest: int = 0  #: Tokens of the longest row before cutting.
    dropped_lines: list[int] = field(default_factory=list)  #: Line numbers of the dropped rows, the first hundred.
    truncated_lines: list[int] = field(default_factory=list)  #: Line numbers of the cut rows, the first hundred.

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def of(cls, rows: Iterable[Counted]) -> EncodingReport:
        """The report of kept rows alone."""
        report = cls()
        for row in rows:
            report.rows += 1
            report.kept += 1
            report.tokens += row.tokens
            report.trained_tokens += row.trained
            report.longest = max(report.longest, row.longest)
            report.truncated += row.cut > 0
            report.tokens_cut += row.cut
            report.unstopped += row.unstopped
            report.unknown_tokens += row.unknown
            if row.cut and len(report.truncated_lines) < LISTED:
                report.truncated_lines.append(row.line)
        return report

    def without(self, rows: Sequence[Counted], rest: Sequence[Counted]) -> EncodingReport:
        """What is left of the report when the kept rows ``rows`` are taken out and ``rest`` stay.

        Dropped rows stay. The longest of them is not known apart: where it may be the file's longest, it is.
        """
        taken, kept = EncodingReport.of(rows), EncodingReport.of(rest)
        lines = {row.line for row in rows}
        left = EncodingReport()
        for each in fields(self):
            mine = getattr(self, each.name)
            if isinstance(mine, list):
                setattr(left, each.name, [line for line in mine if line not in lines])
            else:
                setattr(left, each.name, mine - getattr(taken, each.name))
        left.longest = self.longest if taken.longest < self.longest else kept.longest
        return left


class EncodedRows(Sequence[EncodedRow]):
    """Rows end to end in flat arrays; reads like a list of ``EncodedRow``. Five bytes a token, and 17 a row."""

    def __init__(self) -> None:
        self._ids = array("i")
        self._trained = bytearray()
        self._ends = array("q")
        self._cut = bytearray()
        self._lines = array("q")
        #: (cut, unstopped, unknown) of the few rows that have any.
        self._odd: dict[int, tuple[int, int, int]] = {}

    def append(
        self,
        ids: Sequence[int],
        trained: bytes | bytearray,
        *,
        truncated: bool,
        line: int = 0,
        odd: tuple[int, int, int] = (0, 0, 0),
    ) -> None:
        """One more row.

        Args:
            ids: Its tokens.
            trained: A byte a token, 1 where it is trained.
            truncated: Whether tokens were cut off.
            line: Of its file, or 0.
            odd: How many tokens were cut off, answers without their stop token, and tokens for unknown letters.
        """
        if len(ids) != len(trained):
            raise ValueError("a row needs one mark a token")
        if any(odd):
            self._odd[len(self)] = odd
        self._ids.extend(ids)
        self._trained += trained
        self._ends.append(len(self._ids))
        self._cut.append(truncated)
        self._lines.append(line)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, place: int) -> EncodedRow: ...
    @overload
    def __getitem__(self, place: slice) -> list[EncodedRow]: ...
    def __getitem__(self, place: int | slice) -> EncodedRow | list[EncodedRow]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        number = place + len(self) if place < 0 else place
        if not 0 <= number < len(self):
            raise IndexError(place)
        start, end = self._ends[number - 1] if number else 0, self._ends[number]
        ids = self._ids[start:end].tolist()
        trained = self._trained[start:end]
        labels = [token if mark else IGNORED for token, mark in zip(ids, trained, strict=True)]
        return EncodedRow(ids, labels, truncated=bool(self._cut[number]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EncodedRows) and self._state() == other._state()

    __hash__ = None  # type: ignore[assignment]

    def _state(self) -> tuple[Any, ...]:
        return self._ids, self._trained, self._ends, self._cut

    def line(self, place: int) -> int:
        """Number of the line that row ``place`` was, 0 where that is not known."""
        return self._lines[place]

    def counted(self, place: int) -> Counted:
        """What row ``place`` adds to a report."""
        start, end = self._ends[place - 1] if place else 0, self._ends[place]
        cut, unstopped, unknown = self._odd.get(place, (0, 0, 0))
        trained = self._trained.count(1, start, end)
        return Counted(self._lines[place], end - start, trained, end - start + cut, cut, unstopped, unknown)

    def part(self, places: Iterable[int]) -> EncodedRows:
        """Some of the rows, in the given order."""
        chosen = EncodedRows()
        for place in places:
            start, end = self._ends[place - 1] if place else 0, self._ends[place]
            chosen.append(
                self._ids[start:end],
                self._trained[start:end],
                truncated=bool(self._cut[place]),
                line=self._lines[place],
                odd=self._odd.get(place, (0, 0, 0)),
            )
        return chosen

    def lengths(self) -> list[int]:
        """Tokens of each row."""
        return np.diff(np.frombuffer(self._ends, dtype=np.int64), prepend=0).tolist() if len(self) else []

    def last_trained(self) -> list[int]:
        """The last token of every stretch of trained ones, in order: one a trained answer."""
        trained = np.frombuffer(self._trained, dtype=np.uint8).astype(bool)
        after = np.append(trained[1:], False)
        # A row's last token ends its stretch, whatever the next row begins with.
        after[np.frombuffer(self._ends, dtype=np.int64) - 1] = False
        return [self._ids[place] for place in np.flatnonzero(trained & ~after)]

    @property
    def nbytes(self) -> int:
        """Bytes that the rows take."""
        arrays = (self._ids, self._ends, self._lines)
        return sum(len(a) * a.itemsize for a in arrays) + len(self._trained) + len(self._cut)

    def to_dataset(self) -> Dataset:
        """The rows as ``datasets.Dataset`` with ``input_ids`` and ``labels``, eight bytes a token.

        The table is laid over arrays: of a row as a list nothing is made (``Dataset.from_dict`` took six times the
        memory).
        """
        import pyarrow as pa
        from datasets import Dataset

        # A copy: views would forbid this object to grow as long as the table lives.
        ids = np.array(self._ids, dtype=np.int32)
        labels = np.where(np.frombuffer(self._trained, dtype=np.uint8).astype(bool), ids, np.int32(IGNORED))
        # The library knows lists with offsets of 32 bits; a chunk of a column holds no more tokens than these count.
        columns: dict[str, list[pa.ListArray]] = {"input_ids": [], "labels": []}
        ends = np.concatenate([[0], np.array(self._ends, dtype=np.int64)])
        first = 0
        while first < len(self) or not columns["labels"]:
            last = int(np.searchsorted(ends, ends[first] + MOST_IN_CHUNK, side="right")) - 1
            start, offsets = int(ends[first]), (ends[first : last + 1] - ends[first]).astype(np.int32)
            for name, values in (("input_ids", ids), ("labels", labels)):
                part = pa.array(values[start : int(ends[last])])
                columns[name].append(pa.ListArray.from_arrays(pa.array(offsets), part))
            first = last
        table = pa.table({name: pa.chunked_array(parts) for name, parts in columns.items()})
        # A name for the library's cache, which is not used; by itself it would pickle the whole table for one.
        return Dataset(table, fingerprint=uuid.uuid4().hex)
