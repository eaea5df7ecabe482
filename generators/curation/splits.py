"""Train and test: disjoint by document or group, near-duplicates never across, strata alike, always the same.

Rows that share a group (a document, a conversation, the variants of one question) and rows that a near-duplicate pair
connects move together. Which of these blocks become the test is a function of their names and of the seed alone.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
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
    stratum: str = ""  #: Kind of row (generator, category) of which both sides get their share.


def assign_sides(
    rows: Sequence[SplitRow], fraction: str, *, seed: int = 7, duplicates: Iterable[tuple[int, int]] = ()
) -> list[Side]:
    """The side of each row.

    Args:
        rows: The rows.
        fraction: Share of the test as a decimal from 0 to 0.5; what is reached may be less where blocks are large.
        seed: Another seed gives another test.
        duplicates: Pairs of row numbers that must not be parted.

    Returns:
        One side a row. The same rows in another order get the same sides.
    """
    share = Fraction(fraction)
    if not 0 <= share <= Fraction(1, 2):
        raise ValueError(f"the test's share is from 0 to 0.5, not {fraction}")
    blocks = _blocks(rows, duplicates)
    totals = Counter(row.stratum for row in rows)
    taken: Counter[str] = Counter()
    sides: list[Side] = ["train"] * len(rows)
    for block in sorted(blocks, key=lambda block: _rank(rows, block, seed)):
        adds = Counter(rows[number].stratum for number in block)
        # A block is taken when it brings the strata's shares nearer to what is wanted, all of them together.
        gain = sum(
            (taken[stratum] - share * totals[stratum]) ** 2 - (taken[stratum] + count - share * totals[stratum]) ** 2
            for stratum, count in adds.items()
        )
        if gain > 0:
            taken += adds
            for number in block:
                sides[number] = "test"
    return sides


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
