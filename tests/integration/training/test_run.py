"""A whole run on a tiny base: adapter, result file, resume to the same curve, plain peft."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from corpora.errors import MalmoiError
from training import run as run_module
from training.chat import Chat, serve
from training.config import TrainConfig
from training.errors import BaseModelError
from training.events import Events
from training.loading import load_base
from training.qlora import plan_run
from training.recipes import RECIPES
from training.run import run_training


class InterruptedRunError(Exception):
    """Stands for a kill right after a step was logged."""


class Heard(Events):
    """Events in a list; dies at a step when asked to."""

    def __init__(self, die_at: int | None = None) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []
        self.die_at = die_at

    def emit(self, type_: str, message: str, data: dict[str, Any] | None = None, level: str = "info") -> None:
        self.lines.append((type_, message, data or {}))
        if self.die_at is not None and (data or {}).get("step") == self.die_at:
            raise InterruptedRunError

    def result(self) -> dict[str, Any]:
        return next(data for type_, _, data in self.lines if type_ == "result")


@pytest.fixture(autouse=True)
def _small_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    small = dataclasses.replace(RECIPES["demo"], lora_r=4, lora_alpha=8, lora_dropout=0.1, micro_batch=4, eval_steps=3)
    monkeypatch.setitem(RECIPES, "demo", small)


def config(base: Path, file: Path, out: Path, **more: Any) -> TrainConfig:
    values = {"base": str(base), "base_label": "tiny", "training_file": file, "validation_file": file,
              "output_dir": out, "recipe": "demo", "max_steps": 12, "resume": True}  # fmt: skip
    return TrainConfig.model_validate(values | more)


def test_a_run_and_a_resumed_run_are_the_same(tiny_base: Path, training_file: Path, tmp_path: Path) -> None:
    calm = Heard()
    run_training(config(tiny_base, training_file, tmp_path / "calm"), calm)
    with pytest.raises(InterruptedRunError):
        run_training(config(tiny_base, training_file, tmp_path / "killed"), Heard(die_at=8))
    resumed = Heard()
    run_training(config(tiny_base, training_file, tmp_path / "killed"), resumed)
    assert any("checkpoint-6에서 이어서" in message for _, message, _ in resumed.lines)
    expected, got = calm.result(), resumed.result()
    assert got["steps"] == expected["steps"] == 12
    for name in ("train_loss_before", "train_loss_after", "valid_loss_before", "valid_loss_after"):
        assert got[name] == expected[name]
    assert Path(got["result_csv"]).read_text() == Path(expected["result_csv"]).read_text()
    weights = [load_file(Path(r["adapter_dir"]) / "adapter_model.safetensors") for r in (expected, got)]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name]), name
    check_outcome(tiny_base, expected)


def check_outcome(base: Path, result: dict[str, Any]) -> None:
    """The adapter opens with plain peft and holds no pickle; the result file has OpenAI's columns."""
    adapter = Path(result["adapter_dir"])
    assert not list(adapter.glob("*.bin"))
    assert not list(adapter.glob("*.pt"))
    assert "tiny" in (adapter / "README.md").read_text(encoding="utf-8")
    model = load_base(str(base))
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        bare = model(input_ids=ids).logits
        tuned = PeftModel.from_pretrained(model, str(adapter)).eval()(input_ids=ids).logits
    assert not torch.equal(bare, tuned)
    with Path(result["result_csv"]).open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert list(rows[0])[:5] == ["step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy"]
    assert rows[-1]["step"] == "12"
    assert [entry["step"] for entry in result["checkpoints"]][-1] == 12
    chat_with(base, adapter)


def chat_with(base: Path, adapter: Path) -> None:
    """Chat answers a line a request; a fault of one is told and does not end the rest."""
    question = [{"role": "user", "content": "3번 로케이션은 어디에 있나요?"}]
    ask = {"messages": question, "max_tokens": 8, "temperature": 0, "top_p": 1.0, "seed": None, "stop": []}
    model = {"base": str(base), "adapter": str(adapter), "recipe": "demo"}
    long = [{"role": "user", "content": "로케이션 " * 3000}]
    requests = [
        {"id": "1", "model": model} | ask,
        {"id": "2", "model": model} | ask | {"messages": long},
        {"id": "3", "model": model | {"base": "/none"}} | ask,
        {"id": "4", "model": model} | ask | {"temperature": 1.0, "seed": 3},
        {"id": "5", "model": model} | ask | {"temperature": 1.0, "seed": 3},
    ]
    out = io.StringIO()
    serve((json.dumps(entry) for entry in requests), out)
    answers = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [answer["id"] for answer in answers] == ["1", "2", "3", "4", "5"]
    assert answers[0]["completion_tokens"] <= 8
    assert answers[0]["finish_reason"] in ("stop", "length")
    assert answers[1]["error"]["code"] == "context_length_exceeded"
    assert answers[2]["error"]["status"] < 500
    assert answers[3]["text"] == answers[4]["text"]


def test_the_model_is_kept_between_requests(tiny_base: Path) -> None:
    chat = Chat()
    chat._load(str(tiny_base), None)
    first = chat._model
    chat._load(str(tiny_base), None)
    assert chat._model is first


def test_a_loss_that_is_no_number_ends_the_run(
    tiny_base: Path, training_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = dataclasses.replace(RECIPES["demo"], learning_rate=1e38, warmup_ratio=0.0)
    monkeypatch.setitem(RECIPES, "demo", broken)
    with pytest.raises(MalmoiError, match="no number"):
        run_training(config(tiny_base, training_file, tmp_path / "out"), Heard())


def test_a_base_that_is_not_there(training_file: Path, tmp_path: Path) -> None:
    with pytest.raises(BaseModelError):
        run_training(config(tmp_path / "none", training_file, tmp_path / "out"), Heard())


@pytest.mark.parametrize(
    ("recipe", "rows", "asked", "steps", "micro", "accumulation"),
    [
        ("eeve-10.8b", 1000, {}, 126, 4, 4),
        ("eeve-10.8b", 1000, {"max_steps": 10}, 10, 4, 4),
        ("eeve-10.8b", 1000, {"n_epochs": 1, "batch_size": 2}, 500, 2, 1),
        ("eeve-10.8b", 1000, {"n_epochs": 1, "batch_size": 6}, 167, 2, 3),
        ("eeve-10.8b", 3, {}, 2, 4, 4),
    ],
)
def test_plans(
    recipe: str, rows: int, asked: dict[str, Any], steps: int, micro: int, accumulation: int, tmp_path: Path
) -> None:
    plan = plan_run(config(tmp_path, tmp_path, tmp_path, **({"max_steps": None} | asked)), RECIPES[recipe], rows)
    assert (plan.total_steps, plan.micro_batch, plan.accumulation) == (steps, micro, accumulation)
    assert 1 <= plan.eval_steps <= steps


def test_a_half_written_checkpoint_is_not_resumed(tmp_path: Path) -> None:
    for step, whole in ((3, True), (6, True), (9, False)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if whole:
            (folder / "trainer_state.json").write_text("{}")
    newest = run_module._newest_checkpoint(tmp_path)
    assert newest is not None
    assert newest.name == "checkpoint-6"
