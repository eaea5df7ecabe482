"""Citations of an answer, and OpenAI's annotations for the marks in it."""

from __future__ import annotations

import pytest

from app.services.chat_context import Passage, citations, questions_of, url_citations


def passage(number: int) -> Passage:
    chunk = {
        "id": f"chunk_{number}",
        "document_id": "doc_1",
        "index": number,
        "start": 10 * number,
        "end": 10 * number + 5,
        "text": "도크",
        "headings": ["입고"],
    }
    return Passage(label="입고", title="창고 매뉴얼", chunk=chunk, score=0.5)


FOUND = (passage(0), passage(1))


def test_marks_that_name_a_passage_become_annotations() -> None:
    answer = "도크는 1층입니다 [2]. 그 밖의 [0], [3], [둘]은 표시가 아닙니다 [1]."
    told = [entry["url_citation"] for entry in url_citations(FOUND, answer)]
    assert [entry["url"] for entry in told] == [
        "/v1/documents/doc_1/text#char=10,15",
        "/v1/documents/doc_1/text#char=0,5",
    ]
    assert [answer[entry["start_index"] : entry["end_index"]] for entry in told] == ["[2]", "[1]"]
    assert url_citations((), answer) == []


def test_every_passage_that_was_shown_is_told() -> None:
    told = citations(FOUND, ["첫 답 [2]", "둘째 답"])
    assert [(entry["index"], entry["chunk_index"], entry["cited"]) for entry in told] == [(1, 0, False), (2, 1, True)]
    assert (told[1]["start"], told[1]["end"], told[1]["text"]) == (10, 15, "도크")


DOCK = "냉장 입고는 언제까지 확정하나요?"


@pytest.mark.parametrize(
    ("asked", "questions"),
    [
        ([DOCK], [DOCK]),
        # It says enough; all turns are searched with besides.
        (["안녕하세요?", DOCK], [DOCK, f"{DOCK}\n안녕하세요?"]),
        ([DOCK, "왜요?"], [f"왜요?\n{DOCK}"]),
        (["첫째 도크 입고 예정", DOCK, "왜요?"], [f"왜요?\n{DOCK}", f"왜요?\n{DOCK}\n첫째 도크 입고 예정"]),
        (["하나", "둘", "왜요?", "네?"], ["네?\n왜요?\n둘"]),
    ],
)
def test_a_question_that_says_little_takes_in_those_before_it(asked: list[str], questions: list[str]) -> None:
    turns = [{"role": role, "content": text} for text in asked for role in ("user", "assistant")]
    assert questions_of([{"role": "system", "content": "창고 상담원"}, *turns[:-1]]) == questions
