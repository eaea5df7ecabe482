"""Activations that are computed again, as on every GPU: the same losses as without, whatever the family."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import pytest

from tests.integration.training.conftest import ROWS, TinyBase, write_rows
from tests.integration.training.runs import Heard, config
from tests.tiny_base import FAMILIES
from training import qlora
from training.recipes import RECIPES
from training.run import run_training

STEPS = 6
Losses = dict[str, list[float]]


@pytest.fixture(scope="session")
def uneven_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of different length, so that several share a sequence."""
    rows = [
        [dict(turn, content=turn["content"] * (1 + number % 3)) for turn in turns] for number, turns in enumerate(ROWS)
    ]
    path = write_rows(tmp_path_factory.mktemp("uneven") / "학습.jsonl", rows[:16])
    write_rows(path.with_name(f"검증-{path.name}"), rows[16:])
    return path


@pytest.mark.parametrize(
    "family", ["gemma2", *(pytest.param(name, marks=pytest.mark.long) for name in ("llama", "gpt_neox", "gemma3_text"))]
)
def test_losses_are_those_without(
    family: str, family_base: TinyBase, uneven_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In NF4, packed, with dropout in the adapter, and with evaluations in the middle."""
    name = FAMILIES[family].recipe
    small = dataclasses.replace(
        RECIPES[name], lora_r=4, lora_alpha=8, lora_dropout=0.1, micro_batch=2, accumulation=2, learning_rate=1e-2,
        eval_steps=2,
    )  # fmt: skip
    monkeypatch.setitem(RECIPES, name, small)
    layers = counted_layers(monkeypatch)
    curves, passes = [], []
    for recomputed in (False, True):
        monkeypatch.setattr(qlora, "recomputes", lambda recomputed=recomputed: recomputed)
        layers.clear()
        heard = Heard()
        asked = {"recipe": name, "packing": True, "max_steps": STEPS, "early_stopping_patience": 0}
        run_training(config(family_base(family), uneven_file, tmp_path / str(recomputed), **asked), heard)
        assert heard.said("여러 행을 최대")
        curves.append(losses(heard))
        passes.append(len(layers))
    assert len(curves[0]["train"]) == STEPS
    assert len(curves[0]["valid"]) == STEPS // 2
    assert curves[1] == curves[0]
    # Or nothing was switched on: every layer of every training pass ran once more.
    assert passes == [0, passes[1]]
    assert passes[1] >= 2 * STEPS


def counted_layers(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One entry for every layer that is checkpointed in a forward pass."""
    from transformers import modeling_utils

    seen: list[None] = []
    checkpoint = modeling_utils.checkpoint

    def counted(*args: object, **kwargs: object) -> object:
        seen.append(None)
        return checkpoint(*args, **kwargs)

    monkeypatch.setattr(modeling_utils, "checkpoint", counted)
    return seen


def losses(heard: Heard) -> Losses:
    with Path(heard.result()["result_csv"]).open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    return {
        "train": [float(row["train_loss"]) for row in rows],
        "valid": [float(row["valid_loss"]) for row in rows if row["valid_loss"]],
    }
