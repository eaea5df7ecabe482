"""The result file, checkpoints' metrics, a full disk in every library's words, and libraries that are not there."""

from __future__ import annotations

import csv
import errno
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from corpora.errors import MissingExtraError
from training.config import TrainConfig
from training.disk import disk_guard
from training.errors import DiskFullError
from training.plots import draw_curves
from training.results import checkpoint_metrics, rows_of, write_csv
from training.tracking import check_tracking

LOG: list[dict[str, Any]] = [
    {"step": 1, "loss": 2.5, "mean_token_accuracy": 0.4, "learning_rate": 1e-4, "grad_norm": 0.9, "epoch": 0.5,
     "num_input_tokens_seen": 100, "entropy": 3.0},
    {"step": 2, "loss": 2.0, "mean_token_accuracy": 0.5, "learning_rate": 9e-5, "grad_norm": 0.8, "epoch": 1.0,
     "num_input_tokens_seen": 210},
    {"step": 2, "eval_loss": 2.2, "eval_mean_token_accuracy": 0.45, "epoch": 1.0},
    {"step": 3, "loss": 1.5, "learning_rate": 8e-5, "grad_norm": 0.7, "epoch": 1.5, "num_input_tokens_seen": 300},
    {"step": 3, "train_runtime": 9.0, "train_loss": 2.0, "epoch": 1.5, "num_input_tokens_seen": 300},
]  # fmt: skip


def test_the_result_file_has_openais_columns_first(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "결과.csv", rows_of(LOG))
    with path.open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    names = "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy,full_valid_loss,"
    names += "full_valid_mean_token_accuracy,learning_rate,grad_norm,epoch,tokens"
    assert list(rows[0]) == names.split(",")
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    assert [row["valid_loss"] for row in rows] == ["", "2.2", ""]
    assert [row["tokens"] for row in rows] == ["100", "210", "300"]


def test_a_run_on_pairs_has_their_columns(tmp_path: Path) -> None:
    rows = rows_of([LOG[0] | {"rewards/margins": 0.1, "rewards/accuracies": 0.5}])
    header = write_csv(tmp_path / "r.csv", rows).read_text(encoding="utf-8").splitlines()[0]
    assert header.endswith(",tokens,reward_margin,reward_accuracy")


def test_a_checkpoint_has_what_was_measured_last() -> None:
    rows = rows_of(LOG)
    assert checkpoint_metrics(rows, 1) == {"step": 1, "train_loss": 2.5, "train_mean_token_accuracy": 0.4}
    assert checkpoint_metrics(rows, 3) == {
        "step": 3,
        "train_loss": 1.5,
        "train_mean_token_accuracy": 0.5,
        "valid_loss": 2.2,
        "valid_mean_token_accuracy": 0.45,
    }


def test_curves_of_one_point_and_of_none(tmp_path: Path) -> None:
    for number, log in enumerate((LOG, LOG[:1], [])):
        path = draw_curves(rows_of(log), "말모이 · demo", tmp_path / f"{number}.png")
        assert path.read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob("*.tmp"))


class SafetensorError(Exception):
    """As safetensors says it: no OSError."""


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_in_every_librarys_words(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(DiskFullError) as caught, disk_guard(tmp_path / "아직" / "없는"):
        raise error
    assert caught.value.__cause__ is error
    wrapped = RuntimeError("the writer failed")
    wrapped.__cause__ = error
    with pytest.raises(DiskFullError), disk_guard(tmp_path):
        raise wrapped


@pytest.mark.parametrize(
    "error", [OSError(errno.EACCES, "Permission denied"), RuntimeError("PytorchStreamWriter failed")]
)
def test_another_fault_stays_what_it_is(tmp_path: Path, error: Exception) -> None:
    """torch says no more than that it could not write; with room on the disk that was not the reason."""
    with pytest.raises(type(error)), disk_guard(tmp_path):
        raise error


def test_wandb_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "wandb" else whole(name))
    values = {"base": "b", "base_label": "b", "training_file": "f", "output_dir": tmp_path, "recipe": "demo"}
    check_tracking(TrainConfig.model_validate(values))
    asked = TrainConfig.model_validate(values | {"wandb": {"project": "말모이", "tags": ["kr"]}})
    with pytest.raises(MissingExtraError, match=r"pip install 'malmoi\[tracking\]'"):
        check_tracking(asked)
