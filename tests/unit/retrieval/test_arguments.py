"""Words that have changed places are told by their particles, not by their order."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.arguments import exchanged, parts


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("A구역에서 B구역으로 재고를 옮기려면", "B구역에서 A구역으로 재고를 옮기려면"),
        ("냉장 창고에서 냉동 창고로 옮기는 방법", "냉동 창고에서 냉장 창고로 옮기는 방법"),
        ("화주가 고객에게 보내는 알림", "고객이 화주에게 보내는 알림"),
        ("서울부터 부산까지 걸리는 시간", "부산에서 서울로 걸리는 시간"),
        ("피킹이 패킹보다 오래 걸리는 이유", "패킹이 피킹보다 오래 걸리는 이유"),
        ("검수 전에 적치를 해도 되나요?", "적치 전에 검수를 해도 되나요?"),
        ("입고한 뒤 검수하나요?", "검수한 뒤 입고하나요?"),
        ("박스를 낱개로 바꾸려면", "낱개를 박스로 바꾸려면"),
        ("PCS → BOX 환산", "BOX → PCS 환산"),
        ("3개에서 5개로 늘리려면", "5개에서 3개로 늘리려면"),
    ],
)
def test_exchanged(first: str, second: str) -> None:
    assert exchanged(first, second)
    assert exchanged(second, first)
    assert exchanged(unicodedata.normalize("NFD", first), second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("A구역에서 B구역으로 재고를 옮기려면", "B구역으로 A구역에서 재고를 옮기려면"),
        ("A구역에서 B구역으로 재고를 옮기려면", "A구역부터 B구역까지 재고를 옮기려면"),
        ("입고와 출고의 차이는 무엇인가요?", "출고와 입고의 차이는 무엇인가요?"),
        ("입고, 출고, 반품을 처리하는 화면", "반품, 출고, 입고를 처리하는 화면"),
        ("검수하고 적치하는 작업자", "적치하고 검수하는 작업자"),
        ("주문이 송장과 다르면", "송장이 주문과 다르면"),
        ("위험이 더 큰 곳은 어디인가요?", "위험은 어느 곳이 더 큰가요?"),
        ("재고를 고객이 조회하나요?", "고객이 재고를 조회하나요?"),
        ("", ""),
    ],
)
def test_the_same_parts(first: str, second: str) -> None:
    assert not exchanged(first, second)
    assert not exchanged(second, first)


def test_a_phrase_shares_its_particle() -> None:
    found = parts("냉장 창고에서 재고를 옮기는 사람")
    assert found["냉장"] == found["창고"] == {"from": 1}
    assert found["재고"] == {"object": 1}
    assert found["사람"] == {"end": 1}


WORDS = st.lists(
    st.sampled_from(["창고에서", "창고로", "도크에서", "도크로", "재고를", "재고와", "옮기면", "→"]), max_size=6
)


@given(WORDS.map(" ".join), WORDS.map(" ".join))
def test_sides_do_not_matter(first: str, second: str) -> None:
    assert exchanged(first, second) == exchanged(second, first)
    assert not exchanged(first, first)
