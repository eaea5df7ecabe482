"""One verb, adjective, adverb or numeral for another: opposites part, synonyms and empty words do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.predicates import OPPOSITES, SYNONYMS, opposed, replaced


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("설비를 켜려면 어떻게 하나요?", "설비를 끄려면 어떻게 하나요?"),
        ("안전 재고를 늘리는 방법", "안전 재고를 줄이는 방법"),
        ("차량이 빨리 도착하면", "차량이 늦게 도착하면"),
        ("재고가 부족하면", "재고가 충분하면"),
        ("온도가 높아지면", "온도가 낮아지면"),
        ("하루에 두 번 실사하나요?", "하루에 세 번 실사하나요?"),
        ("나중에 검수하는 상품", "먼저 검수하는 상품"),
        ("오늘 몇 시에 마감하나요?", "내일 몇 시에 마감하나요?"),
    ],
)
def test_opposites(first: str, second: str) -> None:
    assert opposed(first, second)
    assert opposed(second, first)
    assert not opposed(first, first)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("송장을 버리려면 어떻게 하나요?", "송장을 숨기려면 어떻게 하나요?"),
        ("상자가 찢어지면 어떻게 하나요?", "상자가 젖으면 어떻게 하나요?"),
        ("하루에 두 번 실사하나요?", "하루에 세 번 실사하나요?"),
    ],
)
def test_one_predicate_for_another(first: str, second: str) -> None:
    assert replaced(first, second)
    assert replaced(second, first)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("송장 양식을 알려 주세요.", "송장 양식을 설명해 주세요."),
        ("송장 양식을 말해 줘.", "송장 양식을 가르쳐 주세요."),
        ("오류가 발생하면 어떻게 하나요?", "오류가 생기면 어떻게 되나요?"),
        ("배송지를 바꾸려면", "배송지를 변경하려면"),
        ("라벨을 꼭 붙이나요?", "라벨을 반드시 붙이나요?"),
        ("야간에 한가한 도크", "야간에 한가하게 쓰는 도크"),
        ("형광등을 켤래, 무드등을 켤래?", "형광등과 무드등 중에 어느 것을 켤래?"),
        ("", ""),
        ("", "설비를 켜려면"),
    ],
)
def test_what_asks_the_same(first: str, second: str) -> None:
    for one, other in ((first, second), (second, first)):
        assert not opposed(one, other)
        assert not replaced(one, other)


def test_another_noun_is_not_looked_at() -> None:
    """That is the noun guard's."""
    assert not replaced("입고 라벨을 버리려면", "출고 라벨을 숨기려면")


def test_the_lists_are_symmetric_and_have_no_word_against_itself() -> None:
    for pairs in (OPPOSITES, SYNONYMS):
        assert pairs == {(b, a) for a, b in pairs}
        assert all(a != b for a, b in pairs)


TEXTS = st.lists(st.sampled_from(["재고를", "많이", "적게", "두", "세", "늘리면", "줄이면", "알려", "줘"]), max_size=6)


@given(TEXTS.map(" ".join), TEXTS.map(" ".join))
def test_sides_do_not_matter(first: str, second: str) -> None:
    assert opposed(first, second) == opposed(second, first)
    assert replaced(first, second) == replaced(second, first)
    assert not opposed(first, first)
    assert not replaced(first, first)
