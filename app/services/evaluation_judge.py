"""The judge's part of an evaluation: every scored row graded and compared, and the judge itself put to the test.

Takes a judge, rows and answers; knows no job, no store and no endpoint. What stops it (a budget that is used up) is
told with what was judged until then. The judge's worth is measured on answers that are wrong on purpose
(``generators.curation.bad_answers``): a figure of a judge that cannot tell those apart is worth nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args

from app.services.evaluation_rows import EvaluationRow
from app.services.evaluation_scores import SIDES, Scored
from app.services.evaluation_stats import Tally, estimate
from corpora.errors import MalmoiError
from corpora.records import Message
from generators.curation.answer_judge import AnswerJudge, Comparison, Graded, JudgedQuestion, Outcome
from generators.curation.bad_answers import BAD_KINDS, BadAnswer, bad_answers
from generators.ports import BudgetExhaustedError

__all__ = ["Judged", "judge_answers"]

T = TypeVar("T")

#: Rows judged between two looks at whether somebody wants to stop; each is up to four requests.
ROWS_AT_ONCE = 16
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
#: What a comparison is worth for the tuned model: MT-Bench takes an inconsistent judgement for a tie.
_WORTH = {"win": 1.0, "tie": 0.5, "inconsistent": 0.5, "lose": 0.0}


@dataclass(frozen=True, kw_only=True, slots=True)
class _RowJudged:
    grades: dict[str, Graded]
    comparison: Comparison


@dataclass(kw_only=True, slots=True)
class _Check:
    """One bad answer beside the true one."""

    bad: BadAnswer
    true_grade: Graded
    bad_grade: Graded
    comparison: Comparison


@dataclass(kw_only=True, slots=True)
class Judged:
    """What the judge said; ``stopped`` says why it did not come to the end."""

    rows: dict[int, _RowJudged] = field(default_factory=dict)
    checks: list[_Check] = field(default_factory=list)
    stopped: MalmoiError | None = None
    cancelled: bool = False

    def tallies(self) -> dict[str, dict[int, Tally]]:
        """The score of each side by row."""
        return {
            side: {
                row: Tally(numerator=float(score))
                for row, one in self.rows.items()
                if (score := one.grades[side].score) is not None
            }
            for side in SIDES
        }

    def readings(self) -> tuple[int, int]:
        """Judgements that could not be read, and all that were asked for, those on the bad answers too."""
        graded = {id(grade): grade for one in self.rows.values() for grade in one.grades.values()}
        graded |= {id(grade): grade for check in self.checks for grade in (check.true_grade, check.bad_grade)}
        compared = [*self._asked(), *(check.comparison for check in self.checks)]
        unreadable = sum(grade.score is None for grade in graded.values())
        unreadable += sum(comparison.outcome is None for comparison in compared)
        return unreadable, len(graded) + len(compared)

    def turns(self) -> tuple[int, int]:
        """Pairs of answers whose judgement turned with their order, and all pairs that the judge compared."""
        outcomes = [one.outcome for one in self._asked() if one.outcome is not None]
        return outcomes.count("inconsistent"), len(outcomes)

    def _asked(self) -> list[Comparison]:
        """Comparisons that the judge made: two answers that are the same share one grade and were not compared."""
        rows = self.rows.values()
        return [one.comparison for one in rows if one.grades["base"] is not one.grades["tuned"]]

    def said(self, row: int) -> dict[str, Any] | None:
        """Everything that was said of one row, as plain values; None where it was not judged."""
        one = self.rows.get(row)
        if one is None:
            return None
        graded = {side: {"score": g.score, "reason": g.reason} for side, g in one.grades.items()}
        return graded | {"comparison": {"outcome": one.comparison.outcome, "reasons": list(one.comparison.reasons)}}

    def report(self, scored: int, seed: int) -> dict[str, Any]:
        """Counts and rates: scored rows = judged + not judged; of the judged, compared + unreadable.

        Args:
            scored: Rows that there were to judge.
            seed: Of the bootstrap.
        """
        outcomes = Counter(one.comparison.outcome for one in self.rows.values() if one.comparison.outcome is not None)
        worth = {
            row: Tally(numerator=_WORTH[one.comparison.outcome])
            for row, one in self.rows.items()
            if one.comparison.outcome is not None
        }
        compared = outcomes.total()
        return {
            "judged": len(self.rows),
            "not_judged": scored - len(self.rows),
            "unreadable_grades": {
                side: sum(one.grades[side].score is None for one in self.rows.values()) for side in SIDES
            },
            "comparison": {
                "compared": compared,
                "unreadable": len(self.rows) - compared,
                **{name: outcomes[name] for name in OUTCOMES},
                "win_rate": estimate(worth, seed).as_dict(),
                "consistency": (compared - outcomes["inconsistent"]) / compared if compared else None,
            },
            "check": _check_report(self.checks),
            "stopped": None if self.stopped is None else {"code": self.stopped.code, "message": self.stopped.message},
        }


def _share(hits: int, n: int) -> dict[str, Any]:
    return {"n": n, "caught": hits, "share": hits / n if n else None}


def _check_report(checks: Sequence[_Check]) -> dict[str, Any]:
    """How often the judge ranked a bad answer below the true one, and how often it turned, by kind and over all."""
    found: dict[str, Any] = {}
    for kind in (*BAD_KINDS, "all"):
        mine = [check for check in checks if kind in (check.bad.kind, "all")]
        scores = [(c.bad_grade.score, c.true_grade.score) for c in mine]
        read = [(bad, true) for bad, true in scores if bad is not None and true is not None]
        outcomes = [c.comparison.outcome for c in mine if c.comparison.outcome is not None]
        found[kind] = {
            "answers": len(mine),
            "by_score": _share(sum(bad < true for bad, true in read), len(read)),
            "by_comparison": _share(outcomes.count("win"), len(outcomes)),
            "inconsistent": outcomes.count("inconsistent"),
            "unreadable": {"scores": len(mine) - len(read), "comparisons": len(mine) - len(outcomes)},
        }
    return found


async def judge_answers(
    judge: AnswerJudge,
    rows: Sequence[EvaluationRow],
    scored: Scored,
    *,
    seed: int,
    check_rows: int,
    told: Callable[[int, int], bool],
) -> Judged:
    """Put the judge to the test, then judge every scored row.

    Args:
        judge: Whom to ask.
        rows: Everything that was asked.
        scored: The answers.
        seed: Of the draw of bad answers.
        check_rows: Rows of which bad answers are made; 0 for none.
        told: Handed rows done and to do between batches; False stops.

    Raises:
        EndpointError: the judge cannot be asked at all.
    """
    asked = [row for row in rows if row.row in scored.answers[SIDES[0]]]
    judged = Judged()
    bad = bad_answers([row.reference for row in rows], seed, check_rows)
    by_row: dict[int, list[BadAnswer]] = {}
    for one in bad:
        by_row.setdefault(one.row, []).append(one)
    checks = await asyncio.gather(
        *(_check(judge, rows[place], some) for place, some in by_row.items()), return_exceptions=True
    )
    for found in _kept(judged, checks):
        judged.checks += found
    for start in range(0, len(asked), ROWS_AT_ONCE):
        if judged.stopped is not None:
            break
        if not told(len(judged.rows), len(asked)):
            judged.cancelled = True
            break
        batch = asked[start : start + ROWS_AT_ONCE]
        done = await asyncio.gather(*(_judge_row(judge, row, scored) for row in batch), return_exceptions=True)
        judged.rows |= dict(_kept(judged, done))
    return judged


def _kept(judged: Judged, done: Sequence[T | BaseException]) -> list[T]:
    """What came to its end; a budget that is used up stops the rest, anything else is raised."""
    kept: list[T] = []
    for one in done:
        if isinstance(one, BudgetExhaustedError):
            judged.stopped = one
        elif isinstance(one, BaseException):
            raise one
        else:
            kept.append(one)
    return kept


def _question(row: EvaluationRow) -> JudgedQuestion:
    messages = tuple(Message(role=m["role"], content=str(m["content"])) for m in row.prompt)
    return JudgedQuestion(messages=messages, reference=row.reference)


async def _judge_row(judge: AnswerJudge, row: EvaluationRow, scored: Scored) -> tuple[int, _RowJudged]:
    question = _question(row)
    texts: Mapping[str, str] = {side: scored.answers[side][row.row]["text"] for side in SIDES}
    base = await judge.grade(question, texts["base"], slot=row.row, step="base")
    if texts["base"] == texts["tuned"]:
        # The same letters are worth the same; asking would only measure the judge's mood.
        same = Comparison(outcome="tie", reasons=("두 답이 글자까지 같습니다.",))
        return row.row, _RowJudged(grades={"base": base, "tuned": base}, comparison=same)
    tuned = await judge.grade(question, texts["tuned"], slot=row.row, step="tuned")
    compared = await judge.compare(question, texts["tuned"], texts["base"], slot=row.row, step="tuned")
    return row.row, _RowJudged(grades={"base": base, "tuned": tuned}, comparison=compared)


async def _check(judge: AnswerJudge, row: EvaluationRow, bad: Sequence[BadAnswer]) -> list[_Check]:
    question = _question(row)
    true = await judge.grade(question, row.reference, slot=row.row, step="check.true")
    return [
        _Check(
            bad=one,
            true_grade=true,
            bad_grade=await judge.grade(question, one.text, slot=row.row, step=f"check.{one.kind}"),
            comparison=await judge.compare(question, row.reference, one.text, slot=row.row, step=f"check.{one.kind}"),
        )
        for one in bad
    ]
