"""What chat refuses to put on its base: pickles, other kinds of adapters, tensors that are of another base."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from tests.tiny_adapter import build_tiny_adapter
from training.chat.models import Shelf
from training.errors import AdapterError

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def shelf(tiny_base: Path) -> Shelf:
    made = Shelf()
    made.open(str(tiny_base))
    return made


@pytest.fixture(scope="module")
def adapter(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_adapter(tiny_base, tmp_path_factory.mktemp("adapter") / "하나", 1)


def test_what_is_refused(
    shelf: Shelf, adapter: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(name: str) -> Path:
        return shutil.copytree(adapter, tmp_path / name)

    def code(folder: Path) -> str:
        with pytest.raises(AdapterError) as caught:
            shelf.adapter(str(folder))
        assert caught.value.code is not None
        return caught.value.code

    pickled = changed("pickled")
    (pickled / "adapter_model.bin").write_bytes(b"\x80\x04")
    assert code(pickled) == "unsafe_weights"
    kind = changed("kind")
    config = json.loads((kind / "adapter_config.json").read_text())
    (kind / "adapter_config.json").write_text(json.dumps(config | {"peft_type": "IA3"}))
    assert code(kind) == "unknown_adapter_type"
    half = changed("half")
    weights = load_file(half / WEIGHTS)
    save_file(dict(list(weights.items())[::2]), half / WEIGHTS)
    assert code(half) == "adapter_does_not_fit"
    more = changed("more")
    name, tensor = next(iter(weights.items()))
    save_file(weights | {name.replace("layers.0", "layers.9"): tensor.clone()}, more / WEIGHTS)
    assert code(more) == "adapter_does_not_fit"
    # None of them is left on the base, and a good one still fits; its base's name is not what it was trained on.
    assert getattr(shelf.use(None), "peft_config", {}) == {}
    monkeypatch.setattr(logging.getLogger("malmoi.chat"), "propagate", True)
    config["base_model_name_or_path"] = "/elsewhere/another"
    other = changed("other")
    (other / "adapter_config.json").write_text(json.dumps(config))
    with caplog.at_level(logging.WARNING, "malmoi.chat"):
        shelf.adapter(str(other))
    assert "was trained on '/elsewhere/another'" in caplog.text
