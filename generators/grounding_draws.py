"""Choices of a slot that look random and are not: every one is a function of the slot's seed and of what it is for.

By hash instead of ``random``: the same in every Python version, and one choice more moves no other. Knows no slots.

Use::

    kind = weighted(plan.seed, "type:0", {"definition": 2, "procedure": 3})
    order = shuffled(plan.seed, "context", chunks, key=lambda chunk: chunk.id)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TypeVar

__all__ = ["between", "shuffled", "weighted"]

ChoiceT = TypeVar("ChoiceT")
_RANGE = 2**64


def _digest(seed: int, salt: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{salt}".encode()).digest()[:8], "big")


def between(seed: int, salt: str, low: int, high: int) -> int:
    """A whole number from ``low`` to ``high``, both included."""
    return low + _digest(seed, salt) % (high - low + 1)


def weighted(seed: int, salt: str, weights: Mapping[ChoiceT, int | Fraction]) -> ChoiceT:
    """One of the keys, by weight, in the mapping's order; weights are exact.

    Raises:
        ValueError: no weight is above zero.
    """
    total = sum((Fraction(weight) for weight in weights.values()), Fraction(0))
    if total <= 0:
        raise ValueError("no weight is above zero")
    mark = Fraction(_digest(seed, salt), _RANGE) * total
    chosen = None
    for key, weight in weights.items():
        if weight <= 0:
            continue
        chosen = key
        mark -= weight
        if mark < 0:
            break
    assert chosen is not None
    return chosen


def shuffled(seed: int, salt: str, members: Sequence[ChoiceT], key: Callable[[ChoiceT], str] = str) -> list[ChoiceT]:
    """``members`` in an order that depends on their keys and the seed, not on the order they come in."""
    return sorted(members, key=lambda member: _digest(seed, f"{salt}:{key(member)}"))
