"""The trainer as a process: killed, paused, left alone by its parent, started twice over; the curve stays the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.integration.training.runs import Heard, config, same_outcome
from training.checkpoints import sealed_checkpoints
from training.config import TrainConfig
from training.pause import Pause
from training.run import run_training
from training.steady import SteadyMixin

pytestmark = pytest.mark.usefixtures("small_recipe")


class PausingAt(Heard):
    """Asks for a pause when a step is logged: the step is over, its end is not."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step, self.pause = step, Pause()

    def emit(self, type_: str, message: str, data: dict[str, Any] | None = None, level: str = "info") -> None:
        super().emit(type_, message, data, level)
        if type_ == "metrics" and (data or {}).get("step") == self.step:
            self.pause.ask()


@pytest.mark.parametrize("packing", [pytest.param(False, marks=pytest.mark.long), True])
def test_a_paused_run_goes_on_as_if_nothing_had_been(
    tiny_base: Path, training_file: Path, tmp_path: Path, packing: bool
) -> None:
    """Paused at a step that is no step of an evaluation, in the middle of an epoch, with dropout on."""
    asked = {"packing": packing, "batch_size": 4}
    calm, paused, resumed = Heard(), PausingAt(4), Heard()
    run_training(config(tiny_base, training_file, tmp_path / "calm", **asked), calm)
    run_training(config(tiny_base, training_file, tmp_path / "paused", **asked), paused, paused.pause)
    assert paused.lines[-1][0] == "paused"
    assert paused.lines[-1][2] == {"step": 5}
    assert not any(type_ == "result" for type_, _, _ in paused.lines)
    run_training(config(tiny_base, training_file, tmp_path / "paused", keep_checkpoints=3, **asked), resumed)
    assert resumed.said("checkpoint-5에서 이어서")
    same_outcome(calm.result(), resumed.result())


def test_adapter_weights_keep_their_precision(
    tiny_base: Path, training_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library loads them as float32: the test fails where it no longer does, and then the mending can go."""
    from transformers import Trainer

    loaded: list[set[torch.dtype]] = []
    whole = Trainer._load_from_checkpoint

    def spy(trainer: Any, folder: str, model: Any = None) -> None:
        whole(trainer, folder, model)
        loaded.append({p.dtype for n, p in trainer.model.named_parameters() if "lora_" in n})

    used: list[set[torch.dtype]] = []
    epoch = SteadyMixin._run_epoch

    def spy_epoch(trainer: Any, *args: Any, **kwargs: Any) -> None:
        used.append({p.dtype for p in trainer.model.parameters() if p.requires_grad})
        epoch(trainer, *args, **kwargs)

    monkeypatch.setattr(Trainer, "_load_from_checkpoint", spy)
    monkeypatch.setattr(SteadyMixin, "_run_epoch", spy_epoch)
    asked = config(tiny_base, training_file, tmp_path)
    paused = PausingAt(2)
    run_training(asked, paused, paused.pause)
    run_training(asked, Heard())
    assert loaded == [{torch.float32}]
    assert all(dtypes == {torch.bfloat16} for dtypes in used)


class Trainer:
    """``python -m training train`` as the service starts it."""

    def __init__(self, asked: TrainConfig, launcher: tuple[str, ...] = (), **environment: str) -> None:
        path = asked.output_dir.with_suffix(".json")
        path.write_text(asked.model_dump_json(), encoding="utf-8")
        command = [sys.executable, "-m", *launcher, *(("-m",) if launcher else ()), "training", "train", str(path)]
        self.process = subprocess.Popen(
            [*command, "--exit-with-parent"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"} | environment,
        )
        # Never for ever: a trainer that hangs fails the test.
        self.timer = threading.Timer(500, self.process.kill)
        self.timer.daemon = True
        self.timer.start()

    def events(self) -> Iterator[dict[str, Any]]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield json.loads(line)
        self.process.wait()
        self.timer.cancel()

    def say(self, words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(words)
        self.process.stdin.flush()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()


def last_result(trainer: Trainer) -> dict[str, Any]:
    found = [event["data"] for event in trainer.events() if event["type"] == "result"]
    assert trainer.process.returncode == 0
    return dict(found[-1])


@pytest.mark.long
@pytest.mark.timeout(600)
def test_killed_and_paused_and_left_alone(tiny_base: Path, training_file: Path, tmp_path: Path) -> None:
    """SIGKILL after a checkpoint, a pause by standard input, its end: three attempts more, the same curve."""
    asked = config(tiny_base, training_file, tmp_path / "calm", max_steps=60)
    calm = last_result(Trainer(asked))
    asked = asked.model_copy(update={"output_dir": tmp_path / "rough"})
    killed = Trainer(asked)
    for event in killed.events():
        if event["type"] == "checkpoint":
            killed.process.send_signal(signal.SIGKILL)
    assert killed.process.returncode == -signal.SIGKILL
    left = Trainer(asked)
    for event in left.events():
        if event["type"] == "metrics":
            left.close()
    assert left.process.returncode == 1
    paused = Trainer(asked)
    kinds = []
    for event in paused.events():
        kinds.append(event["type"])
        if event["type"] == "metrics" and "paused" not in kinds:
            paused.say("pause\n")
    assert paused.process.returncode == 0
    assert kinds[-1] == "paused"
    result = last_result(Trainer(asked))
    same_outcome(calm, result)
    assert [step for step, _ in sealed_checkpoints(tmp_path / "rough" / "checkpoints")][-1] == 60


@pytest.mark.long
@pytest.mark.timeout(600)
def test_two_processes_learn_as_one_does(tiny_base: Path, training_file: Path, tmp_path: Path) -> None:
    """Two by gloo on the CPU, as ``accelerate launch`` starts them on two GPUs: rows an update and curve are one's."""
    alone = last_result(Trainer(config(tiny_base, training_file, tmp_path / "one", batch_size=4, lora={"dropout": 0})))
    launcher = ("torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    asked = config(tiny_base, training_file, tmp_path / "two", batch_size=4, lora={"dropout": 0})
    events = []
    pair = Trainer(asked, launcher, ACCELERATE_USE_CPU="true")
    for event in pair.events():
        events.append(event)
        if event["type"] == "checkpoint" and event["data"]["step"] == 6:
            pair.say("pause\n")
    assert events[-1]["type"] == "paused"
    # One process speaks: no step is told twice.
    steps = [e["data"]["step"] for e in events if e["type"] == "metrics" and "valid_loss" not in e["data"]]
    assert len(steps) == len(set(steps))
    together = last_result(Trainer(asked, launcher, ACCELERATE_USE_CPU="true"))
    assert together["trained_tokens"] == alone["trained_tokens"]
    assert together["valid_loss_after"] == pytest.approx(alone["valid_loss_after"], abs=5e-3)
