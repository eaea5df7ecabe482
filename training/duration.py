"""How long a run will take, as a range with the way it was reckoned. Pure arithmetic: no torch, no files.

Two ways: a card that is in the table of peaks (``training.estimate``) at the utilisation that published runs reach, or
any other machine, a CPU above all, by a speed that was measured on it a moment ago (``training.speed``)::

    work = Work(tokens=50_000, micro_batches=100, evaluated=2_000)
    by_speed(needed, shape, work, speed, checkpointing=False)

The lower end is an idle machine and little besides the matrices; the upper end one as busy as when it was measured.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from training.estimate import Estimate, ModelShape

__all__ = ["Duration", "Speed", "Work", "by_card", "by_speed", "in_words"]

#: Shares of a card's peak that published LoRA runs reach.
CARD_LOW, CARD_HIGH = 0.45, 0.2
#: Tiny operations of a layer with its adapter, forward and backward. Measured on two cores of a busy machine by CPU
#: time: 11,600 (2 layers, hidden size 64) and 10,900 (malmoi-demo: 4 layers, 192).
LAYER_OPERATIONS = 11_000
#: How far the parts are trusted: times the operations, and times the matrices of a backward pass at the upper end.
OPERATIONS_LOW, OPERATIONS_HIGH, MATRICES_HIGH = 0.5, 1.5, 2.0
#: Passes over a token's weights that ``Estimate.flops_per_token`` counts: forward, recomputed forward, backward.
PASSES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """What a machine does, measured (``training.speed``)."""

    flops: float  #: Operations a second in products of bfloat16 matrices.
    unpacked_per_second: float  #: NF4 weights turned into bfloat16.
    operation_seconds: float  #: Of a tiny operation, which is all overhead.
    busy: float = 1.0  #: Seconds that pass for a second of computing: above 1 where others compute too.


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What one process is to do."""

    tokens: int  #: Trained on, padding left out.
    micro_batches: int
    evaluated: int = 0  #: Tokens that only go forward.


@dataclass(frozen=True, kw_only=True, slots=True)
class Duration:
    """A range, in seconds."""

    low: float
    high: float
    how: str  #: ``card`` or ``measured``.

    @property
    def middle(self) -> float:
        """One figure for the range: as many times the lower end as the upper end is times it."""
        return math.sqrt(self.low * self.high)

    def share(self, of: float) -> Duration:
        """The range of a part of the run."""
        return Duration(low=self.low * of, high=self.high * of, how=self.how)

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def by_card(needed: Estimate, work: Work, flops: float) -> Duration:
    """The range on a card of ``flops`` operations a second at its peak."""
    operations = needed.flops_per_token * (work.tokens + work.evaluated / PASSES)
    return Duration(low=operations / (flops * CARD_LOW), high=operations / (flops * CARD_HIGH), how="card")


def by_speed(needed: Estimate, shape: ModelShape, work: Work, speed: Speed, *, checkpointing: bool) -> Duration:
    """The range on a machine whose speed was measured.

    Args:
        needed: Work a token, which counts a recomputed forward pass.
        shape: Of the base.
        work: Of one process.
        speed: Of its device.
        checkpointing: Whether the forward pass is really computed again.
    """
    passes = PASSES if checkpointing else PASSES - 1
    forward = needed.flops_per_token / PASSES / speed.flops
    matrices = forward * (passes * work.tokens + work.evaluated)
    # Each pass unpacks every quantised weight once, whatever the number of tokens.
    unpacking = passes * work.micro_batches * shape.linear_parameters / speed.unpacked_per_second
    operations = LAYER_OPERATIONS * shape.layers * work.micro_batches * speed.operation_seconds
    if work.tokens:
        # What only goes forward is fed in batches of about the same size.
        unpacking *= 1 + work.evaluated / passes / work.tokens
        operations *= 1 + work.evaluated / PASSES / work.tokens
    return Duration(
        low=matrices + unpacking + OPERATIONS_LOW * operations,
        high=speed.busy * (MATRICES_HIGH * matrices + unpacking + OPERATIONS_HIGH * operations),
        how="measured",
    )


def in_words(seconds: float) -> str:
    """A time in Korean, rounded to what an estimate can say."""
    for size, word in ((3600.0, "시간"), (60.0, "분")):
        if seconds >= size:
            return f"{seconds / size:.1f}{word}"
    return f"{seconds:.0f}초" if seconds >= 10 else f"{seconds:.1f}초"
