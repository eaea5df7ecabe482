"""Filters and flags, each on sentences that pass and sentences that do not."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.bundled.loader import seed_tasks
from corpora.records import Candidate, Message, Provenance
from generators.curation.filters import FILTERS
from generators.curation.flags import FLAGS, flags
from generators.curation.settings import Limits

QUESTION = "입고 예정을 등록하려면 어떻게 하나요?"
ANSWER = "입고 예정 화면에서 차량 번호와 도착 시각을 입력하고 저장합니다."
LIMITS = Limits()
DATA = Path(__file__).resolve().parents[2] / "data"


def candidate(question: str = QUESTION, answer: str = ANSWER, *, grounded: bool = True) -> Candidate:
    return Candidate(
        messages=(Message(role="user", content=question), Message(role="assistant", content=answer)),
        provenance=Provenance(generator="rag_qa", slot=0),
        grounded=grounded,
    )


#: One JSON object a line: which filter is asked, of which part, what it must say.
SENTENCES = [json.loads(line) for line in (DATA / "filter_sentences.jsonl").open(encoding="utf-8")]


@pytest.mark.parametrize("row", SENTENCES, ids=lambda row: f"{row['filter']}-{row['part']}-{row['expected']}")
def test_sentences_that_pass_and_that_do_not(row: dict[str, str]) -> None:
    made = candidate(row["text"]) if row["part"] == "question" else candidate(answer=row["text"])
    verdict = FILTERS[row["filter"]](made, LIMITS)
    if row["expected"] == "pass":
        assert verdict is None
        return
    assert verdict is not None
    assert verdict.stage == "filter"
    assert verdict.score is not None or verdict.evidence
    json.dumps(verdict.evidence, ensure_ascii=False)


def test_every_filter_has_six_of_each() -> None:
    counts = Counter((row["filter"], row["expected"]) for row in SENTENCES)
    assert [(name, side) for name in FILTERS for side in ("pass", "refuse") if counts[name, side] < 6] == []


@pytest.mark.parametrize(
    "question",
    [
        "다음 글을 한 문장으로 요약해 주세요.\n\n도서관은 월요일에 쉽니다.",
        "아래 문장을 고쳐 쓰세요: 물건이 안 왔어요.",
        "이 문장의 감정을 고르세요. “포장이 너무 예뻐요.”",
    ],
)
def test_a_free_task_may_point_at_the_text_it_brings(question: str) -> None:
    assert FILTERS["needs_no_document"](candidate(question, "답", grounded=False), LIMITS) is None
    assert FILTERS["needs_no_document"](candidate("다음 글을 요약해 주세요.", "답", grounded=False), LIMITS) is not None


@pytest.mark.parametrize("label", ["긍정", "배송 문의", "A", "3", "입고", "정상을", "불량", "select 1;", "예"])
def test_labels_and_codes_answer_free_tasks(label: str) -> None:
    row = candidate("다음 문의의 유형을 고르세요.\n\n배송이 늦어요", label, grounded=False)
    assert [name for name, check in FILTERS.items() if check(row, LIMITS)] == []


def test_our_own_seed_tasks_pass() -> None:
    hits = []
    for task in seed_tasks("builtin:all"):
        for given_input, output in task.instances:
            text = f"{task.instruction}\n\n{given_input}" if given_input else task.instruction
            row = candidate(text, output, grounded=False)
            hits += [(task.id, name, verdict) for name, check in FILTERS.items() if (verdict := check(row, LIMITS))]
    assert hits == []


@pytest.mark.parametrize(
    ("name", "question", "answer"),
    [
        ("mixed_english", QUESTION, "재고를 efficient 하게 관리합니다."),
        ("mixed_english", QUESTION, "작업자는 quickly 확인하고 저장합니다."),
        ("translationese", QUESTION, "당신은 재고에 대하여 확인해야 합니다."),
        ("translationese", QUESTION, "그것은 창고에 위치해 있으며 온도계를 가지고 있습니다."),
        ("chatter", QUESTION, "물론입니다! 예정 화면에서 등록합니다."),
        ("chatter", QUESTION, "예정 화면에서 등록합니다. 도움이 되었기를 바랍니다."),
        ("chatter", QUESTION, "예정 화면에서 등록합니다. 더 궁금한 점이 있으시면 언제든 물어보세요."),
        ("quoted_question", f'"{QUESTION}"', ANSWER),
        ("quoted_question", f"“{QUESTION}”", ANSWER),
        ("colon_ending", QUESTION, "입고 예정을 등록하는 절차는 다음과 같습니다:"),
        ("colon_ending", QUESTION, "**예정을 등록할 때 필요한 서류는 다음과 같습니다:**"),
    ],
)
def test_flags_mark_and_do_not_drop(name: str, question: str, answer: str) -> None:
    row = candidate(question, answer)
    assert set(flags(row, LIMITS)) == {name}
    assert all(check(row, LIMITS) is None for check in FILTERS.values())


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER,
        "피킹(picking)은 상품을 꺼내는 일입니다.",
        "WMS, iPhone, MySQL, PDA를 씁니다.",
        "`stock_move` 함수와 config.yaml 파일을 고칩니다.",
        "https://wms.example.com/inbound/create 주소를 엽니다.",
        "당신의 창고가 아니라 화주의 창고입니다.",
        "물론 승인이 필요합니다.",
        "그녀석은 이것저것 물었습니다.",
    ],
)
def test_ordinary_answers_raise_no_flag(answer: str) -> None:
    assert flags(candidate(answer=answer), LIMITS) == {}


@settings(max_examples=300)
@given(
    st.text(alphabet=st.one_of(st.characters(), st.sampled_from('가나를은는ㅋ([`"“|-*#<>@/:.,\n 1在あA'))),
    st.text(alphabet=st.one_of(st.characters(), st.sampled_from('가나를은는ㅋ([`"“|-*#<>@/:.,\n 1在あA'))),
    st.booleans(),
)
def test_no_text_breaks_a_filter(question: str, answer: str, grounded: bool) -> None:
    row = candidate(question, answer, grounded=grounded)
    for check in FILTERS.values():
        verdict = check(row, LIMITS)
        assert verdict is None or (verdict.stage == "filter" and verdict.reason)
    assert set(flags(row, LIMITS)) <= set(FLAGS)


@pytest.mark.parametrize(
    "unit", ["가", "가나", "( ", "`", "- ", "|-", "@.", "죄송 ", "질문:", "AI ", "이 ", "1.", "\n-", "저는 "]
)
def test_long_texts_take_no_longer_than_their_length(unit: str) -> None:
    """No pattern goes back over the text again and again: thousands of characters in well under a second."""
    row = candidate(unit * 2000, unit * 4000, grounded=True)
    for check in FILTERS.values():
        check(row, LIMITS)
    flags(row, LIMITS)


def test_limits_are_what_decides() -> None:
    loose = dataclasses.replace(LIMITS, max_character_run=10)
    row = candidate(answer="재고가 맞네요 ㅋㅋㅋㅋㅋㅋㅋ")
    assert FILTERS["character_repetition"](row, LIMITS) is not None
    assert FILTERS["character_repetition"](row, loose) is None


def test_a_refusal_that_was_asked_for_stays() -> None:
    refusal = "죄송하지만 제공된 문서에는 해당 내용이 나와 있지 않아 안내해 드리기 어렵습니다."
    asked = candidate("창고 임대료는 한 달에 얼마인가요?", refusal)
    assert FILTERS["no_refusal"](asked, LIMITS) is not None
    planned = dataclasses.replace(asked.provenance, traits={"question_type": "unanswerable"})
    assert FILTERS["no_refusal"](dataclasses.replace(asked, provenance=planned), LIMITS) is None
    robot = candidate("창고 임대료는 얼마인가요?", "AI 언어 모델로서 저는 임대료를 알 수 없습니다.")
    assert FILTERS["no_refusal"](dataclasses.replace(robot, provenance=planned), LIMITS) is not None


@pytest.mark.parametrize(
    ("answer", "passes"),
    [
        ("점검은 3명이 합니다.", True),
        ("냉동 상품은 A존에 보관합니다.", True),
        ("A존에 두시면 됩니다.", True),
        ("24시간이 걸려요.", True),
        ("저장합니다.", False),
        ("네, 그렇습니다.", False),
        ("점검 인원 3명", False),
        ("점검은 3명이", False),
        ("확인 후 저장", False),
        ("3명이요.", False),
    ],
)
def test_a_short_grounded_answer_must_be_a_whole_sentence(answer: str, *, passes: bool) -> None:
    verdict = FILTERS["length"](candidate(answer=answer), LIMITS)
    assert (verdict is None) == passes
    if verdict is not None:
        assert (verdict.reason, verdict.evidence["limit"]) == ("answer_too_short", LIMITS.min_answer_chars)
