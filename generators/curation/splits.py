"""Train and test: disjoint by document or group, near-duplicates never across, strata alike, always the same.

Rows that share a group (a document, a conversation, the variants of one question) and rows that a near-duplicate pair
connects move together. Which of these blocks become the test is a function of their names and of the seed alone. A row
may come with a side of its own (a dataset's published test): it keeps it, and rows without one that share its block
follow it.

Strata may be many and small: each first gets the whole part of its share, then what is missing of the test in all is
filled up, a stratum never getting more than its share rounded up by that.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

__all__ = ["Side", "SplitRow", "assign_sides"]

Side = Literal["train", "test"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitRow:
    """What of a row matters to its side."""

    key: str  #: The row's own stable name.
    group: str | None = None  #: Document or group that must not be torn; None where the row stands alone.
    stratum: str = ""  #: Kind of row (file, generator, length) of which both sides get their share.
    side: Side | None = None  #: The side that it has already; None where it is free.


def assign_sides(
    rows: Sequence[SplitRow], fraction: str, *, seed: int = 7, duplicates: Iterable[tuple[int, int]] = ()
) -> list[Side]:
    """The side of each row.

    Args:
        rows: The rows; those with a side keep it, whatever they are connected with.
        fraction: Share of the test among blocks without any side, as a decimal from 0 to 0.5; what is reached may be
            less where blocks are large.
        seed: Another seed gives another test.
        duplicates: Pairs of row numbers that must not be parted.

    Returns:
        One side a row. The same rows in another order get the same sides.
    """
    share = Fraction(fraction)
    if not 0 <= share <= Fraction(1, 2):
        raise ValueError(f"the test's share is from 0 to 0.5, not {fraction}")
    sides: list[Side] = [row.side or "train" for row in rows]
    free: list[list[int]] = []
    for block in _blocks(rows, duplicates):
        given = {side for number in block if (side := rows[number].side) is not None}
        if not given:
            free.append(block)
        elif given == {"test"}:
            for number in block:
                sides[number] = "test"
    free.sort(key=lambda block: _rank(rows, block, seed))
    for block in _chosen(rows, free, share):
        for number in block:
            sides[number] = "test"
    return sides


def _chosen(rows: Sequence[SplitRow], blocks: Sequence[list[int]], share: Fraction) -> list[list[int]]:
    """The blocks that become the test, out of those that are free, in the order given."""
    strata = [Counter(rows[number].stratum for number in block) for block in blocks]
    totals: Counter[str] = Counter(rows[number].stratum for block in blocks for number in block)
    taken: Counter[str] = Counter()
    whole = {stratum: math.floor(share * count) for stratum, count in totals.items()}
    chosen, left = [], []
    for block, adds in zip(blocks, strata, strict=True):
        # A block is taken when it brings the strata's shares nearer to what is wanted, all of them together.
        if _gain(taken, adds, whole) > 0:
            taken.update(adds)
            chosen.append(block)
        else:
            left.append((block, adds))
    most = {stratum: math.ceil(share * count) for stratum, count in totals.items()}
    wanted, reached = {"": share * totals.total()}, taken.total()
    for block, adds in left:
        fits = all(taken[stratum] + count <= most[stratum] for stratum, count in adds.items())
        if fits and _gain({"": reached}, {"": len(block)}, wanted) > 0:
            taken.update(adds)
            reached += len(block)
            chosen.append(block)
    return chosen


def _gain(taken: Mapping[str, int], adds: Mapping[str, int], wanted: Mapping[str, Fraction | int]) -> Fraction:
    """By how much the squared distances from ``wanted`` shrink when ``adds`` are taken."""
    return Fraction(
        sum(
            (taken.get(stratum, 0) - wanted[stratum]) ** 2 - (taken.get(stratum, 0) + count - wanted[stratum]) ** 2
            for stratum, count in adds.items()
        )
    )


def _rank(rows: Sequence[SplitRow], block: Sequence[int], seed: int) -> bytes:
    name = min(rows[number].group or rows[number].key for number in block)
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()


def _blocks(rows: Sequence[SplitRow], duplicates: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Row numbers that move together."""
    parent = list(range(len(rows)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    first_of: dict[str, int] = {}
    for number, row in enumerate(rows):
        if row.group is not None:
            parent[root(number)] = root(first_of.setdefault(row.group, number))
    for first, second in duplicates:
        parent[root(first)] = root(second)
    blocks: dict[int, list[int]] = {}
    for number in range(len(rows)):
        blocks.setdefault(root(number), []).append(number)
    return list(blocks.values())
