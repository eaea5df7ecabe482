"""Rates and their uncertainty: shares of sums over rows, paired differences, bootstrap intervals. Pure arithmetic.

A ``Tally`` is what one row adds to a rate: numerator and denominator. A mean has denominators of 1; a perplexity has
log-likelihoods over tokens and is read through ``exp``. Intervals are percentile bootstrap intervals (Efron 1979) over
rows, from a seed, the same rows drawn for both sides of a difference: what two models make of one row belongs together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Estimate", "Tally", "difference", "estimate"]

#: Drawn samples behind an interval.
RESAMPLES = 1000
#: Of the interval.
LEVEL = 0.95
#: Numbers held at once while drawing; a sample of 10,000 rows takes 80 KB.
_BLOCK = 2_000_000

Numbers = NDArray[np.float64]
Reading = Callable[[Numbers], Numbers]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """What one row adds to a rate."""

    numerator: float
    denominator: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float | None  #: None where nothing was counted.
    low: float | None  #: Lower end; None for fewer than two rows.
    high: float | None  #: Upper end.
    n: int  #: Rows that it rests on.

    def as_dict(self) -> dict[str, float | int | None]:
        """As plain values."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


def _identity(values: Numbers) -> Numbers:
    return values


def _columns(tallies: Sequence[Tally]) -> tuple[Numbers, Numbers]:
    return (
        np.array([one.numerator for one in tallies], dtype=np.float64),
        np.array([one.denominator for one in tallies], dtype=np.float64),
    )


def _drawn(n: int, seed: int) -> list[NDArray[np.int64]]:
    """Rows of every drawn sample, some samples at a time; a function of ``n`` and ``seed``."""
    random = np.random.default_rng(seed)
    at_once = max(1, _BLOCK // n)
    sizes = [min(at_once, RESAMPLES - start) for start in range(0, RESAMPLES, at_once)]
    return [random.integers(0, n, size=(size, n)) for size in sizes]


def _finite(values: Numbers) -> Numbers:
    return values[np.isfinite(values)]


def _interval(values: Numbers) -> tuple[float | None, float | None]:
    values = _finite(values)
    if values.size == 0:
        return None, None
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def _ratio(numerators: Numbers, denominators: Numbers, reading: Reading) -> Numbers:
    """The rate of each drawn sample; one that drew no denominator has none (NaN)."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return reading(numerators / denominators)


def _value(tallies: Sequence[Tally], reading: Reading) -> float | None:
    weight = math.fsum(one.denominator for one in tallies)
    if weight == 0:
        return None
    with np.errstate(over="ignore"):
        found = float(reading(np.array([math.fsum(one.numerator for one in tallies) / weight]))[0])
    return found if math.isfinite(found) else None


def estimate(tallies: Mapping[int, Tally], seed: int, reading: Reading = _identity) -> Estimate:
    """The rate over rows.

    Args:
        tallies: By row; rows that say nothing of it are not there.
        seed: Of the bootstrap.
        reading: Turns the ratio of sums into the figure, elementwise (``numpy.exp`` for a perplexity).
    """
    rows = [tallies[row] for row in sorted(tallies)]
    value = _value(rows, reading) if rows else None
    if value is None or len(rows) < 2:
        return Estimate(value=value, low=None, high=None, n=len(rows))
    top, bottom = _columns(rows)
    found = [_ratio(top[draw].sum(1), bottom[draw].sum(1), reading) for draw in _drawn(len(rows), seed)]
    low, high = _interval(np.concatenate(found))
    return Estimate(value=value, low=low, high=high, n=len(rows))


def difference(
    base: Mapping[int, Tally], tuned: Mapping[int, Tally], seed: int, reading: Reading = _identity
) -> Estimate:
    """``tuned`` minus ``base`` over the rows that both have; arguments as in ``estimate``."""
    common = sorted(base.keys() & tuned.keys())
    before, after = [base[row] for row in common], [tuned[row] for row in common]
    first, second = (_value(side, reading) if side else None for side in (before, after))
    if first is None or second is None:
        return Estimate(value=None, low=None, high=None, n=len(common))
    if len(common) < 2:
        return Estimate(value=second - first, low=None, high=None, n=len(common))
    (top_a, bottom_a), (top_b, bottom_b) = _columns(before), _columns(after)
    found = [
        _ratio(top_b[draw].sum(1), bottom_b[draw].sum(1), reading)
        - _ratio(top_a[draw].sum(1), bottom_a[draw].sum(1), reading)
        for draw in _drawn(len(common), seed)
    ]
    low, high = _interval(np.concatenate(found))
    return Estimate(value=second - first, low=low, high=high, n=len(common))
