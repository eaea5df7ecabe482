"""The index finds what comparing all pairs finds, in bulk and online, whatever its inner limits are."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval import overlap_index
from retrieval.near_duplicates import LexicalDuplicates, Tokenized
from retrieval.overlap_index import OverlapIndex

TOKENS = st.lists(st.sampled_from(["입고", "출고", "재고", "반품", "피킹", "검수", "않", "로트"]), max_size=10).map(
    tuple
)
THRESHOLDS = st.sampled_from(["0.05", "0.3", "0.5", "0.6", "0.7", "0.75", "0.9", "1.0"])


def common(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    """Length of the longest common subsequence, by the textbook's table."""
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, token in enumerate(first):
        for j, other in enumerate(second):
            table[i + 1][j + 1] = table[i][j] + 1 if token == other else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(TOKENS, max_size=30),
    threshold=THRESHOLDS,
    strict=st.booleans(),
    light=st.integers(1, 6),
    many=st.integers(0, 12),
    code_points=st.sampled_from([2, 5, 0x110000]),
)
def test_all_rows_above_are_found(
    rows: list[tuple[str, ...]], threshold: str, strict: bool, light: int, many: int, code_points: int
) -> None:
    """Every row against all before it, all of them kept; also once tokens outnumber the code points."""
    exact, index = Fraction(threshold), OverlapIndex(Fraction(threshold), strict)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap_index, "LIGHT", light)
        patch.setattr(overlap_index, "MANY", many)
        patch.setattr(overlap_index, "_CODE_POINTS", code_points)
        for number, row in enumerate(rows):
            expected = []
            for earlier, other in enumerate(rows[:number]):
                shared = common(row, other)
                above = shared and Fraction(2 * shared, len(row) + len(other)) - exact
                if above > 0 or (above == 0 and shared and not strict):
                    expected.append((earlier, shared))
            encoded = index.encode(row)
            assert list(index.above(encoded)) == expected
            assert index.add(encoded) == number
    assert len(index) == len(rows)


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(TOKENS, max_size=30), threshold=THRESHOLDS)
def test_bulk_and_online_decide_the_same(rows: list[tuple[str, ...]], threshold: str) -> None:
    online, bulk = (LexicalDuplicates(threshold, "whitespace", guards=()) for _ in range(2))
    given_rows = [(str(number), Tokenized(" ".join(row), row)) for number, row in enumerate(rows)]
    hits = []
    for key, row in given_rows:
        hits.append(online.find_tokens(row))
        if hits[-1] is None:
            online.add_tokens(key, row)
    assert list(bulk.join(given_rows)) == hits
    assert len(bulk) == len(online)


def test_bulk_goes_on_online() -> None:
    """One index: what ``join`` kept is found by ``find``, and the other way round."""
    index = LexicalDuplicates("0.7", "whitespace", guards=())
    index.add("먼저", "입고 예정 등록 화면")
    hits = list(
        index.join(
            [
                ("가", Tokenized("입고 예정 등록 화면", ("입고", "예정", "등록", "화면"))),
                ("나", Tokenized("랙", ("랙",))),
            ]
        )
    )
    assert [hit.key if hit else None for hit in hits] == ["먼저", None]
    found = index.find("랙")
    assert found is not None
    assert found.key == "나"


def test_more_tokens_than_code_points_below_the_surrogates() -> None:
    """Surrogates are no characters that can be compared; rows on both sides of them still are."""
    index = OverlapIndex(Fraction("0.7"))
    index.encode([f"품목{number}" for number in range(0xD7FE)])
    first = index.encode(("상온", "냉장", "냉동", "위험물"))
    index.add(first)
    assert isinstance(first.body, str)
    assert not any(0xD800 <= ord(character) < 0xE000 for character in first.body)
    assert list(index.above(index.encode(("상온", "냉장", "냉동", "실온")))) == [(0, 3)]
    assert list(index.above(index.encode(("상온", "냉장", "반품", "실온")))) == []


@pytest.mark.parametrize(
    ("threshold", "m", "n", "least"),
    [
        ("0.7", 10, 10, 8),  # 7 of 10 is the threshold itself
        ("0.7", 7, 13, 8),
        ("0.7", 10, 9, 7),
        ("0.5", 4, 4, 3),
        ("1.0", 3, 3, 4),  # nothing is above 1
        ("0.05", 1, 1, 1),
    ],
)
def test_tokens_that_must_be_shared(threshold: str, m: int, n: int, least: int) -> None:
    assert OverlapIndex(Fraction(threshold)).least(m, n) == least


@pytest.mark.parametrize("threshold", ["0.1", "0.2", "0.3", "0.4", "0.6", "0.7", "0.8"])
def test_ties_are_found_among_many_candidates(threshold: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison of many at once works in floats; it may let too much through, never too little."""
    monkeypatch.setattr(overlap_index, "MANY", 0)
    exact = Fraction(threshold)
    for length in range(10, 60, 10):
        shared = int(exact * length)
        index = OverlapIndex(exact, strict=False)
        index.add(index.encode(["재고"] * length))
        new = index.encode(["재고"] * shared + [f"품목{number}" for number in range(length - shared)])
        assert list(index.above(new)) == [(0, shared)]


def test_without_strictness_the_threshold_itself_is_enough() -> None:
    index = OverlapIndex(Fraction("0.7"), strict=False)
    assert index.least(10, 10) == 7
    assert index.least(3, 3) == 3
