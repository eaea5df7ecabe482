"""The report of an evaluation as plain values: figures, counts, what the judge said, notes, answers side by side.

A function of what was asked and answered: no clock, no store, no random order. ``app.services.evaluation_page`` makes
the page of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from app.services.evaluation_judge import Judged
from app.services.evaluation_request import EvaluateParams, ModelTarget
from app.services.evaluation_rows import EvaluationRow
from app.services.evaluation_scores import SIDES, Scored, figures_of
from app.services.evaluation_stats import LEVEL, RESAMPLES
from corpora.korean.analyse import tokenizer_version
from generators.particles import with_particle

__all__ = ["MAX_OUTPUTS", "Findings", "build_report", "notes_of_judge", "output_lines", "results_of"]

#: Rows that the JSON report and the page show side by side; the file of answers has all of them.
MAX_OUTPUTS = 1000
#: Fewer rows than this make intervals that are wide, and percentile intervals that are too narrow.
FEW_ROWS = 30
#: More unreadable judgements than this share: the judge does not do what it is asked.
MOST_UNREADABLE = 0.1
#: Fewer bad answers caught than this share: the judge cannot tell good from bad.
LEAST_CAUGHT = 0.8
#: More pairs judged by their order than this share: the judge looks at places, not at answers.
MOST_INCONSISTENT = 0.3


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """Everything that a report is made of."""

    params: EvaluateParams
    rows: Sequence[EvaluationRow]  #: What was asked.
    in_file: int  #: Rows that the file holds.
    answers: Sequence[dict[str, Any]]  #: Lines of ``training.answers``.
    scored: Scored
    judged: Judged | None = None  #: None where there was no judge.
    judge_prompts: dict[str, str] | None = None  #: Prompts of the judge with version and hash.
    benchmarks: dict[str, Any] | None = None  #: By side, task and metric.
    seen: int | None = None  #: Rows that the training file holds too; None where that file is not known.
    validated: int | None = None  #: The same of the training's validation file.


def _notes_of_rows(found: Findings) -> Iterator[tuple[str, str]]:
    params, scored = found.params, found.scored
    if params.judge_absent is not None:
        yield "no_judge", f"심사 지표가 없습니다: {params.judge_absent}"
    if found.judged is not None and found.judged.stopped is not None:
        left = len(scored.rows) - len(found.judged.rows)
        yield "judge_stopped", f"심사가 도중에 멈추어 {left:,}행은 심사하지 못했습니다: {found.judged.stopped.message}"
    if params.split in ("train", "all"):
        yield "not_held_out", "학습에 쓰였을 수 있는 행에서 쟀습니다. 새 질문에 대한 실력이 아닙니다."
    if found.seen:
        yield "seen_in_training", f"{found.seen:,}행은 학습 파일에도 있습니다. 외운 답일 수 있습니다."
    if found.validated:
        yield (
            "seen_in_validation",
            f"{found.validated:,}행은 학습할 때의 검증 파일에도 있습니다. 그 파일로 가장 좋은 단계를 골랐다면 점수가 "
            "실제보다 높습니다.",
        )
    if found.in_file > len(found.rows):
        drawn = with_particle(f"시드 {params.seed}", "으로/로")
        yield "drawn", f"{found.in_file:,}행 가운데 {len(found.rows):,}행을 {drawn} 뽑았습니다."
    if len(scored.rows) < FEW_ROWS:
        yield "few_rows", f"비교한 행이 {len(scored.rows):,}개뿐입니다. 신뢰구간이 넓고 정확하지 않습니다."


def notes_of_judge(judged: Judged, check: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Why the judge's figures are not to be trusted.

    Args:
        judged: What the judge said.
        check: How it did on the bad answers of every kind.
    """
    unreadable, asked = judged.readings()
    if asked and unreadable / asked > MOST_UNREADABLE:
        yield (
            "judge_unreadable",
            f"심사 {asked:,}건 가운데 {unreadable:,}건({unreadable / asked:.1%})을 읽을 수 없었습니다. "
            "심사 모델이 형식을 지키지 않으니 심사 지표를 믿지 마십시오.",
        )
    ways = (("점수로", check["by_score"]), ("비교로", check["by_comparison"]))
    told = [(way, found) for way, found in ways if found["share"] is not None]
    if any(found["share"] < LEAST_CAUGHT for _, found in told):
        caught = ", ".join(f"{way} {found['n']:,}개 중 {found['share']:.1%}" for way, found in told)
        yield (
            "judge_fails_check",
            f"심사 모델이 일부러 망친 답을 다 가려내지 못했습니다({caught}). 심사 지표를 믿지 마십시오.",
        )
    turned, pairs = judged.turns()
    if pairs and turned / pairs > MOST_INCONSISTENT:
        yield (
            "judge_inconsistent",
            f"비교한 {pairs:,}쌍 가운데 {turned:,}쌍({turned / pairs:.1%})은 답의 순서를 바꾸자 판정도 바뀌었습니다.",
        )


def _templates_differ(base: ModelTarget, tuned: ModelTarget) -> bool:
    """By the templates' own text where both models bring one: two of one recipe differ by a stop phrase, say."""
    if base.template is not None and tuned.template is not None:
        return base.template != tuned.template
    return base.recipe != tuned.recipe


def _notes_of_models(params: EvaluateParams) -> Iterator[tuple[str, str]]:
    if params.targets["base"].base != params.targets["tuned"].base:
        yield "different_bases", "두 모델의 바탕이 다릅니다. 토큰이 다르면 퍼플렉서티는 견줄 수 없습니다."
    if _templates_differ(params.targets["base"], params.targets["tuned"]):
        yield "different_templates", "두 모델에 서로 다른 대화 틀로 물었습니다."
    if "diversity" in params.metrics and (params.repeats < 2 or params.repeat_rows == 0):
        yield "no_repeats", "같은 질문을 되풀이하지 않아 다양성을 재지 못했습니다(repeats는 2 이상)."
    if params.temperature > 0:
        yield (
            "sampled",
            f"온도 {with_particle(f'{params.temperature:g}', '으로/로')} 뽑은 답입니다. 탐욕 생성이 아닙니다.",
        )


def results_of(found: Findings) -> dict[str, Any]:
    """What the evaluation's object shows: figures and counts, without the answers."""
    params, seed = found.params, found.params.seed
    notes = [*_notes_of_rows(found), *_notes_of_models(params)]
    tallies = {side: dict(found.scored.tallies[side]) for side in SIDES}
    judge: dict[str, Any] | None = None
    if found.judged is not None:
        for side, scores in found.judged.tallies().items():
            if scores:
                tallies[side]["judge_score"] = scores
        judge = {"model": params.judge_model, "prompts": found.judge_prompts}
        judge |= found.judged.report(len(found.scored.rows), seed)
        notes += notes_of_judge(found.judged, judge["check"]["all"])
    return {
        "rows": {"in_file": found.in_file, **found.scored.counts(), "seen_in_training": found.seen},
        "metrics": figures_of(tallies, seed),
        "judge": judge,
        "benchmarks": found.benchmarks,
        "notes": [{"code": code, "message": message} for code, message in notes],
    }


def _outputs(found: Findings) -> Iterator[dict[str, Any]]:
    """Every row with both answers, the ones that could not be scored too."""
    first = {(one["row"], one["side"]): one for one in found.answers if one["sample"] == 0}
    for row in found.rows:
        shown: dict[str, Any] = {"row": row.row, "messages": list(row.prompt), "reference": row.reference}
        for side in SIDES:
            answer = first.get((row.row, side))
            if answer is None:
                shown[side] = None
                continue
            kept = {name: value for name, value in answer.items() if name not in ("row", "side", "sample")}
            scores = {
                name: of_row[row.row].numerator / of_row[row.row].denominator
                for name, of_row in found.scored.tallies[side].items()
                if row.row in of_row and name != "perplexity"
            }
            shown[side] = kept | {"scores": scores}
        shown["judge"] = found.judged.said(row.row) if found.judged is not None else None
        yield shown


def output_lines(found: Findings) -> Iterator[bytes]:
    """Both answers to every row, side by side, as JSON lines."""
    for shown in _outputs(found):
        yield (json.dumps(shown, ensure_ascii=False) + "\n").encode()


def build_report(evaluation_id: str, found: Findings) -> dict[str, Any]:
    """The whole report."""
    params = found.params
    outputs = [shown for shown, _ in zip(_outputs(found), range(MAX_OUTPUTS), strict=False)]
    return {
        "object": "evaluation.report",
        "id": evaluation_id,
        "base_model": params.base_model,
        "model": params.model,
        "asked": {
            "seed": params.seed,
            "temperature": params.temperature,
            "max_tokens": params.max_tokens,
            "speech_level": params.speech_level,
            "repeats": params.repeats,
            "repeat_rows": params.repeat_rows,
            "recipes": {side: params.targets[side].recipe for side in SIDES},
        },
        **results_of(found),
        "versions": {
            "tokenizer": tokenizer_version(),
            "intervals": f"percentile bootstrap over rows, {RESAMPLES} resamples, {LEVEL:.0%}",
        },
        "outputs": outputs,
        "outputs_left_out": len(found.rows) - len(outputs),
    }
