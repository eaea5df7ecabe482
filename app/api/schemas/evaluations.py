"""Evaluations: a base against a tuned model, and their report."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from app.api.schemas.common import Answer, JobError, Seconds

__all__ = ["Evaluation", "EvaluationReport"]


class EvaluationProgress(Answer):
    """How far the evaluation is."""

    phase: Literal["reading", "answering", "benchmarks", "scoring", "judging", "done"] | None
    done: int
    total: int | None = Field(description="null before it is known.")


class EvaluationRows(Answer):
    """Rows: total = scored + failed."""

    in_file: int = Field(description="Rows that there are; `total` of them were drawn.")
    total: int
    scored: int = Field(description="Rows that both models have answered; every figure rests on these.")
    failed: int
    failures: dict[str, int] = Field(description="Failed rows by cause.")
    seen_in_training: int | None = Field(description="Rows that the model's training file holds; null if unknown.")


class EvaluationEstimate(Answer):
    """A figure with its 95 % bootstrap interval."""

    value: float | None
    low: float | None
    high: float | None
    n: int = Field(description="Rows that it rests on.")


class EvaluationMetric(Answer):
    """One figure of both models, and the difference over the rows that both have."""

    name: str
    group: str
    label: str
    unit: Literal["share", "perplexity", "tokens", "score"]
    better: Literal["higher", "lower"] | None
    base: EvaluationEstimate
    tuned: EvaluationEstimate
    difference: EvaluationEstimate


class EvaluationComparison(Answer):
    """The tuned model against the base, each pair judged in both places."""

    compared: int = Field(description="win + tie + lose + inconsistent.")
    unreadable: int
    win: int
    tie: int
    lose: int
    inconsistent: int = Field(description="The judge changed its mind with the places; half a win.")
    win_rate: EvaluationEstimate
    consistency: float | None = Field(description="Share of pairs that were judged alike in both places.")


class EvaluationCaught(Answer):
    """How many wrong answers were ranked below the true one."""

    n: int
    caught: int
    share: float | None


class EvaluationCheck(Answer):
    """The judge put to the test on wrong answers of one kind."""

    answers: int
    by_score: EvaluationCaught
    by_comparison: EvaluationCaught
    inconsistent: int = Field(
        default=0, description="Pairs whose judgement turned with their order, among those of `by_comparison`."
    )
    unreadable: dict[str, int]


class EvaluationStop(Answer):
    """Why the judge stopped before the end."""

    code: str
    message: str


class EvaluationJudge(Answer):
    """What the judge said: scored rows = judged + not judged."""

    model: str | None
    prompts: dict[str, str]
    judged: int
    not_judged: int
    unreadable_grades: dict[str, int]
    comparison: EvaluationComparison
    check: dict[str, EvaluationCheck] = Field(description="`shuffled`, `truncated`, `wrong_number`, `all`.")
    stopped: EvaluationStop | None


class EvaluationNote(Answer):
    """Something to know when reading the figures."""

    code: str
    message: str


class EvaluationResults(Answer):
    """Figures and counts."""

    rows: EvaluationRows
    metrics: list[EvaluationMetric]
    judge: EvaluationJudge | None
    benchmarks: dict[str, dict[str, dict[str, float]]] | None = Field(description="By side, task and metric.")
    notes: list[EvaluationNote]


class Evaluation(Answer):
    """An evaluation."""

    id: str
    object: Literal["evaluation"]
    created_at: Seconds
    status: Literal["queued", "running", "paused", "succeeded", "incomplete", "failed", "cancelled"]
    base_model: str
    model: str
    dataset_id: str | None
    file_id: str | None
    split: Literal["test", "train", "all"] | None = Field(description="null for a file.")
    metrics: list[str]
    judge_model: str | None
    judge_absent: str | None = Field(description="Why there is no judge, where its metrics were asked for.")
    max_rows: int | None
    seed: int
    progress: EvaluationProgress
    results: EvaluationResults | None
    result_files: list[str] = Field(description="Report (JSON), page (HTML), answers side by side (JSON Lines).")
    error: JobError | None
    started_at: Seconds | None
    finished_at: Seconds | None


class EvaluationReport(EvaluationResults):
    """The report: the results, how they were made, and the answers side by side."""

    object: Literal["evaluation.report"]
    id: str
    base_model: str
    model: str
    asked: dict[str, Any]
    versions: dict[str, str]
    outputs: list[dict[str, Any]] = Field(description="Rows with both answers, at most 1,000.")
    outputs_left_out: int
