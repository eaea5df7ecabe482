"""The trainer's log as tables: rows by step, the result CSV, the metrics of a checkpoint.

The log travels with every checkpoint, so rows of earlier attempts are in it. Knows nothing of torch.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.checkpoints import sealed_checkpoints

__all__ = ["COLUMNS", "checkpoint_metrics", "kept_checkpoints", "rows_of", "write_csv"]

#: Column of the result file and the log's name of it; OpenAI's five columns first, then ours.
COLUMNS: Mapping[str, str] = {
    "step": "step",
    "train_loss": "loss",
    "train_accuracy": "mean_token_accuracy",
    "valid_loss": "eval_loss",
    "valid_mean_token_accuracy": "eval_mean_token_accuracy",
    "full_valid_loss": "eval_full_loss",
    "full_valid_mean_token_accuracy": "eval_full_mean_token_accuracy",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "epoch": "epoch",
    "tokens": "num_input_tokens_seen",
}
#: Further columns of a run on preference pairs.
REWARDS: Mapping[str, str] = {
    "reward_margin": "rewards/margins",
    "reward_accuracy": "rewards/accuracies",
    "valid_reward_margin": "eval_rewards/margins",
    "valid_reward_accuracy": "eval_rewards/accuracies",
}
_MEASURED = ("loss", "eval_loss")
_OF_CHECKPOINTS = (
    "train_loss",
    "train_accuracy",
    "valid_loss",
    "valid_mean_token_accuracy",
    "full_valid_loss",
    "full_valid_mean_token_accuracy",
)
#: The result file says ``train_accuracy`` where OpenAI's events and checkpoints say this.
_ACCURACY = "train_mean_token_accuracy"

Row = dict[str, Any]


def rows_of(log: Sequence[Mapping[str, Any]]) -> dict[int, Row]:
    """The log by step, in the result file's names; entries without a loss, as the summary at the end, are no rows."""
    rows: dict[int, Row] = {}
    names = {**COLUMNS, **REWARDS}
    for entry in log:
        if any(name in entry for name in _MEASURED):
            row = rows.setdefault(int(entry["step"]), {})
            row.update({column: entry[name] for column, name in names.items() if name in entry})
    return dict(sorted(rows.items()))


def write_csv(path: Path, rows: Mapping[int, Row]) -> Path:
    """Every row, whole or not at all; blank where nothing was measured."""
    columns = [*COLUMNS, *(name for name in REWARDS if any(name in row for row in rows.values()))]
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, columns, restval="")
        writer.writeheader()
        writer.writerows(rows.values())
    os.replace(temporary, path)
    return path


def checkpoint_metrics(rows: Mapping[int, Row], step: int) -> Row:
    """What was measured last at or before ``step``, in the names of OpenAI's checkpoint object."""
    merged: Row = {}
    for at, row in rows.items():
        if at <= step:
            merged |= row
    found = {_ACCURACY if name == "train_accuracy" else name: merged.get(name) for name in _OF_CHECKPOINTS}
    return {"step": step} | {name: value for name, value in found.items() if value is not None}


def kept_checkpoints(folder: Path, rows: Mapping[int, Row]) -> list[Row]:
    """Kept checkpoints, the oldest first, with their metrics."""
    return [
        {"step": step, "path": str(path), "metrics": checkpoint_metrics(rows, step)}
        for step, path in sealed_checkpoints(folder)
    ]
