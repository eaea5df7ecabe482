"""The trainer's log as live events: losses, accuracy, rate, gradient, speed, memory, and when it will end.

A callback; it also stops a run whose loss is no number, and one that was asked to pause. Knows nothing of where events
go.
"""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training.errors import TrainingDivergedError
from training.events import Events
from training.pause import Pause, PausedRun

__all__ = ["History", "memory_in_use"]

#: Events of training steps at most; the result file has every step.
MOST_EVENTS = 200
NAMES = {
    "loss": "train_loss",
    "mean_token_accuracy": "train_mean_token_accuracy",
    "eval_loss": "valid_loss",
    "eval_mean_token_accuracy": "valid_mean_token_accuracy",
    "eval_full_loss": "full_valid_loss",
    "eval_full_mean_token_accuracy": "full_valid_mean_token_accuracy",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "rewards/margins": "train_reward_margin",
    "rewards/accuracies": "train_reward_accuracy",
    "eval_rewards/margins": "valid_reward_margin",
    "eval_rewards/accuracies": "valid_reward_accuracy",
}
SHOWN = {"train_loss": "training loss", "valid_loss": "validation loss", "full_valid_loss": "full validation loss"}


def memory_in_use() -> int:
    """Bytes at the peak: of the GPU where there is one, else of this process."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@dataclass
class _Speed:
    """Tokens a second of training alone: evaluations and saving do not count."""

    began: float = 0.0
    seconds: float = 0.0
    tokens_before: int = 0

    def take(self, tokens: int) -> float | None:
        """Since the last call; None where nothing was trained."""
        speed = (tokens - self.tokens_before) / self.seconds if self.seconds else None
        self.seconds, self.tokens_before = 0.0, tokens
        return speed


@dataclass
class History(TrainerCallback):
    """Turns the trainer's log into events, stops a diverged run, pauses on request."""

    events: Events
    total_steps: int
    pause: Pause
    agree: Callable[[bool], bool] = bool  #: Whether any process was asked to pause; all of them must act alike.
    started: float = field(default_factory=time.time)
    first_step: int = 0
    speed: _Speed = field(default_factory=_Speed)
    row: dict[str, float] = field(default_factory=dict)
    pausing: bool = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Note where this attempt begins, for the estimate of the end."""
        self.first_step, self.started = state.global_step, time.time()
        self.speed = _Speed(tokens_before=state.num_input_tokens_seen)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The clock of an update."""
        self.speed.began = time.perf_counter()
        self.row = {}

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Count the update's time; where a pause was asked for, have a checkpoint made."""
        self.speed.seconds += time.perf_counter() - self.speed.began
        if self.agree(self.pause.asked):
            self.pausing = control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """The checkpoint that a pause asked for is whole: end here."""
        if self.pausing:
            raise PausedRun(state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Emit one line of the log.

        Raises:
            TrainingDivergedError: a loss or the gradient is no number.
        """
        logs = logs or {}
        step = state.global_step
        new = {target: float(logs[source]) for source, target in NAMES.items() if source in logs}
        if "train_loss" not in new and "valid_loss" not in new:
            return
        self.row |= new
        wrong = [name for name, value in self.row.items() if not math.isfinite(value)]
        if wrong:
            raise TrainingDivergedError(f"The loss is no number at step {step} ({', '.join(wrong)}).")
        every = max(1, self.total_steps // MOST_EVENTS)
        if "valid_loss" not in new and step % every and step != self.total_steps:
            return
        now = time.time()
        left = (now - self.started) / max(1, step - self.first_step) * (self.total_steps - step)
        data: dict[str, Any] = {"step": step, "total_steps": self.total_steps, **self.row}
        speed = self.speed.take(state.num_input_tokens_seen) if "train_loss" in new else None
        if speed is not None:
            data["tokens_per_second"] = round(speed, 1)
        data |= {"memory_bytes": memory_in_use(), "estimated_finish": int(now + left)}
        parts = [f"{words}={self.row[name]:.3f}" for name, words in SHOWN.items() if name in self.row]
        self.events.emit("metrics", f"Step {step}/{self.total_steps}: {', '.join(parts)}", data)
