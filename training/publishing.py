"""Which weights a run publishes, why, and whether patience ended it: one event, in Korean, with data.

``published(end)`` gives the message and the values of the event; what a trainer is, is not known here. Use::

    message, data = published(End(steps=12, planned=60, valid_losses={6: 1.2, 12: 1.4}, patience=2, ...))
    events.emit("message", message, {"published": data})
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["End", "published"]


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """How a run ended."""

    steps: int  #: Updates that were made.
    planned: int  #: Updates that were planned.
    best_step: int | None  #: With the lowest loss on held-out rows; None where none were measured.
    restored: bool  #: Whether the weights of that step were taken back.
    stopped_early: bool
    patience: int  #: Evaluations without gain that end a run; 0 never does.
    valid_losses: Mapping[int, float]  #: On held-out rows, by step.


def published(end: End) -> tuple[str, dict[str, Any]]:
    """What is said, and its values."""
    best = end.best_step
    lowest = end.valid_losses.get(best) if best is not None else None
    last = end.valid_losses.get(end.steps)
    step = best if end.restored and best is not None else end.steps
    why = "best" if end.restored else "no_validation" if best is None else "no_early_stopping"
    if not end.restored and best == end.steps:
        why = "last_is_best"
    data = {
        "step": step,
        "why": why,
        "best_step": best,
        "best_valid_loss": lowest,
        "last_step": end.steps,
        "last_valid_loss": last,
        "planned_steps": end.planned,
        "stopped_early": end.stopped_early,
        "patience": end.patience,
    }
    said = ""
    if end.stopped_early:
        said = (
            f"검증 손실이 {end.patience}번 이어서 더 낮아지지 않아, 계획한 {end.planned:,}단계 가운데 "
            f"{end.steps:,}단계에서 일찍 멈추었습니다. "
        )
    return said + _why(end, step, lowest, last), data


def _why(end: End, step: int, lowest: float | None, last: float | None) -> str:
    if end.restored:
        return f"검증 손실이 가장 낮은 {step:,}단계의 가중치를 모델로 냅니다{_loss(lowest)}."
    if end.best_step is None:
        return f"검증 데이터가 없어 마지막 {step:,}단계의 가중치를 모델로 냅니다."
    if end.best_step == step:
        return f"마지막이자 검증 손실이 가장 낮은 {step:,}단계의 가중치를 모델로 냅니다{_loss(lowest)}."
    return (
        f"조기 종료를 쓰지 않는 학습이라 마지막 {step:,}단계의 가중치를 모델로 냅니다{_loss(last)}. 검증 손실은 "
        f"{end.best_step:,}단계에서 가장 낮았습니다{_loss(lowest)}. "
        "early_stopping_patience를 1 이상으로 하면 가장 낮은 단계를 냅니다."
    )


def _loss(value: float | None) -> str:
    return "" if value is None else f"(검증 손실 {value:.4f})"
