"""The trainer's command line and configuration, for one GPU and for several."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from app.services.chat_process import chat_process
from app.services.context import Services
from app.services.devices import training_environment
from app.services.training_command import TrainJobParams, process_count, train_command, train_config, write_config
from app.settings import Settings
from app.store.blobs import BlobStore
from app.store.database import open_store
from app.store.jobs import JobStore
from training.config import TrainConfig

CONFIG = Path("/자료/config.json")
HYPER = {"n_epochs": 2, "batch_size": "auto", "learning_rate_multiplier": 0.5}


def params(**changes: object) -> TrainJobParams:
    given: dict[str, object] = {
        "model": "아기",
        "recipe": "demo",
        "base_path": "/models/아기",
        "training_file": "file-1",
        "training_sha256": "a" * 64,
        "validation_file": None,
        "validation_sha256": None,
        "suffix": "물류",
        "seed": 3,
        "hyperparameters": HYPER,
        "lora": None,
        "max_steps": None,
        "metadata": None,
    }
    return TrainJobParams.model_validate(given | changes)


@pytest.fixture
def services(tmp_path: Path) -> Services:
    settings = Settings(data_dir=tmp_path / "data")
    store = open_store(None, settings.data_dir)
    return Services(settings=settings, store=store, blobs=BlobStore(tmp_path / "blobs"), jobs=JobStore(store))


@pytest.mark.parametrize("processes", [0, 1])
def test_one_process_needs_no_launcher(processes: int) -> None:
    command = train_command(CONFIG, processes)
    assert command == [sys.executable, "-m", "training", "train", str(CONFIG), "--exit-with-parent"]


def test_several_processes_are_launched(tmp_path: Path) -> None:
    command = train_command(CONFIG, 4)
    assert command[:3] == [sys.executable, "-m", "accelerate.commands.launch"]
    assert command[command.index("--num_processes") + 1] == "4"
    assert command[command.index("--module") :] == [
        "--module",
        "training",
        "train",
        str(CONFIG),
        "--exit-with-parent",
    ]
    # The launcher itself reads the line as it is meant.
    from accelerate.commands.launch import launch_command_parser

    read = launch_command_parser().parse_args(command[3:])
    assert (read.num_processes, read.multi_gpu, read.module, read.training_script) == (4, True, True, "training")
    assert read.training_script_args == ["train", str(CONFIG), "--exit-with-parent"]
    assert (read.mixed_precision, read.dynamo_backend, read.main_process_port) == ("no", "no", 0)


def test_the_setting_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert process_count(3) == 3
    for seen, taken in ((0, 1), (1, 1), (2, 1), (3, 2), (8, 7)):
        usable = tuple(map(str, range(seen)))
        monkeypatch.setattr("app.services.training_command.gpus", lambda usable=usable: usable)
        assert process_count("auto") == taken


@pytest.mark.parametrize(
    ("count", "setting", "trains", "chats", "shared"),
    [
        # On the CPU both compute side by side; nobody is told of devices.
        (0, "auto", None, None, False),
        (0, 1, None, None, False),
        (1, "auto", None, None, True),
        (1, 1, None, None, True),
        (2, "auto", "4", "6", False),
        (2, 1, "4", "6", False),
        (2, 2, None, "6", True),
        (3, "auto", "4,6", "8", False),
        (4, "auto", "4,6,8", "9", False),
        (4, 1, "4", "9", False),
        (4, 2, "4,6", "9", False),
        (4, 4, None, "9", True),
    ],
)
def test_training_and_chat_agree_about_the_gpus(
    services: Services,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    setting: int | Literal["auto"],
    trains: str | None,
    chats: str | None,
    shared: bool,
) -> None:
    """Chat has a GPU of its own, or a lease on what training takes; never neither, where there is a GPU."""
    usable = ("4", "6", "8", "9")[:count]
    for module in ("training_command", "chat_process"):
        monkeypatch.setattr(f"app.services.{module}.gpus", lambda: usable)
    chosen = services.settings.model_copy(update={"train_gpus": setting, "chat_idle_s": 5.0})
    process = chat_process(replace(services, settings=chosen))
    training = training_environment(usable, process_count(setting)).get("CUDA_VISIBLE_DEVICES")
    chat = process._environ.get("CUDA_VISIBLE_DEVICES")
    assert (training, chat, process._leases is not None) == (trains, chats, shared)
    assert process._limits.idle_s == 5.0
    taken = set(usable if training is None else training.split(","))
    assert len(taken) == min(count, process_count(setting))
    assert shared == bool(taken & set(usable[-1:] if chat is None else [chat]))


def test_what_nobody_asked_for_is_left_to_the_trainer(services: Services, tmp_path: Path) -> None:
    config = train_config(services, params(), tmp_path)
    assert "packing" not in config.model_fields_set
    assert "beta" not in config.model_fields_set
    assert "validation_fraction" not in config.model_fields_set
    assert (config.method, config.n_epochs, config.learning_rate_multiplier) == ("supervised", 2, 0.5)
    assert config.dataset_sha256 == "a" * 64
    assert config.dataset_licence is None
    assert config.resume


def test_everything_that_was_asked_for_arrives(services: Services, tmp_path: Path) -> None:
    wandb = {"type": "wandb", "wandb": {"project": "말모이", "tags": ["하나", "둘"]}}
    asked = params(
        method="dpo",
        hyperparameters=HYPER | {"beta": 0.2},
        validation_file="file-2",
        validation_sha256="b" * 64,
        integrations=[wandb],
        lora={"r": 4},
        packing=False,
        max_length=256,
        allow_truncated=0.0,
        early_stopping_patience=0,
        max_steps=9,
    )
    path = write_config(train_config(services, asked, tmp_path), tmp_path)
    read = TrainConfig.model_validate_json(path.read_text(encoding="utf-8"))
    assert (read.method, read.beta, read.packing, read.max_length) == ("dpo", 0.2, False, 256)
    assert (read.allow_truncated, read.early_stopping_patience, read.max_steps) == (0.0, 0, 9)
    assert read.lora is not None
    assert (read.lora.r, read.lora.alpha) == (4, None)
    assert read.wandb is not None
    assert (read.wandb.project, read.wandb.tags) == ("말모이", ("하나", "둘"))
    assert read.validation_file == services.blobs.path("b" * 64)
    assert "아기" in path.read_text(encoding="utf-8")


def test_a_dataset_is_named_by_its_manifest(services: Services, tmp_path: Path) -> None:
    manifest = {"version": 3, "dataset_id": "dataset_1", "versions": {"tokenizer": "가"}}
    config = train_config(services, params(dataset_manifest=manifest, dataset_licence="CC-BY-4.0"), tmp_path)
    # Anybody can make the same hash of what the job shows.
    shown = '{"dataset_id":"dataset_1","version":3,"versions":{"tokenizer":"가"}}'
    assert config.dataset_sha256 == hashlib.sha256(shown.encode()).hexdigest()
    assert config.dataset_licence == "CC-BY-4.0"


def test_a_share_of_the_training_file_is_held_out(services: Services, tmp_path: Path) -> None:
    config = train_config(services, params(validation_fraction=0.2), tmp_path)
    assert (config.validation_fraction, config.validation_file) == (0.2, None)
