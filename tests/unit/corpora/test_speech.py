"""Speech levels on sentences of warehouses."""

from __future__ import annotations

import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.korean.prose import prose
from corpora.korean.speech import SpeechLevel, is_polite, sentence_levels, speech_level, text_level

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


DATA = Path(__file__).resolve().parents[2] / "data" / "speech_levels.tsv"


def rows() -> list[tuple[str, str]]:
    lines = DATA.read_text(encoding="utf-8").splitlines()
    return [(level, text) for level, text in (line.split("\t") for line in lines[1:])]


def test_the_table_is_as_large_as_it_is_said_to_be() -> None:
    counts = Counter(level for level, _ in rows())
    assert counts == {"hapsyo": 30, "haeyo": 30, "hae": 30, "haera": 30, "nominal": 30, "mixed": 20, "neutral": 15}
    assert len({text for _, text in rows()}) == 185


@pytest.mark.parametrize(("level", "text"), rows(), ids=lambda value: value[:24])
def test_every_row_of_the_table(level: str, text: str) -> None:
    assert speech_level(text) == level
    assert is_polite(text) == (level in ("hapsyo", "haeyo"))
    if level != "mixed":
        assert text_level(text) == level


@pytest.mark.parametrize(
    ("text", "level"),
    [
        # One letter parts the question from the connective.
        ("수량이 모자랍니까?", "hapsyo"),
        ("수량이 모자라니까.", "hae"),
        ("수량이 모자라니까요.", "haeyo"),
        ("수량이 모자라니?", "haera"),
        ("수량을 세어 보니", "neutral"),
        # Cut off, or left unsaid on purpose: the sign decides.
        ("라벨이 찢어져서", "neutral"),
        ("라벨이 찢어져서.", "hae"),
        ("수량이 맞는지", "neutral"),
        ("수량이 맞는지?", "hae"),
        ("출고를 미룬답니다.", "hapsyo"),
        ("그 말이 맞죠?", "haeyo"),
        ("토트는 여기 있지.", "hae"),
        ("벌써 다 셌?", "hae"),
        ("다 옮겼습니다^^", "hapsyo"),
        ("다 옮겼어 ㅋㅋ", "hae"),
        ("다 옮겼어요 하하", "haeyo"),
        # What stands behind the ending does not count.
        ("담당자를 고릅니다. (선택 사항)", "hapsyo"),
        ("담당자를 고른다[필수].", "haera"),
        ("다음을 확인합니다: 수량, 로트", "hapsyo"),
        ("다 셌어요, 아까 그 상자는.", "haeyo"),
        ("편히 주무세요.", "haeyo"),
        ("어느 랙이요?", "haeyo"),
    ],
)
def test_endings(text: str, level: str) -> None:
    assert speech_level(text) == level


def test_quotations_code_and_tables_do_not_speak_for_the_text() -> None:
    assert sentence_levels('"다 셌어." 작업자가 그렇게 말했습니다.') == ["hapsyo"]
    assert speech_level("```sql\n-- 재고를 조회한다.\n```\n결과를 저장합니다.") == "hapsyo"
    assert speech_level("값을 봅니다.\n\n| 항목 | 설명 |\n|---|---|\n| 수량 | 입력한다 |") == "hapsyo"
    assert speech_level("`-- 조회한다.` 줄을 지웁니다.") == "hapsyo"
    assert speech_level("“다 셌습니다.”") == "hapsyo", "a text that is one quotation speaks for itself"


def test_items_are_sentences_of_their_own() -> None:
    text = "# 입고\n다음 순서를 따릅니다.\n1. 번호 확인\n2. 수량을 입력한다\n② 저장하기"
    assert sentence_levels(text) == ["nominal", "hapsyo", "nominal", "haera", "nominal"]


def test_the_last_decided_sentence_labels_a_text() -> None:
    assert text_level("저장한다. 확인합니다.\n- 수량") == "hapsyo"
    assert text_level("확인합니다. 저장한다.") == "haera"
    assert text_level("입고 예정\n\n창고에서") == "nominal"
    assert text_level("네.") == "neutral"


@given(st.text(alphabet=" \n\r\t#|-`'\"“”()[]1.?!,요다까네습니해가", max_size=60))
def test_sentences_lie_in_order_in_any_text(text: str) -> None:
    text, end = unicodedata.normalize("NFC", text), 0
    for sentence in prose(text):
        assert end <= sentence.start < sentence.end <= len(text)
        assert len(sentence.masked) == sentence.end - sentence.start
        end = sentence.end
    assert len(sentence_levels(text)) == len(prose(text))
