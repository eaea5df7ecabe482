"""Near-duplicates by meaning: one of a pair is kept, never none; a negation keeps both."""

from __future__ import annotations

import pytest

from retrieval.embedders import HashedEmbedder
from retrieval.semantic_duplicates import SemanticDuplicates

SENTENCES = ["입고 예정을 등록하는 방법", "출고를 확정하는 방법", "재고가 맞으면 마감합니다."]


def duplicates(threshold: float = 0.9) -> SemanticDuplicates:
    return SemanticDuplicates(HashedEmbedder.fit(SENTENCES), threshold)


def test_one_of_a_mutual_pair_is_kept() -> None:
    index, kept = duplicates(), list[str]()
    for number, text in enumerate(["입고 예정을 등록하는 방법", "등록하는 방법은 입고 예정을", "출고를 확정하는 방법"]):
        hit = index.find(text)
        if hit is None:
            index.add(str(number), text)
            kept.append(text)
        else:
            assert (hit.key, number) == ("0", 1)
            assert hit.score > 0.9
    assert kept == ["입고 예정을 등록하는 방법", "출고를 확정하는 방법"]
    assert len(index) == 2


def test_a_negation_is_no_repeat() -> None:
    index = duplicates(0.3)
    index.add("a", "재고가 맞으면 마감합니다.")
    assert index.find("재고가 맞지 않으면 마감합니다.") is None
    assert index.find("재고가 맞으면 마감합니다!") is not None


def test_a_negated_neighbour_does_not_hide_the_next() -> None:
    index = duplicates(0.3)
    index.add("a", "재고가 맞지 않으면 마감합니다.")
    index.add("b", "재고가 안 맞으면 마감합니다.")
    hit = index.find("재고가 안 맞으면 마감합니다.")
    assert hit is not None
    assert hit.key == "b"


def test_an_empty_index_finds_nothing() -> None:
    assert duplicates().find("입고") is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            "서울에서 부산으로 재고를 옮기려면 어떻게 하나요?",
            "부산에서 서울로 재고를 옮기려면 어떻게 하나요?",
        ),
        ("야간 조명을 켜려면 어느 화면에서 설정하나요?", "야간 조명을 끄려면 어느 화면에서 설정하나요?"),
    ],
)
def test_opposites_and_swaps_are_no_repeats(first: str, second: str) -> None:
    index = SemanticDuplicates(HashedEmbedder.fit([first, second]), 0.5)
    index.add("a", first)
    assert index.find(second) is None
    hit = index.find(first)
    assert hit is not None
    batch = index.prepare([(second, None, None), (first, None, None)])
    assert batch.find(0) is None
    batch.keep(0, "b")
    found = batch.find(1)
    assert found is not None
    assert found.key == "a"
