"""Encoded rows in little memory, and the count of what encoding came to.

A hundred thousand rows of 250 tokens as Python lists take 1.6 GB; here they are one array of 32-bit tokens and one byte
a token that says whether it is trained. A row is made into lists when it is asked for. Knows no tokenizer and no torch.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, overload

import numpy as np

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["IGNORED", "LISTED", "EncodedRow", "EncodedRows", "EncodingReport"]

#: Label of a token that is not trained.
IGNORED = -100
#: Most line numbers that a report lists of a kind; the counts are whole.
LISTED = 100


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """One conversation in tokens; both lists have the same length."""

    input_ids: list[int]  #: Tokens.
    labels: list[int]  #: The same where trained, -100 elsewhere.
    truncated: bool = False  #: Whether tokens were cut off at the end.


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


class EncodedRows(Sequence[EncodedRow]):
    """Rows end to end in flat arrays; reads like a list of ``EncodedRow``. Five bytes a token, and 17 a row."""

    def __init__(self) -> None:
        self._ids = array("i")
        self._trained = bytearray()
        self._ends = array("q")
        self._cut = bytearray()
        self._lines = array("q")

    def append(self, ids: Sequence[int], trained: bytes | bytearray, *, truncated: bool, line: int = 0) -> None:
        """One more row; ``trained`` has a byte a token, 1 where it is trained; ``line`` is its line, or 0."""
        if len(ids) != len(trained):
            raise ValueError("a row needs one mark a token")
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
        """The rows as ``datasets.Dataset`` with ``input_ids`` and ``labels``, without a Python list in between."""
        from datasets import Dataset, Features, List, Value

        ids = np.frombuffer(self._ids, dtype=np.int32) if self._ids else np.empty(0, dtype=np.int32)
        labels = np.where(np.frombuffer(self._trained, dtype=np.uint8).astype(bool), ids, np.int32(IGNORED))
        cuts = np.array(self._ends[:-1], dtype=np.int64)
        columns = {"input_ids": np.split(ids, cuts), "labels": np.split(labels, cuts)}
        if len(self):
            # Without features the library takes the arrays as they are: a third of the time.
            return Dataset.from_dict(columns)
        features = Features({"input_ids": List(Value("int32")), "labels": List(Value("int32"))})
        return Dataset.from_dict({"input_ids": [], "labels": []}, features=features)
