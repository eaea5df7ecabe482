"""What a report says of its judge: each warning at its bound, with its share, and none for a judge that does well."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from app.services.evaluation_judge import Judged, _Check, _RowJudged
from app.services.evaluation_report import notes_of_judge
from generators.curation.answer_judge import Comparison, Graded, Outcome
from generators.curation.bad_answers import BadAnswer


def grade(score: int | None) -> Graded:
    return Graded(score=score, reason="이유")


def compared(outcome: Outcome | None) -> Comparison:
    return Comparison(outcome=outcome, reasons=("이유",))


def row(outcome: Outcome | None = "win", base: int | None = 3, tuned: int | None = 8) -> _RowJudged:
    return _RowJudged(grades={"base": grade(base), "tuned": grade(tuned)}, comparison=compared(outcome))


def same() -> _RowJudged:
    """Two answers that are the same: one grade, and a tie that nobody was asked about."""
    once = grade(5)
    return _RowJudged(grades={"base": once, "tuned": once}, comparison=compared("tie"))


def check(score: int | None = 2, outcome: Outcome | None = "win") -> _Check:
    bad = BadAnswer(row=0, kind="shuffled", text="승인 담당자가 합니다 품질.")
    return _Check(bad=bad, true_grade=grade(9), bad_grade=grade(score), comparison=compared(outcome))


def notes(rows: Sequence[_RowJudged], checks: Sequence[_Check] = ()) -> dict[str, str]:
    judged = Judged(rows=dict(enumerate(rows)), checks=[*checks])
    return dict(notes_of_judge(judged, judged.report(len(rows), 7)["check"]["all"]))


def test_a_judge_that_does_well_is_not_warned_of() -> None:
    assert notes([]) == {}
    assert notes([row()] * 10, [check()] * 5) == {}


def test_unreadable_judgements_are_told_with_their_share() -> None:
    # Three judgements a row: 3 of 30 are a tenth, which is borne, 4 are not.
    borne = [row(None, None, None), *(row() for _ in range(9))]
    assert notes(borne) == {}
    told = notes([*borne[:9], row(base=None)])
    assert list(told) == ["judge_unreadable"]
    assert "30건 가운데 4건(13.3%)" in told["judge_unreadable"]
    # A judge that talks nonsense from the first question on: what it said of the bad answers counts too.
    silent = notes([], [check(None, None)])
    assert list(silent) == ["judge_unreadable"]
    assert "3건 가운데 2건(66.7%)" in silent["judge_unreadable"]


@pytest.mark.parametrize(
    ("missed", "told"),
    [
        ([], None),
        ([check(9)] * 2, None),
        ([check(9)] * 3, "점수로 10개 중 70.0%, 비교로 10개 중 100.0%"),
        ([check(2, "tie")] * 3, "점수로 10개 중 100.0%, 비교로 10개 중 70.0%"),
    ],
)
def test_a_judge_that_misses_bad_answers_is_told_with_its_share(missed: list[_Check], told: str | None) -> None:
    found = notes([row()] * 10, [*missed, *[check()] * (10 - len(missed))])
    assert list(found) == ([] if told is None else ["judge_fails_check"])
    assert told is None or told in found["judge_fails_check"]


def test_judgements_that_turn_with_the_order_are_told_with_their_share() -> None:
    # Rows whose answers are the same were never compared: they do not thin the share.
    assert notes([*[row("inconsistent")] * 3, *[row()] * 7, same()]) == {}
    told = notes([*[row("inconsistent")] * 4, *[row()] * 6, *[same()] * 10])
    assert list(told) == ["judge_inconsistent"]
    assert "10쌍 가운데 4쌍(40.0%)" in told["judge_inconsistent"]
