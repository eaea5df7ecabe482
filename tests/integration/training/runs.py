"""What tests of whole runs share: a configuration, events in a list, a kill at will, and when two runs are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from training.config import TrainConfig
from training.events import Events


class InterruptedRunError(Exception):
    """Stands for a kill right after a step was logged."""


class Heard(Events):
    """Events in a list; dies at a step, or at a kind of event, when asked to."""

    def __init__(self, die_at: int | str | None = None) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []
        self.levels: list[str] = []
        self.die_at = die_at

    def emit(self, type_: str, message: str, data: dict[str, Any] | None = None, level: str = "info") -> None:
        self.lines.append((type_, message, data or {}))
        self.levels.append(level)
        if self.die_at is not None and self.die_at in ((data or {}).get("step"), type_):
            raise InterruptedRunError

    def result(self) -> dict[str, Any]:
        return next(data for type_, _, data in self.lines if type_ == "result")

    def said(self, words: str) -> bool:
        """Whether an event's message holds ``words``."""
        return any(words in message for _, message, _ in self.lines)


def config(base: Path, file: Path, out: Path, **more: Any) -> TrainConfig:
    """A run of twelve steps; held-out rows stand beside the training file, if there are any."""
    held = file.with_name(f"검증-{file.name}")
    values = {"base": str(base), "base_label": "tiny", "training_file": file, "output_dir": out, "recipe": "demo",
              "validation_file": held if held.exists() else None, "max_steps": 12, "resume": True}  # fmt: skip
    return TrainConfig.model_validate(values | more)


def same_outcome(expected: dict[str, Any], got: dict[str, Any]) -> None:
    """Losses, curve, tokens, checkpoints and weights are the same to the last bit."""
    assert (got["steps"], got["trained_tokens"]) == (expected["steps"], expected["trained_tokens"])
    assert [entry["step"] for entry in got["checkpoints"]] == [entry["step"] for entry in expected["checkpoints"]]
    for name in ("train_loss_before", "train_loss_after", "valid_loss_before", "valid_loss_after"):
        assert got[name] == expected[name]
    assert Path(got["result_csv"]).read_text() == Path(expected["result_csv"]).read_text()
    weights = [load_file(Path(r["adapter_dir"]) / "adapter_model.safetensors") for r in (expected, got)]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name]), name
