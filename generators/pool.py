"""What a job has accepted so far, in slot order, and the part of it that a slot may see.

Slots run side by side; slot *n* sees what slots up to *n - W* decided, whatever has been decided since. The view costs
nothing to make: it is a prefix. Must not know how a sample was judged.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import overload

from corpora.records import Sample

__all__ = ["Pool", "View"]


class _Prefix(Sequence[Sample]):
    """The first ``length`` entries of a list that only grows, without a copy."""

    def __init__(self, samples: list[Sample], length: int) -> None:
        self._samples = samples
        self._length = length

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return [self._samples[position] for position in range(*index.indices(self._length))]
        if not -self._length <= index < self._length:
            raise IndexError(index)
        return self._samples[index % self._length]


class Pool:
    """Accepted samples; only ever grows, slots in order."""

    def __init__(self) -> None:
        self._samples: list[Sample] = []
        self._slots: list[int] = []

    def __len__(self) -> int:
        return len(self._samples)

    def add(self, sample: Sample) -> None:
        """Take in the next accepted sample."""
        self._samples.append(sample)
        self._slots.append(sample.candidate.provenance.slot)

    def until(self, slot: int) -> View:
        """What slots up to ``slot``, itself included, have given."""
        return View(_Prefix(self._samples, bisect_right(self._slots, slot)))


class View:
    """The pool as one slot may see it; stays the same while the pool grows."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples

    def accepted(self) -> Sequence[Sample]:
        """Accepted samples in slot order."""
        return self._samples
