"""Folders that are no base models, or must not be loaded, told from those that are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.services.base_checks import architecture_of, check_base
from corpora.errors import InvalidInputError

CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 10}
BPE: dict[str, Any] = {"model": {"type": "BPE", "vocab": {"가": 0, "나": 9}}, "added_tokens": []}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "아기 모델"
    folder.mkdir()
    write(folder, "config.json", CONFIG)
    write(folder, "tokenizer.json", BPE)
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def write(folder: Path, name: str, content: Any) -> None:
    (folder / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def code_of(folder: Path) -> str:
    with pytest.raises(InvalidInputError) as caught:
        check_base(folder)
    assert caught.value.param == "model"
    assert "아기 모델" in caught.value.message
    return caught.value.code


def test_a_whole_folder_passes(base: Path) -> None:
    check_base(base)
    assert architecture_of(base) == "LlamaForCausalLM"


@pytest.mark.parametrize(
    ("content", "code"),
    [(None, "config_missing"), ("{", "invalid_config"), ("[]", "invalid_config"), ("\udcff", "invalid_config")],
)
def test_configurations_that_are_none(base: Path, content: str | None, code: str) -> None:
    (base / "config.json").unlink()
    if content is not None:
        (base / "config.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert code_of(base) == code


@pytest.mark.parametrize("where", ["config.json", "tokenizer_config.json"])
def test_code_by_reference(base: Path, where: str) -> None:
    write(base, where, (CONFIG if where == "config.json" else {}) | {"auto_map": {"AutoModel": "evil--evil.Model"}})
    assert code_of(base) == "custom_code_refused"


@pytest.mark.parametrize("name", ["modeling_evil.py", "tokenization_evil.py", "evil.so"])
def test_code_beside_the_weights(base: Path, name: str) -> None:
    (base / name).write_text("import os")
    assert code_of(base) == "custom_code_refused"


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.PTH", "last.ckpt", "x.pkl", "y.pickle"])
def test_weights_that_may_run_code(base: Path, name: str) -> None:
    (base / name).write_bytes(b"\x80\x04")
    check_base(base)  # beside whole safetensors nothing opens it
    (base / "model.safetensors").unlink()
    assert code_of(base) == "unsafe_weights"


def test_no_weights(base: Path) -> None:
    (base / "model.safetensors").unlink()
    assert code_of(base) == "weights_missing"


@pytest.mark.parametrize(
    "change",
    [
        {"architectures": ["BertForMaskedLM"]},
        {"architectures": []},
        {"architectures": None},
        {"architectures": "LlamaForCausalLM"},
        {"model_type": None},
    ],
)
def test_architectures_that_write_no_text(base: Path, change: dict[str, Any]) -> None:
    write(base, "config.json", CONFIG | change)
    assert code_of(base) == "unknown_architecture"


@pytest.mark.parametrize(
    "tokenizer",
    [
        {"model": {"vocab": {"가": 0, "나": 10}}},
        {"model": {"vocab": [[f"토큰{n}", 0.0] for n in range(11)]}},
        BPE | {"added_tokens": [{"id": 10, "content": "<새 토큰>", "special": False}]},
        BPE | {"added_tokens": [{"id": 10, "content": "<끝>", "special": True}]},  # named below as the stop token
        BPE | {"added_tokens": [{"id": 10, "content": "<말>", "special": True}]},  # used by the template
    ],
)
def test_tokenizers_of_another_model(base: Path, tokenizer: dict[str, Any]) -> None:
    write(base, "tokenizer.json", tokenizer)
    write(base, "tokenizer_config.json", {"eos_token": {"content": "<끝>"}, "chat_template": "<말>{{ 말 }}"})
    assert code_of(base) == "vocabulary_mismatch"
    check_base(base, vocabulary=False)


def test_a_special_token_that_nothing_names_may_lie_beyond(base: Path) -> None:
    # Gemma 3 of 1B has such a one for images.
    write(base, "tokenizer.json", BPE | {"added_tokens": [{"id": 10, "content": "<image>", "special": True}]})
    write(base, "tokenizer_config.json", {"image_token": "<image>", "eos_token": "가"})
    check_base(base)


def test_the_vocabulary_of_a_model_with_parts(base: Path) -> None:
    inner = {key: value for key, value in CONFIG.items() if key != "vocab_size"} | {"text_config": {"vocab_size": 9}}
    write(base, "config.json", inner)
    assert code_of(base) == "vocabulary_mismatch"
