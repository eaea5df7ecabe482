"""Negation in all its forms parts two rows that share every other word; other words leave them together."""

from __future__ import annotations

import pytest

from corpora.korean.analyse import content_morphemes
from retrieval.guards import negation, negation_differs
from retrieval.near_duplicates import LexicalDuplicates

TURNED = [
    ("적합 판정을 받은 로트는 어디에 두나요?", "부적합 판정을 받은 로트는 어디에 두나요?"),
    ("정확한 수량은 어떻게 찾나요?", "부정확한 수량은 어떻게 찾나요?"),
    ("정기 실사를 시작하려면 어떻게 하나요?", "부정기 실사를 시작하려면 어떻게 하나요?"),
    ("취소가 가능한 주문은 어떻게 찾나요?", "취소가 불가능한 주문은 어떻게 찾나요?"),
    ("출고 가능 재고는 어디에 두나요?", "출고 불가 재고는 어디에 두나요?"),
    ("필요한 라벨은 어떻게 폐기하나요?", "불필요한 라벨은 어떻게 폐기하나요?"),
    ("수량이 일치하는 재고는 어떻게 처리하나요?", "수량이 불일치하는 재고는 어떻게 처리하나요?"),
    ("정상 종료된 웨이브는 어디에서 보나요?", "비정상 종료된 웨이브는 어디에서 보나요?"),
    ("상온 보관 상품의 적치 위치는 어디인가요?", "비상온 보관 상품의 적치 위치는 어디인가요?"),
    ("과세 품목의 송장은 어떻게 출력하나요?", "비과세 품목의 송장은 어떻게 출력하나요?"),
    ("입고된 발주는 어디에서 조회하나요?", "미입고된 발주는 어디에서 조회하나요?"),
    ("검수 완료 상품은 어디에 두나요?", "검수 미완료 상품은 어디에 두나요?"),
    ("지정 로케이션을 조회하는 방법을 알려 주세요.", "미지정 로케이션을 조회하는 방법을 알려 주세요."),
    ("자격을 갖춘 작업자가 하는 일은 무엇인가요?", "무자격 작업자가 하는 일은 무엇인가요?"),
    ("유상 반품은 어떻게 접수하나요?", "무상 반품은 어떻게 접수하나요?"),
    ("상품을 반출한 작업자는 어떻게 찾나요?", "상품을 무단 반출한 작업자는 어떻게 찾나요?"),
    ("라벨이 있으면 입고한 상품은 어떻게 하나요?", "라벨 없이 입고한 상품은 어떻게 하나요?"),
    ("승인 후 출고할 수 있는 주문은 무엇인가요?", "승인 없이 출고할 수 있는 주문은 무엇인가요?"),
    ("지게차로 옮길 수 있는 화물은 무엇인가요?", "지게차로 옮길 수 없는 화물은 무엇인가요?"),
    ("위험물을 아는 작업자는 누구인가요?", "위험물을 모르는 작업자는 누구인가요?"),
    ("PDA로 조회하는 화면은 무엇인가요?", "PDA로 조회하지 못하는 화면은 무엇인가요?"),
    ("PDA로 조회하는 화면은 무엇인가요?", "PDA로 조회 못하는 화면은 무엇인가요?"),
    ("합포장할 상품을 알려 주세요.", "합포장하지 말아야 할 상품을 알려 주세요."),
    ("송장이 나온 주문은 어떻게 하나요?", "송장이 안 나온 주문은 어떻게 하나요?"),
    ("할인 대상인 주문은 어떻게 표시되나요?", "할인 대상이 아닌 주문은 어떻게 표시되나요?"),
    ("검수 품목은 어떻게 등록하나요?", "검수 제외 품목은 어떻게 등록하나요?"),
    ("출입 구역은 어디에 표시하나요?", "출입 금지 구역은 어디에 표시하나요?"),
    ("부적합 로트를 출고하면 어떻게 되나요?", "적합 로트를 출고하지 않으면 어떻게 되나요?"),
]

ALIKE = [
    ("부적합 판정을 받은 로트는 어디에 두나요?", "부적합 판정을 받은 로트를 어디에 두나요?"),
    ("승인 없이 출고하면 어떻게 되나요?", "승인이 없이 출고하면 어떻게 됩니까?"),
    ("검수를 안 하면 어떤 오류가 나나요?", "검수를 하지 않으면 어떤 오류가 나나요?"),
    ("미입고 발주를 조회하는 방법을 알려 주세요.", "미입고 발주를 조회하는 절차를 알려 주세요."),
    ("무상 반품은 어떻게 접수하나요?", "무상 반품을 어떻게 접수하나요?"),
    ("부품 로케이션을 바꾸려면 어떻게 하나요?", "부품 로케이션을 바꾸려면 어떻게 합니까?"),
]


def repeats(first: str, second: str, guards: tuple[str, ...]) -> bool:
    index = LexicalDuplicates("0.7", guards=guards)
    index.add("kept", first)
    return index.find(second) is not None


@pytest.mark.parametrize(("first", "second"), TURNED)
def test_what_is_turned_around_is_no_repetition(first: str, second: str) -> None:
    assert repeats(first, second, ()), "the wording alone would call these one row"
    assert not repeats(first, second, ("negation", "noun_substitution"))
    assert not repeats(second, first, ("negation", "noun_substitution"))


@pytest.mark.parametrize(("first", "second"), TURNED)
def test_negation_alone_sees_it(first: str, second: str) -> None:
    """Semantic duplicates ask this guard only."""
    assert negation_differs(first, content_morphemes(first), second, content_morphemes(second))


@pytest.mark.parametrize(("first", "second"), ALIKE)
def test_what_is_negated_on_both_sides_stays_one_row(first: str, second: str) -> None:
    assert repeats(first, second, ("negation", "noun_substitution"))


@pytest.mark.parametrize(
    "text",
    [
        "부품 무게와 부피를 확인합니다.",
        "비밀번호와 비용을 미리 적습니다.",
        "무선 스캐너를 미국 화주에게 보냅니다.",
        "불량 재고의 비율",
    ],
)
def test_words_that_only_begin_like_a_prefix(text: str) -> None:
    assert negation(content_morphemes(text)) == {}
