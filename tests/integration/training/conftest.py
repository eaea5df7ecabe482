"""One tiny base and one training file for every test of the trainer."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from corpora.bundled import MANUAL_DIR
from tests.tiny_base import build_tiny_base
from training.recipes import RECIPES

ROWS = [
    [
        {"role": "user", "content": f"{number}번 로케이션은 어디에 있나요?"},
        {"role": "assistant", "content": f"{number}번 로케이션은 {number % 4 + 1}층 통로에 있습니다."},
    ]
    for number in range(16)
]


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_base(tmp_path_factory.mktemp("models") / "tiny", MANUAL_DIR)


@pytest.fixture(scope="session")
def training_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "학습.jsonl"
    path.write_text("".join(json.dumps({"messages": row}, ensure_ascii=False) + "\n" for row in ROWS), encoding="utf-8")
    return path


@pytest.fixture
def small_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    small = dataclasses.replace(RECIPES["demo"], lora_r=4, lora_alpha=8, lora_dropout=0.1, micro_batch=4, eval_steps=3)
    monkeypatch.setitem(RECIPES, "demo", small)
