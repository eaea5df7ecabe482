"""What is looked at before a GPU hour is spent: tokens, cuts, stop tokens, overlap, memory, time, licence.

``preflight`` takes what was encoded and what is planned, and gives one value for the log, the job and the model card::

    checks = preflight(subject, Budget(total_steps=…, …), allow_truncated=config.allow_truncated)
    events.emit("preflight", checks.summary(), checks.as_dict(), "warn" if checks.warnings else "info")

It raises where hours would be wasted for certain: too many rows cut, answers that end without their stop token,
validation rows that are the training rows. All else is a warning, in Korean, in ``warnings``. Loads no model.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from corpora.overlap import Overlap
from training.duration import Duration, Work, by_card, by_speed, in_words
from training.encoding import EncodingReport, stop_ids
from training.errors import BaseModelError, PreflightError
from training.estimate import Estimate, ModelShape, estimate
from training.licence import licence_of
from training.packing_check import PackingCheck
from training.preflight_subject import Budget, Side, Subject
from training.preflight_warnings import warnings_of
from training.samples import Sample, samples_of
from training.templates import is_fallback

__all__ = ["Budget", "Preflight", "Side", "Subject", "preflight"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Preflight:
    """What was found; every field is plain, or says so itself by ``as_dict``."""

    samples: tuple[Sample, ...]  #: Three rows as the model reads them, trained tokens marked.
    train: EncodingReport
    valid: EncodingReport | None
    truncated_share: float  #: Of the training file's rows.
    share_seen: float
    total_steps: int
    stop_token: str  #: What every trained answer ends in.
    answers_checked: int  #: Trained answers whose last token was looked at, both sides.
    overlap: Overlap | None
    estimate: Estimate | None  #: None where config.json does not tell.
    seconds: float | None  #: The middle of ``duration``.
    duration: Duration | None  #: None where config.json does not tell.
    licence: str
    licence_source: str
    fallback_template: bool = False  #: Whether neither recipe nor tokenizer has a template, so that ours is used.
    warnings: tuple[str, ...] = field(default_factory=tuple)
    packing: PackingCheck | None = None  #: None where rows are not to be packed, and until the base is loaded.

    def with_packing(self, packing: PackingCheck) -> Preflight:
        """The same with what the loaded base made of packed rows; a warning where it cannot have them."""
        return replace(self, packing=packing, warnings=(*self.warnings, *(() if packing.apart else (packing.words(),))))

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)

    def summary(self) -> str:
        """One line for a log."""
        memory = f"{self.estimate.memory_bytes / 1e9:.1f} GB" if self.estimate else "알 수 없음"
        time = "알 수 없음"
        if self.duration is not None:
            how = "카드의 공칭 속도" if self.duration.how == "card" else "방금 잰 속도"
            time = f"{in_words(self.duration.low)}~{in_words(self.duration.high)}({how}로 어림)"
        return (
            f"사전 점검: {self.train.kept:,}행, 학습 토큰 {self.train.trained_tokens:,}개, 잘린 행 "
            f"{self.truncated_share:.1%}, 데이터의 {self.share_seen:.0%}를 봄, 예상 메모리 {memory}, 예상 시간 {time}, "
            f"경고 {len(self.warnings)}건"
        )


def preflight(subject: Subject, budget: Budget, *, allow_truncated: float = 0.01) -> Preflight:
    """Look at everything.

    Args:
        subject: Base, recipe and encoded rows.
        budget: Steps and device.
        allow_truncated: Largest share of rows that may lose tokens.

    Raises:
        PreflightError: more rows are cut (``too_many_truncated``), an answer does not end in its stop token
            (``stop_token_untrained``), or all validation rows are training rows (``validation_is_training``).
    """
    sides = [(subject.train, "training_file")] + ([(subject.valid, "validation_file")] if subject.valid else [])
    # A share that was held out is no file: how much of it is cut is chance.
    files = [(subject.whole, "training_file")] if subject.whole else [(side.report, param) for side, param in sides]
    for report, param in files:
        _check_cuts(report, param, subject.recipe.max_length, allow_truncated)
    stops = stop_ids(subject.tokenizer, subject.template)
    checked = sum(_check_stops(side, stops[0], param) for side, param in sides)
    _check_overlap(subject.overlap)
    shape = _shape(subject)
    needed = _estimate(subject, budget, shape) if shape else None
    duration = _duration(budget, needed, shape) if needed and shape else None
    licence = licence_of(subject.base, subject.recipe)
    fallback = is_fallback(subject.recipe, subject.template, Path(subject.base))
    return Preflight(
        samples=tuple(samples_of(subject.train.rows, subject.tokenizer)),
        train=subject.train.report,
        valid=subject.valid.report if subject.valid else None,
        truncated_share=_share(subject.whole or subject.train.report),
        share_seen=budget.share_seen,
        total_steps=budget.total_steps,
        stop_token=str(subject.tokenizer.convert_ids_to_tokens(stops[0])),
        answers_checked=checked,
        overlap=subject.overlap,
        estimate=needed,
        seconds=duration.middle if duration else None,
        duration=duration,
        licence=licence.name,
        licence_source=licence.source,
        fallback_template=fallback,
        warnings=tuple(warnings_of(subject, budget, needed, licence.source, fallback=fallback)),
    )


def _share(report: EncodingReport) -> float:
    return report.truncated / report.rows if report.rows else 0.0


def _check_cuts(report: EncodingReport, param: str, max_length: int, allowed: float) -> None:
    share = _share(report)
    if share <= allowed:
        return
    lines = ", ".join(map(str, report.truncated_lines[:20]))
    raise PreflightError(
        f"{report.truncated} of {report.rows} rows ({share:.1%}) are longer than {max_length} tokens and would lose "
        f"{report.tokens_cut} tokens; {allowed:.1%} may. The longest has {report.longest}. Lines {lines}"
        f"{' …' if report.truncated > 20 else '.'}",
        param=param,
        code="too_many_truncated",
        hint="Shorten or split these rows, raise max_length, or allow it by allow_truncated.",
    )


def _check_stops(side: Side, stop: int, param: str) -> int:
    """How many trained answers were looked at; each but the cut ones must end in the stop token."""
    ends = side.rows.last_trained()
    without = sum(token != stop for token in ends)
    if without > side.report.unstopped:
        raise PreflightError(
            f"{without} trained answers do not end in the stop token, but only {side.report.unstopped} were cut; the "
            "model would never stop.",
            param=param,
            code="stop_token_untrained",
            hint="Report this with the base's tokenizer: encoding should have refused the rows.",
        )
    return len(ends)


def _check_overlap(overlap: Overlap | None) -> None:
    if overlap is not None and overlap.rows == overlap.of > 0:
        raise PreflightError(
            f"All {overlap.of} validation examples are training examples too, so they validate nothing.",
            param="validation_file",
            code="validation_is_training",
            hint="Give a validation file with other examples, or none.",
        )


def _shape(subject: Subject) -> ModelShape | None:
    config = Path(subject.base) / "config.json"
    if not config.is_file():
        return None
    try:
        return ModelShape.of(json.loads(config.read_text(encoding="utf-8")))
    except BaseModelError:
        # An unusual config.json is no reason not to train; the warning says that nothing could be reckoned.
        return None


def _duration(budget: Budget, needed: Estimate, shape: ModelShape) -> Duration | None:
    work = Work(
        tokens=budget.total_steps * budget.tokens_per_step // budget.processes,
        micro_batches=budget.micro_batches,
        evaluated=budget.evaluated_tokens // budget.processes,
    )
    if budget.flops is not None:
        return by_card(needed, work, budget.flops)
    if budget.speed is None:
        return None
    return by_speed(needed, shape, work, budget.speed, checkpointing=budget.checkpointing)


def _estimate(subject: Subject, budget: Budget, shape: ModelShape) -> Estimate:
    return estimate(
        shape,
        lora_r=budget.lora_r,
        micro_batch=budget.micro_batch,
        tokens=budget.sequence_tokens,
        packing=subject.recipe.packing,
        quantised=budget.quantised,
        attention=budget.attention,
        checkpointing=budget.checkpointing,
    )
