"""Runs of a few updates, bases of a short context, and what is said of both."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch.optim.lr_scheduler import LambdaLR

from corpora.bundled import MANUAL_DIR
from tests.integration.training.runs import Heard, InterruptedRunError, config, same_outcome
from tests.tiny_base import FAMILIES, _tokenizer
from training.checks import within_context
from training.errors import PreflightError
from training.loading import load_config
from training.plan import effective_recipe
from training.recipes import RECIPES
from training.run import run_training
from training.warmup import risen

pytestmark = pytest.mark.usefixtures("small_recipe")


def test_one_update_moves_the_weights(tiny_base: Path, training_file: Path, tmp_path: Path) -> None:
    heard = Heard()
    run_training(config(tiny_base, training_file, tmp_path, max_steps=1), heard)
    result = heard.result()
    weights = load_file(Path(result["adapter_dir"]) / "adapter_model.safetensors")
    # A fresh adapter's second matrices are zero, and the adapter adds nothing.
    assert all(tensor.any() for name, tensor in weights.items() if "lora_B" in name)
    assert result["train_loss_after"] != result["train_loss_before"]
    assert any("1단계뿐" in warning for warning in result["preflight"]["warnings"])


def test_a_warm_up_begins_above_nothing_and_ends_at_the_peak(
    tiny_base: Path, training_file: Path, tmp_path: Path
) -> None:
    """Forty updates are warmed up for two: a third, two thirds, and then the recipe's whole rate."""
    heard = Heard()
    asked = {"max_steps": 40, "validation_file": None}
    run_training(config(tiny_base, training_file, tmp_path, **asked), heard)
    with Path(heard.result()["result_csv"]).open(encoding="utf-8") as handle:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(handle)]
    peak = RECIPES["demo"].learning_rate
    assert rates[:3] == pytest.approx([peak / 3, peak * 2 / 3, peak])
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert 0 < rates[-1] < rates[3] < peak
    # Sixteen rows by four, forty updates: ten passes, whatever the recipe's sixteen were.
    assert heard.result()["hyperparameters"] == {"n_epochs": 10, "batch_size": 4, "learning_rate_multiplier": 1.0}


def test_a_run_killed_in_its_warm_up_rises_on(
    tiny_base: Path, training_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = dataclasses.replace(RECIPES["demo"], warmup_ratio=0.6, eval_steps=3)
    monkeypatch.setitem(RECIPES, "demo", slow)
    calm, resumed = Heard(), Heard()
    run_training(config(tiny_base, training_file, tmp_path / "calm", max_steps=10), calm)
    with pytest.raises(InterruptedRunError):
        run_training(config(tiny_base, training_file, tmp_path / "killed", max_steps=10), Heard(die_at=5))
    run_training(config(tiny_base, training_file, tmp_path / "killed", max_steps=10), resumed)
    assert resumed.said("checkpoint-3에서 이어서")
    same_outcome(calm.result(), resumed.result())


def test_a_schedule_without_a_warm_up_stays_as_it_is() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = LambdaLR(optimizer, lambda _step: 0.5)
    assert risen(scheduler, optimizer, 0) is scheduler
    assert risen(scheduler, optimizer, 1).get_last_lr() == [0.5]


def short(base: Path, folder: Path, positions: int) -> Path:
    """The same base in another folder, with fewer positions."""
    folder.mkdir()
    for file in base.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    values = json.loads((folder / "config.json").read_text(encoding="utf-8")) | {"max_position_embeddings": positions}
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
    return folder


def long_rows(path: Path) -> Path:
    turns = [
        {"role": "user", "content": "재고는 어디서 보나요?"},
        {"role": "assistant", "content": "화면에서 봅니다. " * 60},
    ]
    path.write_text((json.dumps({"messages": turns}, ensure_ascii=False) + "\n") * 4, encoding="utf-8")
    return path


def test_rows_are_no_longer_than_a_llamas_positions(tiny_base: Path, tmp_path: Path) -> None:
    base, heard = short(tiny_base, tmp_path / "base", 128), Heard()
    asked = {"max_steps": 1, "allow_truncated": 1.0}
    run_training(config(base, long_rows(tmp_path / "학습.jsonl"), tmp_path / "out", **asked), heard)
    assert heard.said("문맥이 128토큰이라 행의 최대 길이를 512에서")
    report = heard.result()["encoding"]
    assert (report["truncated"], report["tokens"]) == (4, 4 * 128)
    assert report["longest"] > 128


def gpt2(folder: Path) -> Path:
    """Learned positions: one row longer than them ends in an index error."""
    tokenizer = _tokenizer(FAMILIES["llama"], MANUAL_DIR)
    tokenizer.chat_template = FAMILIES["qwen2"].template.replace("<|im_end|>", "</s>")  # type: ignore[union-attr]
    settings = transformers.GPT2Config(
        vocab_size=len(tokenizer), n_positions=128, n_embd=64, n_layer=2, n_head=2,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    torch.manual_seed(7)
    transformers.GPT2LMHeadModel(settings).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_rows_are_no_longer_than_learned_positions(tmp_path: Path) -> None:
    base, heard = gpt2(tmp_path / "base"), Heard()
    asked = {"recipe": "auto", "max_steps": 1, "allow_truncated": 1.0}
    run_training(config(base, long_rows(tmp_path / "학습.jsonl"), tmp_path / "out", **asked), heard)
    report = heard.result()["encoding"]
    assert (report["truncated"], report["tokens"]) == (4, 4 * 128)


def test_longer_rows_than_positions_are_refused_where_asked_for(tmp_path: Path) -> None:
    base, file = gpt2(tmp_path / "base"), tmp_path / "학습.jsonl"
    asked = config(base, file, tmp_path, recipe="auto", max_length=129)
    with pytest.raises(PreflightError, match="max_length is 129, but 'tiny' has 128 positions") as caught:
        within_context(asked, effective_recipe(asked), Heard())
    assert (caught.value.param, caught.value.code) == ("max_length", "max_length_too_long")
    assert load_config(str(base)).max_position_embeddings == 128
