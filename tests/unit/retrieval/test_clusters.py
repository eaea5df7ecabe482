"""The graph decides as the index does, at every threshold, without comparing a text again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import InvalidInputError
from retrieval.clusters import DuplicateGraph
from retrieval.near_duplicates import LexicalDuplicates, Tokenized

WORDS = ["입고", "출고", "재고", "반품", "검수", "적치", "피킹"]
TOKENS = st.lists(st.sampled_from(WORDS), min_size=0, max_size=7).map(tuple)
ROWS = st.lists(st.tuples(TOKENS, st.none() | TOKENS, st.none() | st.sampled_from("ab")), max_size=25)


def tokenized(shapes: Sequence[tuple[tuple[str, ...], tuple[str, ...] | None, str | None]]) -> list[Tokenized]:
    return [Tokenized(" ".join(question), question, answer, group) for question, answer, group in shapes]


def arrival(rows: Sequence[Tokenized], threshold: str) -> list[bool]:
    index, stays = LexicalDuplicates(threshold, "whitespace", guards=()), list[bool]()
    for number, row in enumerate(rows):
        stays.append(index.find_tokens(row) is None)
        if stays[-1]:
            index.add_tokens(str(number), row)
    return stays


@settings(max_examples=150, deadline=None)
@given(ROWS, st.sampled_from(["0.5", "0.6", "2/3", "0.7", "0.8", "0.95"]))
def test_keeping_the_first_is_what_the_index_does(
    shapes: list[tuple[tuple[str, ...], None, None]], threshold: str
) -> None:
    rows = tokenized(shapes)
    graph = DuplicateGraph.build(rows, "0.5", tokenizer="whitespace", guards=())
    assert graph.kept(threshold) == arrival(rows, threshold)
    assert graph.preview([threshold]) == {threshold: sum(arrival(rows, threshold))}


@settings(max_examples=100, deadline=None)
@given(ROWS, st.lists(st.integers(0, 3), min_size=25, max_size=25))
def test_keeping_the_best_keeps_one_of_each_pair_and_the_best_first(
    shapes: list[tuple[tuple[str, ...], None, None]], scores: list[int]
) -> None:
    rows = tokenized(shapes)
    quality = [float(score) for score in scores[: len(rows)]]
    graph = DuplicateGraph.build(rows, "0.5", tokenizer="whitespace", guards=())
    stays = graph.kept("0.7", quality)
    order = sorted(range(len(rows)), key=lambda row: (-quality[row], row))
    expected = arrival([rows[row] for row in order], "0.7")
    assert stays == [dict(zip(order, expected, strict=True))[row] for row in range(len(rows))]


def test_clusters_are_connected_through_others() -> None:
    rows = tokenized(
        [
            (("가", "나", "다", "라"), None, None),
            (("출고",), None, None),
            (("가", "나", "다", "마"), None, None),
            (("나", "다", "마", "바"), None, None),
            (("출고",), None, None),
        ]
    )
    graph = DuplicateGraph.build(rows, "0.5", tokenizer="whitespace", guards=())
    first, second = graph.clusters("0.7")
    assert [member.row for member in first.members] == [0, 2, 3]
    assert [member.nearest for member in first.members] == [2, 0, 2]
    assert [member.score for member in first.members] == [0.75, 0.75, 0.75]
    assert first.representative == 0
    assert [member.row for member in second.members] == [1, 4]
    assert graph.clusters("0.7", quality=[0, 0, 9, 0, 1])[0].representative == 2
    assert graph.clusters("0.75") == [second]  # 0.75 is not above 0.75
    # 0 and 3 share too little: both stay when the one between them goes.
    assert graph.kept("0.7") == [True, True, False, True, False]
    assert graph.kept("0.7", quality=[0, 0, 9, 0, 1]) == [False, False, True, False, True]


def test_below_the_floor_nothing_is_claimed() -> None:
    graph = DuplicateGraph.build([], "0.6")
    with pytest.raises(ValueError, match=r"0\.6 up"):
        graph.kept("0.5")
    assert graph.clusters("0.6") == []


def test_further_pairs_and_fixed_rows_count_too() -> None:
    rows = tokenized([((word, f"{word}2"), None, None) for word in WORDS[:4]])
    graph = DuplicateGraph.build(rows, "0.5", tokenizer="whitespace", guards=())
    assert graph.kept("0.7", also=[(0, 1), (1, 2)]) == [True, False, True, True]
    assert graph.kept("0.7", also=[(0, 1), (1, 2)], fixed=2) == [True, True, False, True]
    assert graph.kept("0.7", [0, 0, 9, 0], also=[(0, 1), (1, 2)], fixed=1) == [True, False, True, True]


@settings(max_examples=100, deadline=None)
@given(ROWS, st.sampled_from(["0.5", "0.6", "0.7", "0.8", "0.95"]))
def test_the_english_reference_keeps_its_floats(
    shapes: list[tuple[tuple[str, ...], None, None]], threshold: str
) -> None:
    rows = tokenized(shapes)
    index, stays = LexicalDuplicates(threshold, "english", guards=()), list[bool]()
    for number, row in enumerate(rows):
        stays.append(index.find_tokens(row) is None)
        if stays[-1]:
            index.add_tokens(str(number), row)
    assert DuplicateGraph.build(rows, "0.5", tokenizer="english", guards=()).kept(threshold) == stays


def test_more_pairs_than_may_be_held_are_refused() -> None:
    rows = tokenized([(("입고", "검수"), None, None)] * 10)
    assert len(DuplicateGraph.build(rows, "0.5", tokenizer="whitespace", guards=(), most=45)) == 45
    with pytest.raises(InvalidInputError, match="44 pairs") as caught:
        DuplicateGraph.build(rows, "0.5", tokenizer="whitespace", guards=(), most=44)
    assert caught.value.code == "too_many_pairs"
