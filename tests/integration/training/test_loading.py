"""Loading a base: NF4 on the CPU with gradients that stay right, and bases that are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from peft import LoraConfig, get_peft_model

from training.errors import BaseModelError
from training.loading import load_base, load_tokenizer


def gradients(base: Path, *, evaluate_first: bool) -> dict[str, torch.Tensor]:
    torch.manual_seed(7)
    model = get_peft_model(load_base(str(base)), LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear"))
    ids = torch.tensor([[5, 6, 7, 8, 9, 10]])
    if evaluate_first:
        model.eval()
        with torch.no_grad():
            model(input_ids=ids)
    model.train()
    model(input_ids=ids, labels=ids).loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_an_evaluation_leaves_gradients_as_they_are(tiny_base: Path) -> None:
    """On CPUs with AVX512-BF16 bitsandbytes repacks weights at the first evaluation; gradients then go wrong."""
    before, after = gradients(tiny_base, evaluate_first=False), gradients(tiny_base, evaluate_first=True)
    assert before.keys() == after.keys()
    assert any(gradient.abs().sum() > 0 for gradient in before.values())
    for name, gradient in before.items():
        assert torch.equal(gradient, after[name]), name


def test_every_linear_layer_is_nf4_and_never_repacked(tiny_base: Path) -> None:
    layers = [m for m in load_base(str(tiny_base)).modules() if isinstance(m, Linear4bit)]
    assert len(layers) == 2 * 7
    assert {layer.weight.quant_type for layer in layers} == {"nf4"}
    assert not any(layer.support_avx512bf16_for_cpu for layer in layers)


def test_bases_that_are_refused(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="cannot be loaded"):
        load_tokenizer(str(tmp_path / "none"))
    pickled = shutil.copytree(tiny_base, tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(BaseModelError, match="pickled weights are refused"):
        load_base(str(pickled))
