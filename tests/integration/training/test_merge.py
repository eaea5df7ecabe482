"""Merging a trained adapter: the merged model says the same, one that does not is never published, refusals."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from corpora.bundled import MANUAL_DIR
from tests.integration.training.runs import Heard
from tests.tiny_base import FAMILIES, build_tiny_family
from training import merge
from training.errors import AdapterError, DiskFullError, MergeError
from training.loading import load_adapter, load_base, load_tokenizer
from training.merge import MergeConfig, merge_adapter
from training.parity import logits_of

MERGED = ("llama", "gpt_neox", "gemma2")
TEXT = "입고 예정을 조회합니다. 피킹 지시는 로케이션 순서로 나옵니다."


def train_adapter(base: Path, folder: Path, steps: int = 8) -> Path:
    """A LoRA that has really learned something, as ``save_pretrained`` leaves it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        torch.manual_seed(5)
        config = LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules="all-linear")
        model = get_peft_model(load_base(str(base), quantised=False), config)
        ids = torch.tensor([load_tokenizer(str(base))(TEXT)["input_ids"]])
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
        for _ in range(steps):
            model(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    finally:
        torch.set_num_threads(threads)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    root = tmp_path_factory.mktemp("bases")
    made = {family: build_tiny_family(root / family, family, MANUAL_DIR, spread=0.1) for family in MERGED}
    for base in made.values():
        (base / "LICENSE").write_text("Apache License 2.0\n", encoding="utf-8")
    return {family: (base, train_adapter(base, root / f"{family}-어댑터")) for family, base in made.items()}


def config_of(bases: dict[str, tuple[Path, Path]], family: str, out: Path, **more: Any) -> MergeConfig:
    base, adapter = bases[family]
    values = {"base": str(base), "base_label": family, "adapter": adapter, "adapter_label": "상담", "prompts": 4}
    values |= {"recipe": FAMILIES[family].recipe, "output_dir": out, "max_shard_size": "200KB"}
    return MergeConfig.model_validate(values | more)


@pytest.mark.parametrize("family", MERGED)
def test_the_merged_model_says_what_the_adapter_says(
    bases: dict[str, tuple[Path, Path]], family: str, tmp_path: Path
) -> None:
    base, adapter = bases[family]
    heard = Heard()
    out = tmp_path / "합친 모델"
    result = merge_adapter(config_of(bases, family, out), heard)
    assert heard.result() == result
    assert result["parity"]["max_logit_difference"] < 0.15
    assert result["parity"]["top1_share"] == 1.0
    assert result["shards"] == len(list(out.glob("*.safetensors"))) > 1
    assert result["bytes"] == sum(path.stat().st_size for path in out.iterdir())
    # With plain transformers, and by our own look at the weights: the base's plus B times A times the scale.
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert "질문" in tokenizer.apply_chat_template([{"role": "user", "content": "질문"}], tokenize=False)
    merged = AutoModelForCausalLM.from_pretrained(out)
    lora, before = load_file(adapter / "adapter_model.safetensors"), load_file(base / "model.safetensors")
    name = next(key for key in sorted(lora) if key.endswith("lora_A.weight"))
    delta = 2.0 * lora[name.replace("lora_A", "lora_B")].float() @ lora[name].float()
    layer = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
    got = merged.get_submodule(layer).weight.float()
    assert got.dtype == torch.float32
    # A step of bfloat16 is an eighth of a thousandth of numbers up to 1/32, and the sum is rounded once.
    torch.testing.assert_close(got, before[f"{layer}.weight"].float() + delta, rtol=2**-7, atol=1e-3)
    prompt = [tokenizer(TEXT)["input_ids"]]
    bare, tuned = logits_of(load_base(str(base), quantised=False), prompt)[0], logits_of(merged, prompt)[0]
    assert (bare - tuned).abs().max() > 0.5  # the adapter matters
    check_folder(base, out)


def check_folder(base: Path, out: Path) -> None:
    stops = json.loads((out / "generation_config.json").read_text())["eos_token_id"]
    own = json.loads((base / "generation_config.json").read_text())["eos_token_id"]
    assert own in stops
    assert (out / "LICENSE").read_text() == (base / "LICENSE").read_text()
    assert json.loads((out / "malmoi.json").read_text())["adapter"] == "상담"
    card = (out / "README.md").read_text()
    assert "library_name: transformers" in card
    assert str(base) not in card
    assert not list(out.glob("*.bin"))
    assert not list(out.parent.glob(".*"))


def test_a_merge_that_changes_the_model_is_not_published(
    bases: dict[str, tuple[Path, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = merge._copy_words

    def spoil(config: MergeConfig, base: Path, making: Path, stops: list[int]) -> None:
        # What a bad disk or a wrong base does: one matrix of the written model is another one.
        copied(config, base, making, stops)
        path = sorted(making.glob("*.safetensors"))[0]
        tensors = load_file(path)
        name = next(key for key in sorted(tensors) if "proj" in key)
        save_file({**tensors, name: tensors[name].flip(0).contiguous()}, path, {"format": "pt"})

    monkeypatch.setattr(merge, "_copy_words", spoil)
    with pytest.raises(MergeError, match="does not say") as caught:
        merge_adapter(config_of(bases, "llama", tmp_path / "합친 모델"), Heard())
    assert caught.value.code == "merge_parity_failed"
    assert list(tmp_path.iterdir()) == []


def test_merges_that_are_refused(
    bases: dict[str, tuple[Path, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, adapter = bases["llama"]
    out = tmp_path / "out"
    with pytest.raises(AdapterError) as caught:
        merge_adapter(config_of(bases, "llama", out, adapter=bases["gpt_neox"][1]), Heard())
    assert caught.value.code == "adapter_does_not_fit"
    nf4 = shutil.copytree(base, tmp_path / "nf4")
    settings = json.loads((nf4 / "config.json").read_text()) | {"quantization_config": {"load_in_4bit": True}}
    (nf4 / "config.json").write_text(json.dumps(settings))
    with pytest.raises(MergeError) as quantised:
        merge_adapter(config_of(bases, "llama", out, base=str(nf4)), Heard())
    assert quantised.value.code == "base_quantised"
    broken = shutil.copytree(adapter, tmp_path / "broken")
    weights = load_file(broken / "adapter_model.safetensors")
    name = next(key for key in weights if "lora_B" in key)
    save_file({**weights, name: weights[name] * float("nan")}, broken / "adapter_model.safetensors", {"format": "pt"})
    with pytest.raises(MergeError) as numbers:
        merge_adapter(config_of(bases, "llama", out, adapter=broken), Heard())
    assert numbers.value.code == "weights_not_finite"
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10, 9, 1))
    with pytest.raises(DiskFullError, match="are free"):
        merge_adapter(config_of(bases, "llama", out), Heard())
    out.mkdir()
    with pytest.raises(MergeError) as there:
        merge_adapter(config_of(bases, "llama", out), Heard())
    assert there.value.code == "output_exists"
    assert list(out.iterdir()) == []


def test_adapters_of_other_bases(bases: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    wide = build_tiny_family(tmp_path / "wide", "llama", MANUAL_DIR, hidden=96)
    with pytest.raises(AdapterError, match="another base") as caught:
        load_adapter(load_base(str(wide)), bases["llama"][1])
    assert caught.value.code == "adapter_does_not_fit"
    assert "size mismatch" in caught.value.message
    part = shutil.copytree(bases["llama"][1], tmp_path / "part")
    weights = load_file(part / "adapter_model.safetensors")
    gone = sorted(weights)[0]
    rest = {name: tensor for name, tensor in weights.items() if name != gone}
    save_file(rest, part / "adapter_model.safetensors", {"format": "pt"})
    with pytest.raises(AdapterError, match="1 are missing"):
        load_adapter(load_base(str(bases["llama"][0]), quantised=False), part)
