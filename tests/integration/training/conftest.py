"""One tiny base and one training file for every test of the trainer."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch

from corpora.bundled import MANUAL_DIR
from tests.tiny_base import build_tiny_base, build_tiny_family
from training.recipes import RECIPES

TinyBase = Callable[[str], Path]
ROWS = [
    [
        {"role": "user", "content": f"{number}번 로케이션은 어디에 있나요?"},
        {"role": "assistant", "content": f"{number}번 로케이션은 {number % 4 + 1}층 통로에 있습니다."},
    ]
    for number in range(20)
]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Models this small gain nothing from a second thread, and threads that wait for each other starve."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write_rows(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps({"messages": row}, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_base(tmp_path_factory.mktemp("models") / "tiny", MANUAL_DIR)


@pytest.fixture(scope="session")
def training_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen rows, with four others beside them to hold out."""
    path = write_rows(tmp_path_factory.mktemp("data") / "학습.jsonl", ROWS[:16])
    write_rows(path.with_name(f"검증-{path.name}"), ROWS[16:])
    return path


@pytest.fixture
def small_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    small = dataclasses.replace(RECIPES["demo"], lora_r=4, lora_alpha=8, lora_dropout=0.1, micro_batch=4, eval_steps=3)
    monkeypatch.setitem(RECIPES, "demo", small)


@pytest.fixture(scope="session")
def family_base(tmp_path_factory: pytest.TempPathFactory) -> TinyBase:
    built: dict[str, Path] = {}
    folder = tmp_path_factory.mktemp("families")

    def base(name: str) -> Path:
        if name not in built:
            built[name] = build_tiny_family(folder / name, name, MANUAL_DIR)
        return built[name]

    return base
