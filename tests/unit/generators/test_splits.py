"""Sides: whole groups, no near-duplicates across, strata alike, the same for any order of rows."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generators.curation.splits import Side, SplitRow, assign_sides

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


def test_small_strata_fill_the_test_together() -> None:
    """Each of 100 strata is owed 0.4 rows, or 0.6: none of them, or all of them, would be wrong."""
    for size in (4, 6):
        rows = [SplitRow(key=f"s{stratum}-{n}", stratum=str(stratum)) for stratum in range(100) for n in range(size)]
        sides = assign_sides(rows, "0.1")
        assert sides.count("test") == 10 * size
        taken = [row.stratum for row, side in zip(rows, sides, strict=True) if side == "test"]
        assert len(set(taken)) == len(taken)


@given(ROWS, st.lists(st.sampled_from(["train", "test", None]), min_size=60, max_size=60))
def test_rows_with_a_side_keep_it_and_their_block_follows(
    shapes: list[tuple[int | None, str]], given_sides: list[Side | None]
) -> None:
    rows = [replace(row, side=side) for row, side in zip(rows_of(shapes), given_sides, strict=False)]
    sides = assign_sides(rows, "0.5")
    assert all(row.side in (None, side) for row, side in zip(rows, sides, strict=True))
    for group in {row.group for row in rows} - {None}:
        block = [(row, side) for row, side in zip(rows, sides, strict=True) if row.group == group]
        fixed = {row.side for row, _ in block} - {None}
        if len(fixed) < 2:
            assert len({side for _, side in block}) == 1


def test_rows_with_a_side_do_not_count_for_the_others_share() -> None:
    rows = [SplitRow(key=f"t{n}", side="test") for n in range(50)] + [SplitRow(key=f"s{n}") for n in range(100)]
    assert assign_sides(rows, "0.1")[50:].count("test") == 10
