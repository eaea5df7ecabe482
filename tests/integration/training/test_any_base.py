"""Bases without a recipe of their own: packed only where rows stay apart, adapters only where PEFT puts them.

Each is a tiny random model of transformers' own class, trained in NF4 by ``auto``.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from huggingface_hub import constants

from corpora.bundled import MANUAL_DIR
from tests.integration.training.runs import Heard, config
from tests.tiny_base import FAMILIES, _tokenizer
from training import checks
from training.errors import BaseModelError
from training.loading import load_base, load_config, load_tokenizer
from training.packing_check import MOST_DIFFERENCE, MOST_INFLUENCE, check_packing
from training.recipes import RECIPES
from training.run import run_training
from training.targets import fitted_targets

_GROUPED = {"intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2}
_WIDE = {"hidden_size": 64, "num_hidden_layers": 2}
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "bloom": ("BloomConfig", {"hidden_size": 64, "n_layer": 2, "n_head": 4, "hidden_dropout": 0.1}),
    "mpt": ("MptConfig", {"d_model": 64, "n_layers": 2, "n_heads": 4, "max_seq_len": 1024}),
    "opt": ("OPTConfig", {"ffn_dim": 128, "num_attention_heads": 4, "word_embed_proj_dim": 64} | _WIDE),
    "falcon": ("FalconConfig", {"num_attention_heads": 4} | _WIDE),
    "qwen3": ("Qwen3Config", {"head_dim": 32} | _GROUPED | _WIDE),
    "gpt2": ("GPT2Config", {"n_embd": 64, "n_layer": 2, "n_head": 2, "resid_pdrop": 0.1}),
    "mixtral": ("MixtralConfig", {"num_local_experts": 4} | _GROUPED | _WIDE),
    "lfm2": ("Lfm2Config", {"layer_types": ["conv", "full_attention"]} | _GROUPED | _WIDE),
    "mamba": ("MambaConfig", {"state_size": 8} | _WIDE),
    "mamba2": (
        "Mamba2Config",
        {"state_size": 8, "num_heads": 8, "head_dim": 16, "n_groups": 2, "chunk_size": 16} | _WIDE,
    ),
}
Base = Callable[[str], Path]


@pytest.fixture(scope="session")
def any_base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    built: dict[str, Path] = {}
    folder = tmp_path_factory.mktemp("any")

    def base(name: str) -> Path:
        if name not in built:
            tokenizer = _tokenizer(FAMILIES["qwen2"], MANUAL_DIR)
            tokenizer.chat_template = FAMILIES["qwen2"].template
            kind, settings = SETTINGS[name]
            ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
            made = getattr(transformers, kind)(vocab_size=len(tokenizer), **ids, **settings)
            torch.manual_seed(7)
            model = transformers.AutoModelForCausalLM.from_config(made)
            model.to(torch.bfloat16).save_pretrained(folder / name)
            tokenizer.save_pretrained(folder / name)
            built[name] = folder / name
        return built[name]

    return base


@pytest.fixture(autouse=True)
def _small_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    small = dataclasses.replace(RECIPES["auto"], lora_r=4, lora_alpha=8, micro_batch=4, accumulation=1, eval_steps=2)
    monkeypatch.setitem(RECIPES, "auto", small)


@pytest.mark.parametrize(
    "name", ["qwen3", *(pytest.param(name, marks=pytest.mark.long) for name in ("gpt2", "mixtral"))]
)
def test_rows_that_stay_apart_are_found_so(name: str, any_base: Base) -> None:
    """Dropout, which differs from pass to pass, does not hide it; nor do experts that are chosen by a hair."""
    base = any_base(name)
    found = check_packing(load_base(str(base)), load_tokenizer(str(base)))
    assert found.apart
    assert found.influence == 0
    assert found.difference is not None
    assert found.difference < MOST_DIFFERENCE / 2


@pytest.mark.parametrize(
    "name", ["bloom", "mamba2", *(pytest.param(name, marks=pytest.mark.long) for name in ("mpt", "opt", "falcon"))]
)
def test_rows_that_see_one_another_are_found_so(name: str, any_base: Base) -> None:
    base = any_base(name)
    found = check_packing(load_base(str(base)), load_tokenizer(str(base)))
    assert not found.apart
    assert found.influence is not None
    assert found.difference is not None
    assert found.influence > 3 * MOST_INFLUENCE
    assert found.difference > 1.5 * MOST_DIFFERENCE
    assert "서로를 보므로" in found.words()


def test_trying_leaves_no_trace(any_base: Base) -> None:
    base = any_base("gpt2")
    model, tokenizer = load_base(str(base)), load_tokenizer(str(base))
    for training in (True, False):
        model.train(training)
        before = torch.get_rng_state()
        check_packing(model, tokenizer)
        assert model.training is training
        assert torch.equal(torch.get_rng_state(), before)


def test_a_base_that_cannot_read_in_nf4_is_refused(any_base: Base, training_file: Path, tmp_path: Path) -> None:
    """Mamba multiplies by the bare weights of a layer, which in NF4 are packed."""
    with pytest.raises(BaseModelError, match="cannot read a row of 25 tokens") as caught:
        run_training(config(any_base("mamba"), training_file, tmp_path, recipe="auto", max_steps=2), Heard())
    assert "NF4" in caught.value.hint


def trained(base: Path, file: Path, out: Path, **more: Any) -> Heard:
    heard = Heard()
    run_training(config(base, file, out, **{"recipe": "auto", "max_steps": 4} | more), heard)
    return heard


def told(heard: Heard, kind: str) -> list[dict[str, Any]]:
    return [data for type_, _, data in heard.lines if type_ == kind]


def test_a_base_that_keeps_rows_apart_is_packed(any_base: Base, training_file: Path, tmp_path: Path) -> None:
    heard = trained(any_base("qwen3"), training_file, tmp_path)
    (seen,) = [data["packing"] for data in told(heard, "message") if "packing" in data]
    assert (seen["apart"], seen["influence"], seen["refusal"]) == (True, 0.0, None)
    assert heard.said("여러 행을 최대")
    assert [data["packing"] for data in told(heard, "preflight")] == [None]
    assert heard.result()["preflight"]["packing"] == seen


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bloom", "서로를 보므로"),
        ("lfm2", "읽지 못하여 행을 묶지 않고 학습합니다"),
        pytest.param("mamba2", "서로를 보므로", marks=pytest.mark.long),
    ],
)
def test_a_base_that_does_not_is_trained_unpacked(
    name: str, words: str, any_base: Base, training_file: Path, tmp_path: Path
) -> None:
    """It ends as if packing had been asked off, to the last bit; and says why."""
    heard = trained(any_base(name), training_file, tmp_path / "packed")
    plain = trained(any_base(name), training_file, tmp_path / "plain", packing=False)
    (seen,) = [data["packing"] for data in told(heard, "message") if "packing" in data]
    assert seen["apart"] is False
    first, second = told(heard, "preflight")
    assert first["packing"] is None
    assert second["packing"] == seen
    (warning,) = [line for line in second["warnings"] if words in line]
    level = heard.levels[[message for _, message, _ in heard.lines].index(warning)]
    assert level == "warn"
    got, expected = heard.result(), plain.result()
    assert Path(got["result_csv"]).read_text() == Path(expected["result_csv"]).read_text()
    assert got["trained_tokens"] == expected["trained_tokens"]
    assert got["preflight"]["packing"] == seen
    assert expected["preflight"]["packing"] is None
    assert not any("packing" in data for data in told(plain, "message"))
    card = (Path(got["adapter_dir"]) / "README.md").read_text(encoding="utf-8")
    assert "| packing | False | 이 학습의 요청·데이터·장치에 맞춤(레시피: True)" in card


def test_layers_that_peft_refuses_are_left_out(any_base: Base, training_file: Path, tmp_path: Path) -> None:
    heard = trained(any_base("mamba2"), training_file, tmp_path, packing=False)
    assert heard.said("out_proj 층에 어댑터를 붙일 수 없어")
    adapter = json.loads((Path(heard.result()["adapter_dir"]) / "adapter_config.json").read_text())
    assert adapter["target_modules"] == ["in_proj"]


def test_layers_that_can_have_no_adapter(any_base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, made = RECIPES["auto"], load_config(str(any_base("mamba2")))
    assert fitted_targets(load_config(str(any_base("qwen3"))), recipe) == (recipe, ())
    for targets in (("out_proj",), ("q_proj", "v_proj")):
        with pytest.raises(BaseModelError, match="No adapter can be put on this base") as caught:
            fitted_targets(made, dataclasses.replace(recipe, target_modules=targets))
        assert (caught.value.code, caught.value.param) == ("adapter_targets_refused", "model")
        assert "auto" in caught.value.hint
    monkeypatch.setattr("training.targets._linear_names", lambda _config: ["out_proj"])
    with pytest.raises(BaseModelError, match="out_proj"):
        fitted_targets(made, recipe)


def test_a_base_by_its_name_on_the_hub(
    any_base: Base, training_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its folder says counts: size, licence, memory; and the result names it as the request did."""
    cache = tmp_path / "cache" / "models--org--tiny"
    shutil.copytree(any_base("qwen3"), cache / "snapshots" / "abc")
    card = "---\nlicense: apache-2.0\n---\n# 시험용\n"
    (cache / "snapshots" / "abc" / "README.md").write_text(card, encoding="utf-8")
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("abc")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    fitted: list[int | None] = []
    at_once = checks.at_once

    def noted(*values: Any) -> int | None:
        fitted.append(at_once(*values))
        return fitted[-1]

    monkeypatch.setattr("training.run.at_once", noted)
    asked = config(tmp_path, training_file, tmp_path / "out", recipe="auto", max_steps=2)
    heard = Heard()
    run_training(asked.model_copy(update={"base": "org/tiny", "base_label": "org/tiny"}), heard)
    found = heard.result()["preflight"]
    assert (found["licence"], found["licence_source"]) == ("apache-2.0", "README.md")
    assert found["estimate"]["memory_bytes"] > 0
    assert found["duration"] is not None
    assert not any("config.json" in warning for warning in found["warnings"])
    # This base's tokenizer has a template of its own.
    assert not found["fallback_template"]
    assert fitted == [4]
    assert heard.result()["base_path"] == "org/tiny"
