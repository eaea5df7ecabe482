"""Loading a base: NF4 on the CPU with gradients that stay right, and bases that are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from huggingface_hub import constants
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from training.errors import AdapterError, BaseModelError, HubUnreachableError
from training.loading import load_base, load_tokenizer
from training.refusals import check_adapter


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


def code_of(base: Path | str, *, quantised: bool = True) -> str:
    with pytest.raises(BaseModelError) as caught:
        load_base(str(base), quantised=quantised)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value.code


def changed(base: Path, folder: Path, **settings: object) -> Path:
    """A copy of the base whose config.json says something else."""
    shutil.copytree(base, folder)
    config = json.loads((folder / "config.json").read_text()) | settings
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_bases_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="cannot be loaded"):
        load_tokenizer(str(tmp_path / "none"))
    assert code_of(tmp_path / "none") == "base_not_found"


def test_a_hub_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubUnreachableError, match="cannot be reached") as caught:
        load_tokenizer("org/model")
    assert (caught.value.code, caught.value.retryable) == ("hub_unreachable", True)


def test_weights_that_must_not_or_cannot_be_read(tiny_base: Path, tmp_path: Path) -> None:
    pickled = shutil.copytree(tiny_base, tmp_path / "pickled")
    (pickled / "pytorch_model.bin").write_bytes(b"\x80\x04")
    load_base(str(pickled))  # beside whole safetensors nobody opens it
    (pickled / "model.safetensors").unlink()
    assert code_of(pickled) == "unsafe_weights"
    cut = shutil.copytree(tiny_base, tmp_path / "cut")
    whole = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    assert code_of(cut) == "weights_broken"
    (cut / "model.safetensors").write_bytes(b"\xff" * 64)
    assert code_of(cut) == "weights_broken"


def test_shards(tiny_base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    AutoModelForCausalLM.from_pretrained(tiny_base).save_pretrained(folder, max_shard_size="100KB")
    load_base(str(folder))
    index = folder / "model.safetensors.index.json"
    known = json.loads(index.read_text())
    shard = sorted(set(known["weight_map"].values()))[0]
    (folder / shard).rename(folder / "elsewhere")
    assert code_of(folder) == "weights_missing"
    (folder / "elsewhere").rename(folder / "shard.bin")
    known["weight_map"] = {name: "shard.bin" if file == shard else file for name, file in known["weight_map"].items()}
    index.write_text(json.dumps(known))
    assert code_of(folder) == "unsafe_weights"


@pytest.mark.parametrize("quantised", [True, False])
def test_weights_of_another_configuration(tiny_base: Path, tmp_path: Path, *, quantised: bool) -> None:
    layers = changed(tiny_base, tmp_path / "layers", num_hidden_layers=3, layer_types=None)
    assert code_of(layers, quantised=quantised) == "weights_missing"
    # In NF4 nothing would complain: a layer takes whatever shape it is given.
    narrow = changed(tiny_base, tmp_path / "narrow", intermediate_size=96)
    assert code_of(narrow, quantised=quantised) == "weights_mismatch"
    small = changed(tiny_base, tmp_path / "small", vocab_size=300)
    assert code_of(small, quantised=quantised) == "vocabulary_mismatch"


def test_architectures_that_are_refused(tiny_base: Path, tmp_path: Path) -> None:
    strange = changed(tiny_base, tmp_path / "strange", model_type="no_such_model")
    assert code_of(strange) == "unknown_architecture"
    encoder = changed(tiny_base, tmp_path / "encoder", model_type="vit", architectures=["VitForCausalLM"])
    assert code_of(encoder) == "unknown_architecture"
    scripted = changed(tiny_base, tmp_path / "scripted", auto_map={"AutoModelForCausalLM": "modeling.Model"})
    assert code_of(scripted) == "custom_code_refused"


def test_adapters_that_are_refused(tmp_path: Path) -> None:
    def code(folder: Path) -> str:
        with pytest.raises(AdapterError) as caught:
            check_adapter(folder)
        return caught.value.code

    folder = tmp_path / "어댑터"
    assert code(folder) == "adapter_missing"
    folder.mkdir()
    assert code(folder) == "adapter_missing"
    config = folder / "adapter_config.json"
    config.write_text("{")
    assert code(folder) == "invalid_adapter_config"
    config.write_text("[]")
    assert code(folder) == "invalid_adapter_config"
    config.write_text('{"peft_type": "LORA"}')
    assert code(folder) == "weights_missing"
    (folder / "adapter_model.safetensors").write_bytes(b"")
    assert check_adapter(folder) == {"peft_type": "LORA"}
    (folder / "adapter_model.bin").write_bytes(b"\x80\x04")
    assert code(folder) == "unsafe_weights"
    (folder / "adapter_model.bin").unlink()
    config.write_text('{"peft_type": "PROMPT_TUNING"}')
    assert code(folder) == "unknown_adapter_type"
