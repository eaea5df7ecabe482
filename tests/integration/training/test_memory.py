"""Memory on the CPU: allocations that really fail, and the estimate beside what a pass really keeps."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.integration.training.conftest import TinyBase
from tests.integration.training.runs import Heard, config
from tests.integration.training.test_limits import Scarce, losses
from training.encoding import EncodedRow
from training.errors import OutOfMemoryRunError
from training.estimate import ModelShape, estimate
from training.loading import load_base
from training.measure import Measured, measure
from training.pieces import halve, read_pieces
from training.recipes import RECIPES
from training.run import run_training

#: More bytes than any machine has: torch's allocator on the CPU says so by a plain RuntimeError.
TOO_MANY = 1 << 50


class Failing(Scarce):
    """The same scarcity, with the allocation itself in place of an error of ours."""

    def __call__(self, trainer: Any, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(trainer, model, inputs, *args, **kwargs)
        except torch.OutOfMemoryError:
            pass
        return torch.empty(TOO_MANY)

    def _fail(self, _: Any) -> None:
        torch.empty(TOO_MANY)


@pytest.fixture(autouse=True)
def _no_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Halves of a batch draw other masks than the whole, so equality is shown without."""
    small = dataclasses.replace(RECIPES["demo"], lora_r=4, lora_alpha=8, micro_batch=8, eval_steps=3)
    monkeypatch.setitem(RECIPES, "demo", small)


@pytest.mark.parametrize("backward", [False, pytest.param(True, marks=pytest.mark.long)])
def test_an_allocation_that_fails_on_the_cpu_halves_the_micro_batch(
    tiny_base: Path, training_file: Path, tmp_path: Path, backward: bool
) -> None:
    asked = {"packing": False, "batch_size": 8, "max_steps": 4}
    calm, cramped = Heard(), Heard()
    run_training(config(tiny_base, training_file, tmp_path / "calm", **asked), calm)
    scarce = Failing(250, backward=backward)
    with pytest.MonkeyPatch.context() as patch:
        scarce.install(patch)
        run_training(config(tiny_base, training_file, tmp_path / "cramped", **asked), cramped)
    assert scarce.raised >= 1
    assert scarce.largest <= 250
    told = [data for _, _, data in cramped.lines if data.get("code") == "out_of_memory"]
    assert (told[0]["micro_batch"], told[0]["accumulation"]) == (4, 2)
    assert losses(cramped.result()) == pytest.approx(losses(calm.result()), abs=2e-3)
    # Beside the checkpoints, which may be cleared away.
    assert read_pieces(tmp_path / "cramped") >= 2


def test_a_single_row_that_does_not_fit(tiny_base: Path, training_file: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        Failing(3, backward=False).install(patch)
        with pytest.raises(OutOfMemoryRunError, match=r"single row.*can't allocate memory") as caught:
            run_training(config(tiny_base, training_file, tmp_path), Heard())
    assert (caught.value.code, caught.value.retryable) == ("out_of_memory", False)
    assert caught.value.hint


def test_other_faults_of_a_step_pass(tiny_base: Path, training_file: Path, tmp_path: Path) -> None:
    from transformers import Trainer

    def wrong(*_: Any, **__: Any) -> Any:
        return torch.ones(2, 3) @ torch.ones(2, 3)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "training_step", wrong)
        with pytest.raises(RuntimeError, match="cannot be multiplied"):
            run_training(config(tiny_base, training_file, tmp_path), Heard())


@pytest.mark.parametrize("where", ["training.run.load_base", "training.run._measured"])
def test_memory_that_runs_out_outside_of_a_step(
    tiny_base: Path, training_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(where, lambda *_, **__: torch.empty(TOO_MANY))
    with pytest.raises(OutOfMemoryRunError, match="base and its adapter"):
        run_training(config(tiny_base, training_file, tmp_path), Heard())


class _Model(torch.nn.Module):
    """Likes the tokens that it is to foretell; has memory for so many rows at once, or another fault."""

    def __init__(self, most: int, *, broken: bool = False) -> None:
        super().__init__()
        self.weight, self.most, self.broken = torch.nn.Parameter(torch.zeros(1)), most, broken
        self.seen: list[int] = []

    def forward(self, *, input_ids: torch.Tensor, labels: torch.Tensor, **_: Any) -> SimpleNamespace:
        self.seen.append(len(input_ids))
        if self.broken:
            torch.ones(2, 3) @ torch.ones(2, 3)
        if len(input_ids) > self.most:
            torch.empty(TOO_MANY)
        mask = labels != -100
        return SimpleNamespace(log_probs=-0.5 * mask, is_top1=mask, label_mask=mask)


def test_an_evaluation_takes_fewer_rows_at_once() -> None:
    rows = [EncodedRow(input_ids=[5, 6, 7, 8 + n], labels=[-100, -100, 7, 8 + n]) for n in range(10)]
    scarce = _Model(2)
    assert measure(scarce, rows, 0) == Measured(loss=10.0, right=20, tokens=20)
    assert scarce.seen == [8, 4, 2, 2, 2, 2, 2]
    assert scarce.training
    with pytest.raises(OutOfMemoryRunError, match="single row"):
        measure(_Model(0), rows, 0)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        measure(_Model(8, broken=True), rows, 0)


def test_who_was_killed_begins_with_half(tiny_base: Path, training_file: Path, tmp_path: Path) -> None:
    """What runs the trainer notes it; batches of steps and of evaluations are smaller, and the run learns the same."""
    asked = {"packing": False, "batch_size": 8, "max_steps": 4}
    calm, again = Heard(), Heard()
    (tmp_path / "again").mkdir()
    halve(tmp_path / "again")
    largest = []
    for name, heard in (("calm", calm), ("again", again)):
        plenty = Scarce(10**9, backward=False)
        with pytest.MonkeyPatch.context() as patch:
            plenty.install(patch)
            run_training(config(tiny_base, training_file, tmp_path / name, **asked), heard)
        largest.append(plenty.largest)
    assert largest[1] <= largest[0] / 2
    assert losses(again.result()) == pytest.approx(losses(calm.result()), abs=2e-3)
    assert again.result()["trained_tokens"] == calm.result()["trained_tokens"]


def kept_bytes(base: Path, tokens: int, rank: int) -> int:
    """What autograd keeps of one pass through the layers, weights left out."""
    adapter = LoraConfig(task_type="CAUSAL_LM", r=rank, lora_dropout=0.05, target_modules="all-linear")
    model = get_peft_model(load_base(str(base)), adapter).train()
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.bfloat16)
    known = {tensor.untyped_storage().data_ptr() for tensor in itertools.chain(model.parameters(), model.buffers())}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in known:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    inner = model.base_model.model.base_model
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t), torch.autocast("cpu", dtype=torch.bfloat16):
        inner(input_ids=torch.full((1, tokens), 5), position_ids=torch.arange(tokens)[None], use_cache=False)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.mark.parametrize("family", ["llama", "gpt_neox", "gemma3_text", "qwen2"])
def test_what_a_pass_keeps_without_checkpointing(family_base: TinyBase, family: str) -> None:
    """The estimate is an upper one, and not twice what is kept; with checkpointing it is far less."""
    base = family_base(family)
    shape = ModelShape.of(json.loads((base / "config.json").read_text(encoding="utf-8")))
    how: dict[str, Any] = {"lora_r": 8, "micro_batch": 1, "tokens": 256, "packing": False}
    found = kept_bytes(base, 256, 8)
    layers = shape.layers
    whole = estimate(shape, **how, checkpointing=False).activations_bytes
    assert found < whole < 2.5 * found
    twice = estimate(dataclasses.replace(shape, layers=2 * layers), **how, checkpointing=False).activations_bytes
    again = estimate(dataclasses.replace(shape, layers=2 * layers), **how).activations_bytes
    assert twice - whole > found / 2
    assert again < twice / 2
