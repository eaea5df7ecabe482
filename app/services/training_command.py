"""What the trainer is started with: its configuration file, and the command line for one or several GPUs.

Composes paths and values only; what they do is the trainer's business.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from app.services.context import Services
from app.services.devices import gpus
from app.services.models import DEMO_MODEL
from corpora.bundled import MANUAL_DIR
from training.config import LoraOverrides, TrainConfig, WandbConfig

__all__ = ["TrainJobParams", "process_count", "train_command", "train_config", "write_config"]


class TrainJobParams(BaseModel):
    """What a training job is asked; files are fixed by hash."""

    model: str
    recipe: str
    base_path: str
    training_file: str
    training_sha256: str
    validation_file: str | None
    validation_sha256: str | None
    suffix: str | None
    seed: int
    hyperparameters: dict[str, Any]
    lora: dict[str, Any] | None
    max_steps: int | None
    metadata: dict[str, str] | None
    method: Literal["supervised", "dpo"] = "supervised"
    integrations: list[dict[str, Any]] = []
    packing: bool | None = None
    max_length: int | None = None
    allow_truncated: float | None = None
    early_stopping_patience: int | None = None
    stop_phrase: str | None = None
    validation_fraction: float | None = None
    dataset_manifest: dict[str, Any] | None = None
    dataset_licence: str | None = None

    @property
    def dataset_sha256(self) -> str:
        """What the model card names the data by: a dataset's manifest, as JSON with sorted keys, or a file's bytes."""
        if self.dataset_manifest is None:
            return self.training_sha256
        canonical = json.dumps(self.dataset_manifest, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def train_config(services: Services, params: TrainJobParams, run_dir: Path) -> TrainConfig:
    """The trainer's configuration; what nobody asked for is left to its defaults."""
    hyper = params.hyperparameters
    demo = params.model == DEMO_MODEL
    optional: dict[str, Any] = {
        "packing": params.packing,
        "max_length": params.max_length,
        "allow_truncated": params.allow_truncated,
        "early_stopping_patience": params.early_stopping_patience,
        "stop_phrase": params.stop_phrase,
        "validation_fraction": params.validation_fraction,
        "max_steps": params.max_steps,
        "suffix": params.suffix,
        "dataset_licence": params.dataset_licence,
        "lora": LoraOverrides(**params.lora) if params.lora else None,
        "wandb": _wandb(params.integrations),
        "beta": hyper.get("beta"),
        "validation_file": services.blobs.path(params.validation_sha256) if params.validation_sha256 else None,
        "demo_corpus": MANUAL_DIR if demo else None,
        "models_dir": Path(params.base_path).parent if demo else None,
    }
    return TrainConfig(
        base=params.base_path,
        base_label=params.model,
        training_file=services.blobs.path(params.training_sha256),
        output_dir=run_dir / "out",
        recipe=params.recipe,
        method=params.method,
        seed=params.seed,
        n_epochs=hyper["n_epochs"],
        batch_size=hyper["batch_size"],
        learning_rate_multiplier=hyper["learning_rate_multiplier"],
        dataset_sha256=params.dataset_sha256,
        resume=True,
        **{name: value for name, value in optional.items() if value is not None},
    )


def _wandb(integrations: list[dict[str, Any]]) -> WandbConfig | None:
    for integration in integrations:
        asked = integration["wandb"]
        return WandbConfig(**{name: value for name, value in asked.items() if value is not None})
    return None


def write_config(config: TrainConfig, run_dir: Path) -> Path:
    """The configuration as the file that the trainer reads, whole or not at all."""
    path = run_dir / "config.json"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(config.model_dump_json(exclude_unset=True, indent=1), encoding="utf-8")
    os.replace(temporary, path)
    return path


def train_command(config_path: Path, processes: int) -> list[str]:
    """The trainer's command line: plain Python for one process, ``accelerate launch`` for one a GPU.

    Every process of a launch inherits standard input and output; only the first may read and write them.
    """
    train = ["training", "train", str(config_path), "--exit-with-parent"]
    if processes <= 1:
        return [sys.executable, "-m", *train]
    launch = ["--multi_gpu", "--num_machines", "1", "--num_processes", str(processes), "--main_process_port", "0"]
    # Said, not left to a configuration file in somebody's home: precision is the recipe's, torch.compile is off.
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    return [sys.executable, "-m", "accelerate.commands.launch", *launch, "--module", *train]


def process_count(setting: int | Literal["auto"]) -> int:
    """Processes of one training: as many as set, or one for each GPU that torch would see but the last.

    That one is left to chat. A single GPU is training's: chat comes back when the job has ended.
    """
    return max(1, len(gpus()) - 1) if setting == "auto" else setting
