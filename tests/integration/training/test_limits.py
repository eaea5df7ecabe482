"""What runs out: memory, the disk, patience. The run goes on where it can, and stops with a reason where it cannot."""

from __future__ import annotations

import csv
import dataclasses
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from corpora.errors import MissingExtraError
from tests.integration.training.conftest import write_rows
from tests.integration.training.runs import Heard, config
from training import curves
from training.checkpoints import fault_of
from training.errors import DiskFullError, OutOfMemoryRunError
from training.loading import load_base, load_tokenizer
from training.recipes import RECIPES
from training.run import run_training


@pytest.fixture
def no_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Halves of a batch draw other masks than the whole, so equality is shown without."""
    small = dataclasses.replace(RECIPES["demo"], lora_r=4, lora_alpha=8, micro_batch=8, eval_steps=3)
    monkeypatch.setitem(RECIPES, "demo", small)


def losses(result: dict[str, Any]) -> list[float]:
    with Path(result["result_csv"]).open(encoding="utf-8") as handle:
        return [float(row["train_loss"]) for row in csv.DictReader(handle)]


class Scarce:
    """Memory for so many tokens at once; the error comes in the forward pass, or half way through the backward one."""

    def __init__(self, limit: int, *, backward: bool) -> None:
        self.limit, self.backward, self.raised, self.largest = limit, backward, 0, 0

    def __call__(self, trainer: Any, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        tokens = int(inputs["input_ids"].numel())
        if tokens <= self.limit:
            self.largest = max(self.largest, tokens)
            return self.whole(trainer, model, inputs, *args, **kwargs)
        self.raised += 1
        if self.backward:
            # Parts of the gradient are there when memory runs out.
            hooked = next(p for n, p in model.named_parameters() if p.requires_grad and "layers.1" in n)
            handle = hooked.register_post_accumulate_grad_hook(self._fail)
            try:
                return self.whole(trainer, model, inputs, *args, **kwargs)
            finally:
                handle.remove()
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    def _fail(self, _: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    def install(self, patch: pytest.MonkeyPatch) -> None:
        from transformers import Trainer

        self.whole = Trainer.training_step

        def step(trainer: Any, *args: Any, **kwargs: Any) -> Any:
            # A plain function becomes a method of the trainer; an object would not.
            return self(trainer, *args, **kwargs)

        patch.setattr(Trainer, "training_step", step)


@pytest.mark.parametrize(
    ("packing", "backward"),
    [
        pytest.param(False, False, marks=pytest.mark.long),
        (False, True),
        pytest.param(True, True, marks=pytest.mark.long),
    ],
)
def test_memory_that_runs_out_halves_the_micro_batch(
    tiny_base: Path, training_file: Path, tmp_path: Path, no_dropout: None, packing: bool, backward: bool
) -> None:
    """The same rows in an update, the same gradient: the same curve, but for rounding."""
    asked = {"packing": packing, "batch_size": 8, "max_steps": 6}
    calm, cramped = Heard(), Heard()
    run_training(config(tiny_base, training_file, tmp_path / "calm", **asked), calm)
    scarce = Scarce(250, backward=backward)
    with pytest.MonkeyPatch.context() as patch:
        scarce.install(patch)
        run_training(config(tiny_base, training_file, tmp_path / "cramped", **asked), cramped)
    assert scarce.raised >= 1
    assert 0 < scarce.largest <= 250
    told = [data for _, _, data in cramped.lines if data.get("code") == "out_of_memory"]
    assert told
    if not packing:
        assert (told[0]["micro_batch"], told[0]["accumulation"]) == (4, 2)
    assert losses(cramped.result()) == pytest.approx(losses(calm.result()), abs=2e-3)
    assert cramped.result()["trained_tokens"] == calm.result()["trained_tokens"]


@pytest.mark.long
def test_a_later_attempt_begins_with_the_smaller_pieces(
    tiny_base: Path, training_file: Path, tmp_path: Path, no_dropout: None
) -> None:
    asked = config(tiny_base, training_file, tmp_path, batch_size=8, max_steps=6)
    for attempt in range(2):
        scarce = Scarce(250, backward=False)
        with pytest.MonkeyPatch.context() as patch:
            scarce.install(patch)
            run_training(asked if attempt else asked.model_copy(update={"max_steps": 3}), Heard())
        assert (scarce.raised == 0) == bool(attempt)


def test_memory_for_not_even_one_row(tiny_base: Path, training_file: Path, tmp_path: Path, no_dropout: None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        Scarce(3, backward=False).install(patch)
        with pytest.raises(OutOfMemoryRunError) as caught:
            run_training(config(tiny_base, training_file, tmp_path), Heard())
    assert caught.value.code == "out_of_memory"
    assert "single row" in caught.value.message


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes, which only root may mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no right to mount a small file system: {mounted.stderr.decode().strip()}")
    yield folder
    # Lazily: a writer of curves that the full disk cut off may hold its file until it is collected.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_stops_the_run_and_keeps_what_is_whole(
    tiny_base: Path, training_file: Path, small_disk: Path, small_recipe: None
) -> None:
    """The third checkpoint does not fit; the second is whole, and with room again the run goes on from there."""
    asked = config(tiny_base, training_file, small_disk / "out")
    filler = small_disk / "filler"

    class Filling(Heard):
        def emit(self, type_: str, message: str, data: dict[str, Any] | None = None, level: str = "info") -> None:
            super().emit(type_, message, data, level)
            if type_ == "checkpoint" and (data or {})["step"] == 6:
                free = os.statvfs(small_disk)
                filler.write_bytes(b"\0" * (free.f_bavail * free.f_frsize - 40_000))

    with pytest.raises(DiskFullError) as caught:
        run_training(asked, Filling())
    assert (caught.value.code, caught.value.retryable) == ("disk_full", True)
    checkpoints = small_disk / "out" / "checkpoints"
    assert fault_of(checkpoints / "checkpoint-6") is None
    assert not (checkpoints / "checkpoint-9").exists()
    filler.unlink()
    heard = Heard()
    run_training(asked, heard)
    assert heard.said("checkpoint-6에서 이어서")
    assert heard.result()["steps"] == 12


def test_patience_ends_the_run_and_the_best_weights_are_the_result(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held-out rows say the opposite of the training rows: their loss falls at first, then rises."""
    rows = [
        [{"role": "user", "content": f"{n}번은?"}, {"role": "assistant", "content": "있습니다. 확인했습니다."}]
        for n in range(16)
    ]
    held = [
        [{"role": "user", "content": f"{n}번은?"}, {"role": "assistant", "content": "없어요."}] for n in range(90, 94)
    ]
    file = write_rows(tmp_path / "학습.jsonl", rows)
    write_rows(tmp_path / "검증-학습.jsonl", held)
    quick = dataclasses.replace(
        RECIPES["demo"], lora_r=4, lora_alpha=8, micro_batch=4, learning_rate=2e-2, eval_steps=2
    )
    monkeypatch.setitem(RECIPES, "demo", quick)
    heard = Heard()
    asked = {"max_steps": 60, "early_stopping_patience": 2, "keep_checkpoints": 1}
    run_training(config(tiny_base, file, tmp_path / "out", **asked), heard)
    result = heard.result()
    assert result["stopped_early"]
    assert result["restored_best"]
    assert result["best_step"] < result["steps"] < 60
    told = next(data["published"] for type_, _, data in heard.lines if type_ == "message" and "published" in data)
    assert (told["step"], told["last_step"], told["why"]) == (result["best_step"], result["steps"], "best")
    assert heard.said("검증 손실이 2번 이어서 더 낮아지지 않아, 계획한 60단계 가운데")
    valid = {e["step"]: e["metrics"]["valid_loss"] for e in result["checkpoints"]}
    assert min(valid, key=lambda step: valid[step]) == result["best_step"]
    assert list(valid) == [result["best_step"], result["steps"]]
    best = load_file(Path(result["checkpoints"][0]["path"]) / "adapter_model.safetensors")
    final = load_file(Path(result["adapter_dir"]) / "adapter_model.safetensors")
    assert all(torch.equal(tensor, final[name]) for name, tensor in best.items())
    assert {tensor.dtype for tensor in final.values()} == {torch.bfloat16}
    assert result["valid_loss_after"] == pytest.approx(valid[result["best_step"]], abs=1e-6)
    removed = [data["step"] for type_, _, data in heard.lines if type_ == "checkpoint_removed"]
    kept = [data["step"] for type_, _, data in heard.lines if type_ == "checkpoint"]
    assert sorted(set(kept) - set(removed)) == list(valid)


def test_every_kept_checkpoint_is_an_adapter(
    tiny_base: Path, training_file: Path, tmp_path: Path, small_recipe: None
) -> None:
    """At the moment it is told of, a checkpoint opens with plain peft and brings tokenizer and template."""
    seen: list[int] = []

    class Opening(Heard):
        def emit(self, type_: str, message: str, data: dict[str, Any] | None = None, level: str = "info") -> None:
            super().emit(type_, message, data, level)
            if type_ == "checkpoint" and data is not None:
                folder = Path(data["path"])
                assert fault_of(folder) is None
                assert not (folder / "training_args.bin").exists()
                PeftModel.from_pretrained(load_base(str(tiny_base)), str(folder))
                assert "[질문]" in str(load_tokenizer(str(folder)).chat_template)
                assert data["metrics"]["full_valid_loss"] > 0
                seen.append(data["step"])

    run_training(config(tiny_base, training_file, tmp_path, max_steps=4), Opening())
    assert seen == [1, 2, 3, 4]


def test_without_a_plotting_library_the_run_says_so_and_goes_on(
    tiny_base: Path, training_file: Path, tmp_path: Path, small_recipe: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: Any) -> Path:
        raise MissingExtraError("report", "The plot of the training curves")

    heard = Heard()
    run_training(config(tiny_base, training_file, tmp_path / "with", max_steps=1), heard)
    picture = Path(heard.result()["plot"]).read_bytes()
    assert picture.startswith(b"\x89PNG")
    monkeypatch.setattr(curves, "draw_curves", missing)
    heard = Heard()
    run_training(config(tiny_base, training_file, tmp_path / "without", max_steps=1), heard)
    assert heard.result()["plot"] is None
    assert sum("pip install 'malmoi[report]'" in message for _, message, _ in heard.lines) == 1
