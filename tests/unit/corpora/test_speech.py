"""Speech levels on sentences of warehouses."""

from __future__ import annotations

import unicodedata

import pytest

from corpora.korean.speech import SpeechLevel, is_polite, speech_level

TABLE = {
    SpeechLevel.HAPSYO: [
        "입고 예정 목록에서 차량 번호를 선택합니다.",
        "재고가 부족하면 보충을 지시하십시오.",
        "피킹 방식은 무엇입니까?",
        "실사는 월요일에 진행하였습니다.",
        "로트 번호가 없으면 출고할 수 없습니다.",
        "함께 확인합시다.",
    ],
    SpeechLevel.HAEYO: [
        "바코드를 스캔하세요.",
        "송장을 붙였어요.",
        "어떤 순서로 진행하나요?",
        "유통기한은 확인했지요.",
        "제가 대신 할게요.",
        "재고가 모자라네요.",
    ],
    SpeechLevel.HAE: ["로케이션 확인했어.", "그건 내가 할게.", "수량이 모자라네.", "지금 바로 출고해."],
    SpeechLevel.HAERA: ["반품은 다음 날 처리한다.", "수량을 세어라.", "이 상품은 폐기 대상이다.", "지금 시작하자."],
    SpeechLevel.NOMINAL: ["입고 확정 버튼 누르기", "출고 마감 완료", "수량 확인함"],
}


@pytest.mark.parametrize(("level", "text"), [(level, text) for level, texts in TABLE.items() for text in texts])
def test_level(level: SpeechLevel, text: str) -> None:
    assert speech_level(text) == level
    assert speech_level(unicodedata.normalize("NFD", text)) == level


def test_polite_and_plain_side_by_side_are_mixed() -> None:
    assert speech_level("수량을 확인합니다. 그리고 서명한다.") == SpeechLevel.MIXED
    assert not is_polite("수량을 확인합니다. 그리고 서명한다.")


def test_list_items_without_a_level_do_not_count() -> None:
    assert is_polite("다음 항목을 확인합니다.\n\n- 차량 번호\n- 수량")
    assert speech_level("") == SpeechLevel.NEUTRAL
