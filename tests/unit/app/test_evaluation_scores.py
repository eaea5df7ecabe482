"""From answers to figures: rows = scored + failed, each figure by hand on a few Korean rows."""

from __future__ import annotations

import contextlib
import io
import json
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.services.evaluation_rows import EvaluationRow, draw_rows, save_rows
from app.services.evaluation_scores import FIGURES, GROUPS, SIDES, figures_of, score_answers
from corpora.errors import InvalidInputError, InvalidTrainingFileError


def row(number: int, question: str, reference: str, context: str | None = None) -> EvaluationRow:
    told = [] if context is None else [{"role": "system", "content": context}]
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": reference}]
    return EvaluationRow(row=number, messages=(*told, *turns))


def answer(number: int, side: str, text: str, **more: Any) -> dict[str, Any]:
    made = {"row": number, "side": side, "sample": 0, "text": text, "finish_reason": "stop", "prompt_tokens": 9,
            "completion_tokens": 5, "nll": 6.0, "answer_tokens": 3, "failure": None}  # fmt: skip
    return made | more


ROWS = [
    row(1, "몇 분 안에 확정하나요?", "30분 안에 확정합니다.", "냉장 입고는 도착 후 30분 안에 확정합니다."),
    row(2, "누가 승인하나요?", "품질 담당자가 승인합니다."),
    row(4, "언제 실사하나요?", "매주 월요일에 실사합니다."),
]
ANSWERS = [
    answer(1, "base", "45분 안에 확정해라.", nll=9.0),
    answer(1, "tuned", "30분 안에 확정합니다."),
    answer(2, "base", "", nll=9.0, finish_reason="length", completion_tokens=64),
    answer(2, "tuned", "품질 담당자가 승인합니다."),
    answer(4, "base", "", failure="context_length_exceeded", finish_reason=None, nll=None),
    answer(4, "tuned", "매주 월요일에 실사합니다."),
]


def test_rows_are_scored_or_failed_and_figures_are_right() -> None:
    scored = score_answers(ROWS, ANSWERS, GROUPS, "reference")
    failures = {"context_length_exceeded": 1}
    assert scored.counts() == {"total": 3, "scored": 2, "failed": 1, "failures": failures}
    found = {entry["name"]: entry for entry in figures_of(scored.tallies, 7)}
    values = {name: (entry["base"]["value"], entry["tuned"]["value"]) for name, entry in found.items()}
    assert values["exact_match"] == (0.0, 1.0)
    assert values["rougeL_f1"][1] == 1.0
    assert values["perplexity"] == pytest.approx((math.exp(18 / 6), math.exp(12 / 6)))
    assert values["speech_level"] == (0.0, 1.0)
    assert values["empty"] == (0.5, 0.0)
    assert values["length_limit"] == (0.5, 0.0)
    assert values["completion_tokens"] == ((5 + 64) / 2, 5.0)
    assert values["foreign_script"] == (0.0, 0.0)
    assert values["grounded_numbers"] == (0.0, 1.0)
    assert found["grounded_numbers"]["difference"] == {"value": 1.0, "low": None, "high": None, "n": 1}
    assert found["exact_match"]["difference"]["value"] == 1.0
    # Nobody was asked twice and no judge was there: these figures are absent, not zero.
    assert set(found) == set(FIGURES) - {"distinct_1", "distinct_2", "self_similarity", "judge_score"}


@pytest.mark.parametrize("nothing", [".", "…", "!?"])
def test_an_answer_of_nothing_but_marks_scores_nothing(nothing: str) -> None:
    rows = [row(1, "뭐라고 답합니까?", "."), row(2, "어디에 두나요?", "3번 도크에 둡니다…")]
    said = [answer(one.row, side, nothing) for one in rows for side in SIDES]
    found = figures_of(score_answers(rows, said, ["rouge", "korquad", "empty"], "reference").tallies, 7)
    assert {entry["name"]: entry["tuned"]["value"] for entry in found}.pop("empty") == 1.0
    assert {entry["tuned"]["value"] for entry in found if entry["name"] != "empty"} == {0.0}


def test_an_answer_that_never_came_is_a_failure() -> None:
    scored = score_answers(ROWS, ANSWERS[:4], ["empty"], "reference")
    assert scored.counts()["failures"] == {"not_answered": 1}


def test_only_what_was_asked_for_is_measured() -> None:
    scored = score_answers(ROWS, ANSWERS, ["empty", "korquad"], "reference")
    assert [entry["name"] for entry in figures_of(scored.tallies, 7)] == ["exact_match", "character_f1", "empty"]


def test_a_reference_that_was_too_long_counts_for_everything_but_perplexity() -> None:
    answers = [answer(2, side, "품질 담당자입니다.", nll=None, answer_tokens=0) for side in SIDES]
    found = figures_of(score_answers([ROWS[1]], answers, ["perplexity", "empty"], "reference").tallies, 7)
    assert [entry["name"] for entry in found] == ["empty"]


def test_repeated_questions_give_diversity_and_nothing_else() -> None:
    again = [
        answer(2, side, text, sample=number, nll=None)
        for side, texts in (("base", ["입고 확인", "출고 확인"]), ("tuned", ["입고 확인", "입고 확인"]))
        for number, text in enumerate(texts, start=1)
    ]
    scored = score_answers(ROWS, [*ANSWERS, *again], ["diversity"], "reference")
    found = {entry["name"]: entry for entry in figures_of(scored.tallies, 7)}
    assert found["distinct_1"]["base"] == {"value": 0.75, "low": None, "high": None, "n": 1}
    assert found["distinct_1"]["tuned"]["value"] == 0.5
    assert found["self_similarity"]["tuned"]["value"] == 1.0
    assert found["self_similarity"]["base"]["value"] == pytest.approx(0.5)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["", "네.", "3회입니다."]), st.booleans()), min_size=1, max_size=8))
def test_counts_add_up_whatever_fails(made: list[tuple[str, bool]]) -> None:
    rows = [row(number, "몇 회인가요?", "세 번입니다.") for number in range(len(made))]
    answers = [
        answer(number, side, text, failure="encoding_failed" if failed and side == "tuned" else None)
        for number, (text, failed) in enumerate(made)
        for side in SIDES
    ]
    scored = score_answers(rows, answers, ["empty", "korquad", "numbers"], "reference")
    counts = scored.counts()
    assert counts["total"] == counts["scored"] + counts["failed"] == len(rows)
    for entry in figures_of(scored.tallies, 7):
        assert entry["difference"]["n"] <= min(entry["base"]["n"], entry["tuned"]["n"]) <= counts["scored"]
        assert entry["difference"]["value"] == pytest.approx(entry["tuned"]["value"] - entry["base"]["value"])


def opened(*rows: Any) -> Callable[[], AbstractContextManager[BinaryIO]]:
    data = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in rows).encode()
    return lambda: contextlib.closing(io.BytesIO(data))


def messages(number: int) -> dict[str, Any]:
    turns = [{"role": "user", "content": f"{number}번?"}, {"role": "assistant", "content": f"{number}층입니다."}]
    return {"messages": turns}


def test_rows_are_drawn_by_the_seed_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = opened(*(messages(number) for number in range(50)))
    rows, total = draw_rows(file, 10, 7, "file_id")
    assert (len(rows), total) == (10, 50)
    assert [one.row for one in rows] == sorted(one.row for one in rows)
    assert [one.row for one in rows] == [one.row for one in draw_rows(file, 10, 7, "file_id")[0]]
    assert [one.row for one in rows] != [one.row for one in draw_rows(file, 10, 8, "file_id")[0]]
    assert len(draw_rows(file, None, 7, "file_id")[0]) == 50
    assert rows[0].reference == f"{rows[0].row - 1}층입니다."
    save_rows(rows, tmp_path / "rows.jsonl")
    lines = (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["row"] for line in lines] == [one.row for one in rows]
    assert "층입니다" in lines[0]


def test_a_broken_line_is_named_and_an_empty_file_refused() -> None:
    with pytest.raises(InvalidTrainingFileError, match="line 2") as wrong:
        draw_rows(opened(messages(1), {"messages": []}), None, 7, "file_id")
    assert wrong.value.param == "file_id"
    with pytest.raises(InvalidInputError) as empty:
        draw_rows(opened(), None, 7, "dataset_id")
    assert (empty.value.code, empty.value.param) == ("no_rows", "dataset_id")
