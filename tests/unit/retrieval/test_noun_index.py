"""Rows of one template: what is not compared is what the noun guard would have refused."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import LCSseq

from retrieval import noun_index, overlap_index
from retrieval.guards import GUARDS
from retrieval.near_duplicates import LexicalDuplicates, Tokenized
from retrieval.noun_index import NounIndex

#: A noun twice, none at all, one inside another's: multisets that contain one another and such that do not.
TEXTS = st.lists(
    st.sampled_from(["랙", "도크", "송장", "A1", "30", "옮겨", "쌓아", "빨리"]), min_size=1, max_size=5
).map(" ".join)


def tokenized(texts: list[str]) -> list[Tokenized]:
    return [Tokenized(text, tuple(text.split())) for text in texts]


def definition(kept: list[Tokenized], row: Tokenized, threshold: tuple[int, int]) -> list[int]:
    """Rows above the threshold that the guard lets through, every pair compared."""
    num, den = threshold
    guard = GUARDS["noun_substitution"]
    return [
        number
        for number, other in enumerate(kept)
        if 2 * LCSseq.similarity(other.tokens, row.tokens) * den > num * (len(other.tokens) + len(row.tokens))
        and not guard(other.question, other.tokens, row.question, row.tokens)
    ]


@settings(max_examples=150, deadline=None)
@given(
    texts=st.lists(TEXTS.map("재고 등록 화면 조회 {}".format) | TEXTS, max_size=40),
    threshold=st.sampled_from([("0.3", (3, 10)), ("0.5", (1, 2)), ("0.7", (7, 10))]),
    crowd=st.integers(1, 6),
    light=st.integers(1, 3),
    worthwhile=st.integers(1, 8),
)
def test_same_decisions_as_every_pair(
    texts: list[str], threshold: tuple[str, tuple[int, int]], crowd: int, light: int, worthwhile: int
) -> None:
    """All rows kept, so that a graph sees every pair, and only the first of each, as a file is read."""
    name, fraction = threshold
    rows = tokenized(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap_index, "CROWD", crowd)
        patch.setattr(overlap_index, "LIGHT", light)
        patch.setattr(noun_index, "WORTHWHILE", worthwhile)
        everything = LexicalDuplicates(name, "whitespace", guards=("noun_substitution",))
        for number, row in enumerate(rows):
            assert [pair.row for pair in everything.pairs(row)] == definition(rows[:number], row, fraction)
            everything.add_tokens(str(number), row)
        first = LexicalDuplicates(name, "whitespace", guards=("noun_substitution",))
        kept: list[Tokenized] = []
        for row, hit in zip(rows, first.join((str(n), row) for n, row in enumerate(rows)), strict=True):
            expected = definition(kept, row, fraction)
            assert (hit.question if hit else None) == (kept[expected[0]].question if expected else None)
            if hit is None:
                kept.append(row)


def test_few_of_a_crowd_are_compared() -> None:
    """Of 1,000 rows with a noun each, a row meets those that have its noun, and those that have none."""
    nouns = [Counter({f"품목{row % 500}": 1, "재고": 1}) for row in range(999)] + [Counter[str]()]
    index = NounIndex(lambda row: nouns[row])
    crowd = list(range(1000))
    assert sorted(index.among(lambda: nouns[7])([crowd]) or []) == [7, 507, 999]
    assert index.among(Counter)([crowd]) is None
    assert sorted(index.among(lambda: Counter({"새것": 1}))([crowd]) or []) == [999]


def test_rows_that_come_later_are_entered() -> None:
    nouns = [Counter({"랙": 1}), Counter({"도크": 1}), Counter({"랙": 1, "송장": 1}), Counter({"카트": 1})]
    index, crowd = NounIndex(lambda row: nouns[row]), [0, 1]
    assert index.among(lambda: nouns[0])([crowd]) == [0]
    crowd += [2, 3]
    assert sorted(index.among(lambda: nouns[0])([crowd]) or []) == [0, 2]
