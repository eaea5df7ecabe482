"""Which weights a run publishes, and why: what its last message says."""

from __future__ import annotations

from typing import Any

from training.publishing import End, published

LOSSES = {4: 1.5, 8: 1.25, 12: 1.375}


def end(**more: Any) -> End:
    values: dict[str, Any] = {
        "steps": 12,
        "planned": 12,
        "best_step": 8,
        "restored": False,
        "stopped_early": False,
        "patience": 0,
        "valid_losses": LOSSES,
    }
    return End(**(values | more))


def test_a_run_that_patience_ended() -> None:
    message, data = published(end(planned=60, restored=True, stopped_early=True, patience=2))
    assert message == (
        "검증 손실이 2번 이어서 더 낮아지지 않아, 계획한 60단계 가운데 12단계에서 일찍 멈추었습니다. "
        "검증 손실이 가장 낮은 8단계의 가중치를 모델로 냅니다(검증 손실 1.2500)."
    )
    assert data == {
        "step": 8,
        "why": "best",
        "best_step": 8,
        "best_valid_loss": 1.25,
        "last_step": 12,
        "last_valid_loss": 1.375,
        "planned_steps": 60,
        "stopped_early": True,
        "patience": 2,
    }


def test_a_run_without_patience_publishes_its_last_step_and_says_which_was_better() -> None:
    message, data = published(end())
    assert "마지막 12단계의 가중치를 모델로 냅니다(검증 손실 1.3750)" in message
    assert "8단계에서 가장 낮았습니다(검증 손실 1.2500)" in message
    assert "early_stopping_patience" in message
    assert (data["step"], data["why"], data["stopped_early"]) == (12, "no_early_stopping", False)


def test_the_last_step_may_be_the_best_or_the_only_one() -> None:
    message, data = published(end(best_step=12, valid_losses={12: 1.0}))
    assert message == "마지막이자 검증 손실이 가장 낮은 12단계의 가중치를 모델로 냅니다(검증 손실 1.0000)."
    assert (data["step"], data["why"]) == (12, "last_is_best")
    message, data = published(end(best_step=None, valid_losses={}))
    assert message == "검증 데이터가 없어 마지막 12단계의 가중치를 모델로 냅니다."
    assert (data["step"], data["why"], data["best_valid_loss"]) == (12, "no_validation", None)
