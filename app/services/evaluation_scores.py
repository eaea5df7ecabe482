"""From answers to figures: which figures there are, what each answer adds to them, both sides with their difference.

A figure belongs to a group, which is what a request names. Everything here is a function of rows, answers and a seed;
models, jobs and judges are elsewhere. A row counts only where both models have answered it: rows = scored + failed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from app.services.evaluation_diversity import distinct_n, self_similarity
from app.services.evaluation_rows import EvaluationRow
from app.services.evaluation_stats import Numbers, Tally, difference, estimate
from app.services.evaluation_text import (
    character_f1,
    exact_match,
    grounded_numbers,
    has_foreign_script,
    is_empty,
    speaks_as_wanted,
    wanted_levels,
)
from corpora.korean.rouge import rouge

__all__ = ["FIGURES", "GROUPS", "SIDES", "Figure", "Scored", "figures_of", "score_answers"]

#: The models that are compared, in this order.
SIDES = ("base", "tuned")
Better = Literal["higher", "lower"] | None
#: A line of ``training.answers``.
Answer = Mapping[str, Any]
#: What an answer adds, by figure: a plain number where rows count alike.
Measured = Mapping[str, "float | Tally"]
#: Tallies by figure, then by row.
Tallies = dict[str, dict[int, Tally]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One figure of a report."""

    name: str
    group: str  #: What a request calls it by.
    label: str  #: For people, in Korean.
    unit: Literal["share", "perplexity", "tokens", "score"]  #: Shares lie between 0 and 1, scores between 1 and 10.
    better: Better  #: Which direction is better; None where neither is by itself.

    def read(self, values: Numbers) -> Numbers:
        """The figure from the ratio of its sums."""
        return np.exp(values) if self.unit == "perplexity" else values


def _rouge_figures() -> list[Figure]:
    kinds = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L"}
    parts = {"precision": "정밀도", "recall": "재현율", "f1": "F1"}
    return [
        Figure(name=f"{kind}_{part}", group="rouge", label=f"{label} {said}", unit="share", better="higher")
        for kind, label in kinds.items()
        for part, said in parts.items()
    ]


def _share(name: str, group: str, label: str, better: Better) -> Figure:
    return Figure(name=name, group=group, label=label, unit="share", better=better)


_ALL = (
    *_rouge_figures(),
    _share("exact_match", "korquad", "정확히 일치(KorQuAD EM)", "higher"),
    _share("character_f1", "korquad", "글자 F1(KorQuAD)", "higher"),
    Figure(name="perplexity", group="perplexity", label="정답 퍼플렉서티", unit="perplexity", better="lower"),
    _share("speech_level", "speech_level", "말투 지킴", "higher"),
    _share("empty", "empty", "빈 답", "lower"),
    _share("length_limit", "length_limit", "길이 제한에 걸림", "lower"),
    Figure(name="completion_tokens", group="length_limit", label="답의 토큰 수", unit="tokens", better=None),
    _share("foreign_script", "foreign_script", "외국 문자 섞임", "lower"),
    _share("grounded_numbers", "numbers", "근거 있는 숫자", "higher"),
    _share("distinct_1", "diversity", "distinct-1(같은 질문)", None),
    _share("distinct_2", "diversity", "distinct-2(같은 질문)", None),
    _share("self_similarity", "diversity", "자기 유사도(같은 질문)", None),
    Figure(name="judge_score", group="judge", label="심사 점수(1~10)", unit="score", better="higher"),
)
FIGURES: dict[str, Figure] = {figure.name: figure for figure in _ALL}
#: What a request may ask for, beside the benchmarks of ``evaluation_harness``.
GROUPS: tuple[str, ...] = tuple(dict.fromkeys(figure.group for figure in _ALL))


@dataclass(kw_only=True, slots=True)
class Scored:
    """Answers and what they add to each figure: rows = scored + failed."""

    total: int  #: Rows that were asked.
    rows: list[int] = field(default_factory=list)  #: Rows that both models have answered.
    failures: Counter[str] = field(default_factory=Counter)  #: Rows that were not, by cause.
    answers: dict[str, dict[int, dict[str, Any]]] = field(default_factory=dict)  #: By side, then row: the scored ones.
    tallies: dict[str, Tallies] = field(default_factory=dict)  #: By side.

    def counts(self) -> dict[str, Any]:
        """As plain values."""
        failed = self.failures.total()
        return {"total": self.total, "scored": len(self.rows), "failed": failed, "failures": dict(self.failures)}


def score_answers(
    rows: Sequence[EvaluationRow], answers: Sequence[Answer], groups: Sequence[str], speech_level: str
) -> Scored:
    """What every answer adds to every figure of ``groups``.

    Args:
        rows: What was asked.
        answers: Lines of ``training.answers``.
        groups: Some of ``GROUPS``; the judge's figures come from elsewhere.
        speech_level: As ``evaluation_text.wanted_levels`` takes it.
    """
    first: dict[str, dict[int, dict[str, Any]]] = {side: {} for side in SIDES}
    repeated: dict[str, dict[int, list[str]]] = {side: defaultdict(list) for side in SIDES}
    for answer in answers:
        if answer["sample"] == 0:
            first[answer["side"]][answer["row"]] = dict(answer)
        elif answer["failure"] is None:
            repeated[answer["side"]][answer["row"]].append(answer["text"])
    scored = Scored(total=len(rows), tallies={side: {} for side in SIDES}, answers={side: {} for side in SIDES})
    for row in rows:
        cause = _cause([first[side].get(row.row) for side in SIDES])
        if cause is not None:
            scored.failures[cause] += 1
            continue
        scored.rows.append(row.row)
        for side in SIDES:
            scored.answers[side][row.row] = first[side][row.row]
            added = _score(row, first[side][row.row], groups, speech_level)
            if "diversity" in groups:
                added |= _vary(repeated[side].get(row.row, []))
            for name, tally in added.items():
                scored.tallies[side].setdefault(name, {})[row.row] = tally
    return scored


def _cause(answers: Sequence[Answer | None]) -> str | None:
    """Why a row cannot be scored, told once however many models failed on it."""
    for answer in answers:
        if answer is None:
            return "not_answered"
        if answer["failure"] is not None:
            return str(answer["failure"])
    return None


def _rouge(row: EvaluationRow, answer: Answer, _level: str) -> Measured:
    found = rouge(row.reference, answer["text"])
    return {
        f"{kind}_{part}": getattr(one, part) for kind, one in found.items() for part in ("precision", "recall", "f1")
    }


def _korquad(row: EvaluationRow, answer: Answer, _level: str) -> Measured:
    said, wanted = answer["text"], [row.reference]
    if is_empty(said):
        # KorQuAD's normal form drops ASCII marks only, and "!" would be "." exactly.
        return {"exact_match": 0.0, "character_f1": 0.0}
    return {"exact_match": float(exact_match(said, wanted)), "character_f1": character_f1(said, wanted)}


def _perplexity(_row: EvaluationRow, answer: Answer, _level: str) -> Measured:
    if answer["nll"] is None:
        return {}
    return {"perplexity": Tally(numerator=float(answer["nll"]), denominator=float(answer["answer_tokens"]))}


def _speech(row: EvaluationRow, answer: Answer, level: str) -> Measured:
    levels = wanted_levels(level, row.reference)
    return {} if levels is None else {"speech_level": float(speaks_as_wanted(answer["text"], levels))}


def _empty(_row: EvaluationRow, answer: Answer, _level: str) -> Measured:
    return {"empty": float(is_empty(answer["text"]))}


def _length(_row: EvaluationRow, answer: Answer, _level: str) -> Measured:
    cut = answer["finish_reason"] == "length"
    return {"length_limit": float(cut), "completion_tokens": float(answer["completion_tokens"])}


def _foreign(row: EvaluationRow, answer: Answer, _level: str) -> Measured:
    return {"foreign_script": float(has_foreign_script(answer["text"], (*row.given, row.reference)))}


def _numbers(row: EvaluationRow, answer: Answer, _level: str) -> Measured:
    grounded, claimed = grounded_numbers(answer["text"], (*row.given, row.reference))
    # An answer without a number claims none, and is neither right nor wrong about it.
    return {"grounded_numbers": Tally(numerator=float(grounded), denominator=float(claimed))} if claimed else {}


#: What one answer adds, by group; groups that need more than one answer, or a judge, are not here.
_MEASURES: dict[str, Callable[[EvaluationRow, Answer, str], Measured]] = {
    "rouge": _rouge,
    "korquad": _korquad,
    "perplexity": _perplexity,
    "speech_level": _speech,
    "empty": _empty,
    "length_limit": _length,
    "foreign_script": _foreign,
    "numbers": _numbers,
}


def _score(row: EvaluationRow, answer: Answer, groups: Sequence[str], speech_level: str) -> dict[str, Tally]:
    added: dict[str, Tally] = {}
    for group in groups:
        if group in _MEASURES:
            for name, value in _MEASURES[group](row, answer, speech_level).items():
                added[name] = value if isinstance(value, Tally) else Tally(numerator=value)
    return added


def _vary(answers: Sequence[str]) -> dict[str, Tally]:
    if len(answers) < 2:
        return {}
    measured = {
        "distinct_1": distinct_n(answers, 1),
        "distinct_2": distinct_n(answers, 2),
        "self_similarity": self_similarity(answers),
    }
    return {name: Tally(numerator=value) for name, value in measured.items() if value is not None}


def figures_of(tallies: Mapping[str, Mapping[str, Mapping[int, Tally]]], seed: int) -> list[dict[str, Any]]:
    """Every figure that was measured: both sides and their difference, each with interval and number of rows."""
    found = []
    for name, figure in FIGURES.items():
        if not any(name in tallies[side] for side in SIDES):
            continue
        sides = [tallies[side].get(name, {}) for side in SIDES]
        base, tuned = (estimate(side, seed, figure.read) for side in sides)
        found.append(
            {
                "name": name,
                "group": figure.group,
                "label": figure.label,
                "unit": figure.unit,
                "better": figure.better,
                "base": base.as_dict(),
                "tuned": tuned.as_dict(),
                "difference": difference(sides[0], sides[1], seed, figure.read).as_dict(),
            }
        )
    return found
