"""Sides: whole groups, no near-duplicates across, strata alike, the same for any order of rows."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generators.curation.splits import SplitRow, assign_sides

ROWS = st.lists(
    st.tuples(st.none() | st.integers(0, 12), st.sampled_from(["rag_qa", "extractive_qa", "self_instruct"])),
    min_size=1,
    max_size=60,
)


def rows_of(shapes: list[tuple[int | None, str]]) -> list[SplitRow]:
    return [
        SplitRow(key=f"sample_{n}", group=None if group is None else f"doc_{group}", stratum=stratum)
        for n, (group, stratum) in enumerate(shapes)
    ]


@given(ROWS, st.lists(st.tuples(st.integers(0, 59), st.integers(0, 59)), max_size=20), st.integers(0, 50))
def test_blocks_are_never_torn(
    shapes: list[tuple[int | None, str]], pairs: list[tuple[int, int]], hundredths: int
) -> None:
    rows = rows_of(shapes)
    duplicates = [(a, b) for a, b in pairs if a < len(rows) and b < len(rows)]
    sides = assign_sides(rows, str(Fraction(hundredths, 100)), duplicates=duplicates)
    by_group: dict[str, set[str]] = {}
    for row, side in zip(rows, sides, strict=True):
        if row.group is not None:
            by_group.setdefault(row.group, set()).add(side)
    assert all(len(found) == 1 for found in by_group.values())
    assert all(sides[a] == sides[b] for a, b in duplicates)
    if hundredths == 0:
        assert set(sides) == {"train"}


@given(ROWS, st.integers(0, 1000))
def test_order_of_rows_changes_nothing(shapes: list[tuple[int | None, str]], shuffle: int) -> None:
    rows = rows_of(shapes)
    expected = dict(zip([row.key for row in rows], assign_sides(rows, "0.3"), strict=True))
    mixed = rows.copy()
    random.Random(shuffle).shuffle(mixed)
    assert dict(zip([row.key for row in mixed], assign_sides(mixed, "0.3"), strict=True)) == expected


def test_every_stratum_gives_its_share() -> None:
    rows = [SplitRow(key=f"s{n}", stratum="wms" if n < 900 else "general") for n in range(1000)]
    sides = assign_sides(rows, "0.1")
    assert sum(side == "test" for side in sides[:900]) == 90
    assert sum(side == "test" for side in sides[900:]) == 10


def test_another_seed_is_another_test() -> None:
    rows = [SplitRow(key=f"s{n}") for n in range(200)]
    assert assign_sides(rows, "0.2", seed=1) != assign_sides(rows, "0.2", seed=2)
    assert assign_sides(rows, "0.2", seed=1) == assign_sides(rows, "0.2", seed=1)


def test_one_block_larger_than_the_test_stays_in_training() -> None:
    rows = [SplitRow(key=f"s{n}", group="doc_1") for n in range(50)]
    assert set(assign_sides(rows, "0.1")) == {"train"}


@pytest.mark.parametrize("share", ["-0.1", "0.6"])
def test_a_share_out_of_range_is_refused(share: str) -> None:
    with pytest.raises(ValueError, match="from 0 to"):
        assign_sides([], share)
