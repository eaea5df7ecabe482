"""Counting in bounded memory: keys up to a cap, whole numbers with exact percentiles, an even sample of a stream.

Each says what it left out: a report may be coarse, never silently so. Pure; knows nothing of samples or Korean.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Generic, TypeVar

__all__ = ["EvenSample", "Spread", "Tally"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Tally(Generic[K]):
    """Counts by key. When there are more than ``cap`` keys the rarer half is dropped and its rows are ``pruned``.

    ``total`` is always exact. A key's count is exact while ``pruned`` is 0, and afterwards at most ``pruned`` too low.
    """

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.counts: Counter[K] = Counter()
        self.pruned = 0

    def __contains__(self, key: K) -> bool:
        return key in self.counts

    def add(self, key: K) -> None:
        """Count ``key`` once."""
        self.counts[key] += 1
        if len(self.counts) > self.cap:
            kept = Counter(dict(self.ranked()[: max(1, self.cap // 2)]))
            self.pruned += self.counts.total() - kept.total()
            self.counts = kept

    @property
    def total(self) -> int:
        """How often ``add`` was called."""
        return self.counts.total() + self.pruned

    def ranked(self) -> list[tuple[K, int]]:
        """Keys with their counts, most frequent first, by name on ties."""
        return sorted(self.counts.items(), key=lambda entry: (-entry[1], str(entry[0])))


class Spread:
    """The distribution of whole numbers from 0: fixed bins, percentiles, mean.

    Percentiles are exact (nearest rank: the least value that p % of the values do not exceed) up to ``ceiling``; larger
    values count as ``ceiling``, and how many there were is told. Mean, least and largest value are always exact.
    """

    def __init__(self, edges: Sequence[int], *, ceiling: int, scale: int = 1) -> None:
        """Bins run from each edge to just below the next, the last one upward without end.

        Args:
            edges: Lower edges of the bins, ascending from 0.
            ceiling: Largest value that is told apart.
            scale: What every value is divided by when shown (1000 for shares counted in thousandths).
        """
        self.edges = tuple(edges)
        self.ceiling = ceiling
        self.scale = scale
        self.above = 0
        self._counts: Counter[int] = Counter()
        self._sum = 0
        self._least: int | None = None
        self._largest: int | None = None

    def add(self, value: int) -> None:
        """Count one value."""
        self._counts[min(value, self.ceiling)] += 1
        self._sum += value
        self.above += value > self.ceiling
        self._least = value if self._least is None else min(self._least, value)
        self._largest = value if self._largest is None else max(self._largest, value)

    @property
    def total(self) -> int:
        """Values counted."""
        return self._counts.total()

    def percentile(self, percent: int) -> int | None:
        """The nearest-rank percentile in counted units, None while nothing was counted."""
        rank, seen = -(-percent * self.total // 100), 0
        for value, count in sorted(self._counts.items()):
            seen += count
            if seen >= rank:
                return value
        return None

    def to_json(self) -> dict[str, Any]:
        """Plain values: ``n``, ``mean``, ``min``, ``p1``, ``p50``, ``p99``, ``max``, ``above_ceiling``, ``bins``."""
        bins = [0] * len(self.edges)
        for value, count in self._counts.items():
            bins[bisect_right(self.edges, value) - 1] += count
        uppers = (*self.edges[1:], None)
        return {
            "n": self.total,
            "mean": round(self._sum / self.scale / self.total, 4) if self.total else None,
            "min": self._shown(self._least),
            **{f"p{percent}": self._shown(self.percentile(percent)) for percent in (1, 50, 99)},
            "max": self._shown(self._largest),
            "ceiling": self._shown(self.ceiling),
            "above_ceiling": self.above,
            "bins": [
                {"from": self._shown(low), "to": self._shown(high), "count": count}
                for low, high, count in zip(self.edges, uppers, bins, strict=True)
            ],
        }

    def _shown(self, value: int | None) -> float | int | None:
        return value if value is None or self.scale == 1 else value / self.scale


class EvenSample(Generic[V]):
    """At most ``rows`` of a stream's rows and at most ``weight`` of their weights, each row as likely as any other.

    Which rows are kept depends on their position alone (a hash of it), so the same stream gives the same sample. While
    both fit, all rows are kept; whenever one does not, the kept share is halved. One row is kept whatever it weighs.
    """

    def __init__(self, *, rows: int, weight: int) -> None:
        self.rows = rows
        self.weight = weight
        self.seen = 0
        self._limit = 1 << 64
        self._kept: dict[int, tuple[int, V]] = {}
        self._weight = 0

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[V]:
        return (value for _, value in self._kept.values())

    def ticket(self) -> int | None:
        """What ``keep`` must be given for the stream's next row, None where it need not be measured."""
        digest = hashlib.blake2b(str(self.seen).encode(), digest_size=8).digest()
        self.seen += 1
        place = int.from_bytes(digest, "big")
        return place if place < self._limit else None

    def keep(self, ticket: int, value: V, weight: int) -> None:
        """Keep the row that ``ticket`` was given for."""
        self._kept[ticket] = (weight, value)
        self._weight += weight
        while len(self._kept) > self.rows or (self._weight > self.weight and len(self._kept) > 1):
            self._limit >>= 1
            for place in [place for place in self._kept if place >= self._limit]:
                self._weight -= self._kept.pop(place)[0]
