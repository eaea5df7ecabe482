"""Where ``malmoi chat`` finds the base of an adapter that it is handed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.services.chat_folders import base_places, folder_target
from app.settings import Settings
from corpora.errors import InvalidInputError

CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 10}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A folder of bases with one in it, and one that was merged."""
    for folder in (
        tmp_path / "models" / "아기",
        tmp_path / "models" / "회사" / "큰것",
        tmp_path / "data/merged/합친것",
    ):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
        (folder / "model.safetensors").write_bytes(b"")
    return Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models")


def adapter_on(base: str, folder: Path) -> Path:
    folder.mkdir()
    named = json.dumps({"base_model_name_or_path": base}, ensure_ascii=False)
    (folder / "adapter_config.json").write_text(named, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("아기", "models/아기"),
        ("회사/아기", "models/아기"),
        ("회사/큰것", "models/회사/큰것"),
        ("/옛/기계/아기", "models/아기"),
        ("합친것", "data/merged/합친것"),
    ],
)
def test_a_base_is_found_by_its_name(settings: Settings, tmp_path: Path, named: str, found: str) -> None:
    adapter = adapter_on(named, tmp_path / "풀린 것")
    target = folder_target(adapter, places=base_places(settings))
    assert (target.base_path, target.adapter_path) == (str(tmp_path / found), str(adapter))


def test_one_that_is_there_is_taken_as_named(settings: Settings, tmp_path: Path) -> None:
    other = tmp_path / "다른 곳" / "아기"
    other.parent.mkdir()
    (tmp_path / "models" / "아기").rename(other)
    (tmp_path / "models" / "아기").mkdir()
    adapter = adapter_on(str(other), tmp_path / "풀린 것")
    assert folder_target(adapter, places=base_places(settings)).base_path == str(other)
    moved = adapter_on("없는것", tmp_path / "또")
    assert folder_target(moved, base=str(other), places=base_places(settings)).base_path == str(other)
    assert folder_target(adapter_on("org/name", tmp_path / "허브"), places=()).base_path == "org/name"


@pytest.mark.parametrize("named", ["없는것", "/옛/기계/없는것", "../models/.."])
def test_one_that_is_nowhere_is_asked_for(settings: Settings, tmp_path: Path, named: str) -> None:
    with pytest.raises(InvalidInputError, match="--base") as caught:
        folder_target(adapter_on(named, tmp_path / "풀린 것"), places=base_places(settings))
    assert caught.value.param == "base"
