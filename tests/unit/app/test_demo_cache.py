"""Where the smoke-test model lies for commands without a store: one place that outlives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.inline import services_on
from app.services.chat_folders import base_places, folder_target
from app.services.demo_cache import demo_folder, demo_models, make_demo_models
from app.services.models import DEMO_MODEL, chat_target, demo_path
from app.settings import Settings
from corpora.errors import MalmoiError, UnavailableError
from tests.unit.app.test_chat_folders import CONFIG, adapter_on


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "캐시"))
    return tmp_path / "캐시" / "malmoi" / "models"


def build(models: Path) -> Path:
    import json

    folder = models / DEMO_MODEL
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def test_the_folder(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert (demo_models(), demo_folder()) == (cache, None)
    build(cache)
    assert demo_folder() == cache / DEMO_MODEL
    monkeypatch.setenv("HOME", str(tmp_path))
    # One that depends on where the command runs is none.
    for named in ("", "캐시"):
        monkeypatch.setenv("XDG_CACHE_HOME", named)
        assert demo_models() == tmp_path / ".cache" / "malmoi" / "models"


def test_one_that_cannot_be_made_is_told(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "캐시").write_text("파일", encoding="utf-8")
    with pytest.raises(MalmoiError) as caught:
        make_demo_models()
    assert caught.value.code == "cache_not_writable"
    assert "--data-dir" in (caught.value.hint or "")


def test_private_stores_share_it_and_leave_it_behind(cache: Path, tmp_path: Path) -> None:
    make_demo_models()
    with services_on(None, None) as services:
        # Where a training builds it, and what the adapter then names as its base.
        assert demo_path(services) == cache / DEMO_MODEL
        with pytest.raises(UnavailableError, match="malmoi train"):
            chat_target(services, DEMO_MODEL)
        build(cache)
    with services_on(None, None) as services:
        assert chat_target(services, DEMO_MODEL).base_path == str(cache / DEMO_MODEL)
    assert (cache / DEMO_MODEL / "config.json").is_file()
    with services_on(tmp_path / "data", None) as services:
        assert demo_path(services) == tmp_path / "data" / "models" / DEMO_MODEL


def test_an_adapter_of_another_machine_finds_it_by_its_name(cache: Path, tmp_path: Path) -> None:
    build(cache)
    adapter = adapter_on("/옛/기계/malmoi-demo", tmp_path / "풀린 것")
    places = base_places(Settings(data_dir=tmp_path / "data"))
    assert folder_target(adapter, places=places).base_path == str(cache / DEMO_MODEL)
