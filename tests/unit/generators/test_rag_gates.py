from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generators.rag_gates import find_quote, mentions_passages, stands_alone, unsupported_number

PAGE = "입고 검수는 도착 후\n  24시간 이내에   끝냅니다.\n\n- 파손품은 B-03 구역에 둡니다."


@pytest.mark.parametrize(
    ("quote", "expected"),
    [
        ("24시간 이내에 끝냅니다.", "24시간 이내에   끝냅니다."),
        ("도착 후 24시간 이내에 끝냅니다.", "도착 후\n  24시간 이내에   끝냅니다."),
        ("  파손품은\nB-03 구역에 둡니다. ", "파손품은 B-03 구역에 둡니다."),
    ],
)
def test_a_quote_is_found_whatever_its_blanks(quote: str, expected: str) -> None:
    place = find_quote(quote, PAGE)
    assert place is not None
    assert PAGE[place[0] : place[1]] == expected


@pytest.mark.parametrize("quote", ["48시간 이내에 끝냅니다.", "24 시간 이내에", "파손품은 b-03", "", "  \n"])
def test_a_quote_with_another_character_is_not_found(quote: str) -> None:
    assert find_quote(quote, PAGE) is None


@given(st.text(alphabet="가나다 \n\tab1.", min_size=1, max_size=80), st.data())
def test_every_slice_of_a_text_is_found_as_that_slice(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    quote = text[start:end]
    place = find_quote(quote, text)
    if not quote.split():
        assert place is None
    else:
        assert place is not None
        assert text[place[0] : place[1]].split() == quote.split()
        assert place[0] <= start + len(quote) - len(quote.lstrip())


@pytest.mark.parametrize(
    "question",
    [
        "위 문서에서 설명하는 검수 절차는 무엇인가요?",
        "이 표에 따르면 냉장 구역의 온도는 몇 도인가요?",
        "다음 내용을 보고 입고 절차를 설명해 주세요.",
        "아래 표에서 허용 오차는 얼마인가요?",
        "해당 절차를 시작하려면 어떻게 하나요?",
        "1장에서 설명하는 권한은 무엇인가요?",
        "제3절의 내용은 무엇인가요?",
        "매뉴얼에 따르면 재고 실사는 언제 하나요?",
        "앞서 설명한 로케이션은 어디인가요?",
        "위의 단계를 마치면 무엇을 하나요?",
        "[1]에 나온 코드는 무엇인가요?",
    ],
)
def test_questions_that_lean_on_an_unseen_text_are_refused(question: str) -> None:
    verdict = stands_alone(question)
    assert verdict is not None
    assert (verdict.stage, verdict.reason) == ("grounding", "question_not_standalone")
    assert verdict.evidence["pattern"] in question


@pytest.mark.parametrize(
    "question",
    [
        "피킹 다음 단계는 무엇인가요?",
        "라벨 1장을 다시 출력하려면 어떻게 하나요?",
        "재고 단위 표기는 어떻게 하나요?",
        "로케이션 위치를 바꾸려면 어떻게 하나요?",
        "입고 예정 정보와 실물이 다른 경우 어떻게 처리하나요?",
        "송장 2장이 겹쳐 나오면 어떻게 해야 하나요?",
        "본사 승인이 필요한 출고는 무엇인가요?",
        "하차 아래쪽 센서가 켜지지 않으면 어떻게 하나요?",
        "거래 명세서 문서 번호는 어디에서 확인하나요?",
    ],
)
def test_questions_that_name_their_subject_pass(question: str) -> None:
    assert stands_alone(question) is None


CONTEXT = "입고 검수는 24시간 이내, 재고 실사는 월 1회 진행합니다. 최대 1,200개. | 냉장 | 2~8℃ | 30 |"


@pytest.mark.parametrize(
    "answer",
    [
        "입고 후 24시간 이내에 끝내시면 됩니다.",
        "최대 1200개까지 가능합니다.",
        "2℃에서 8℃ 사이입니다.",
        "허용 시간은 30분입니다.",
        "1. 입고합니다.\n2. 검수합니다.\n3. 적치합니다.",
        "숫자가 없는 답입니다.",
        "24시간입니다.",
    ],
)
def test_supported_numbers_pass(answer: str) -> None:
    assert unsupported_number(answer, "언제까지 하나요?", [CONTEXT]) is None


@pytest.mark.parametrize(
    ("answer", "reason", "number"),
    [
        ("48시간 이내에 끝냅니다.", "number_not_in_context", "48"),
        ("24일 이내에 끝냅니다.", "number_with_other_unit", "24"),
        ("연 1회입니다. 2.5배로 늘립니다.", "number_not_in_context", "2.5"),
        ("2. 검수합니다.\n7. 적치합니다.", "number_not_in_context", "7"),
        ("12개입니다.", "number_not_in_context", "12"),
    ],
)
def test_unsupported_numbers_are_refused_with_the_number(answer: str, reason: str, number: str) -> None:
    verdict = unsupported_number(answer, "언제까지 하나요?", [CONTEXT])
    assert verdict is not None
    assert verdict.reason == reason
    assert verdict.evidence["number"] == number


def test_a_number_named_by_the_question_may_be_repeated() -> None:
    question = "검수가 36시간 걸리면 어떻게 하나요?"
    assert unsupported_number("36시간은 기준을 넘습니다.", question, [CONTEXT]) is None


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=6))
def test_numbers_copied_from_the_context_are_always_supported(numbers: list[int]) -> None:
    context = " 그리고 ".join(f"{number:,}개" for number in numbers)
    answer = "답은 " + ", ".join(f"{number}개" for number in numbers) + "입니다."
    assert unsupported_number(answer, "", [context]) is None


@pytest.mark.parametrize("answer", ["[2]에 적힌 대로입니다.", "지문에 따르면 됩니다.", "2번 지문에 있습니다."])
def test_answers_that_mention_passages_are_refused(answer: str) -> None:
    verdict = mentions_passages(answer)
    assert verdict is not None
    assert verdict.reason == "answer_mentions_passage"


def test_answers_about_finger_prints_or_lists_pass() -> None:
    assert mentions_passages("B-03 구역에 둡니다. 지문 인식기로 출입합니다.") is None
