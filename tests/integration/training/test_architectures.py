"""Every family's own class trained in NF4, packed and not, with evaluations in the middle, against stored curves.

The curves were recorded on one machine. Other processors round otherwise: with that machine's AVX-512 and bfloat16
units switched off (ATEN_CPU_CAPABILITY=avx2, ONEDNN_MAX_CPU_ISA=AVX2) no loss of any family moved by more than 0.0008
in 16 updates. The tolerance is six times that. Written anew by MALMOI_TEST_WRITE_CURVES=1.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.training.conftest import TinyBase, write_rows
from tests.integration.training.runs import Heard, config
from tests.tiny_base import FAMILIES
from training.recipes import RECIPES
from training.run import run_training

CURVES = Path(__file__).resolve().parents[2] / "data" / "loss_curves"
TOLERANCE = 0.005
STEPS = 16


@pytest.fixture(scope="session")
def mixed_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of very different length: two turns in some, a system message in some, and turns that are not trained."""
    rows: list[list[dict[str, Any]]] = []
    for number in range(28):
        turns: list[dict[str, Any]] = [{"role": "system", "content": "짧게 답하세요."}] if number % 5 == 0 else []
        turns += [
            {"role": "user", "content": f"{number}번 도크의 입고 절차는?" + " 자세히 알려 주세요." * (number % 4)},
            {"role": "assistant", "content": f"{number}번 도크에서 송장을 확인합니다." * (1 + number % 3)},
        ]
        if number % 3 == 0:
            turns[-1]["weight"] = number % 2
            turns += [
                {"role": "user", "content": "그다음은요?"},
                {"role": "assistant", "content": f"수량을 세고 {number % 7}번 선반에 적치합니다."},
            ]
        rows.append(turns)
    path = write_rows(tmp_path_factory.mktemp("mixed") / "학습.jsonl", rows[:22])
    write_rows(path.with_name(f"검증-{path.name}"), rows[22:])
    return path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """The family's recipe with a small adapter and short way, everything else as it is."""

    def recipe(family: str) -> str:
        name = FAMILIES[family].recipe
        changed = dataclasses.replace(
            RECIPES[name], lora_r=4, lora_alpha=8, micro_batch=2, accumulation=2, learning_rate=1e-2, eval_steps=4
        )
        monkeypatch.setitem(RECIPES, name, changed)
        return name

    return recipe


def curve(result: dict[str, Any]) -> dict[str, list[float]]:
    with Path(result["result_csv"]).open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    return {
        "train": [round(float(row["train_loss"]), 5) for row in rows],
        "valid": [round(float(row["valid_loss"]), 5) for row in rows if row["valid_loss"]],
    }


LONG = pytest.mark.long
#: One of each kind of attention, and one unpacked; the others are long.
ORDINARY = {("llama", True), ("gemma2", True), ("gpt_neox", False)}
CASES = [
    pytest.param(
        family,
        packing,
        id=f"{family}-{'packed' if packing else 'unpacked'}",
        marks=[] if (family, packing) in ORDINARY else [LONG],
    )
    for family in FAMILIES
    # Evaluations in the middle are of unpacked rows in either case.
    for packing in (True, False)
]


@pytest.mark.parametrize(("family", "packing"), CASES)
def test_a_family_learns_along_its_curve(
    family: str, packing: bool, family_base: TinyBase, mixed_file: Path, tmp_path: Path, quick: Callable[[str], str]
) -> None:
    heard = Heard()
    asked = {"recipe": quick(family), "packing": packing, "max_steps": STEPS, "early_stopping_patience": 0}
    run_training(config(family_base(family), mixed_file, tmp_path, **asked), heard)
    got = curve(heard.result())
    assert len(got["train"]) == STEPS
    assert len(got["valid"]) == STEPS // 4
    assert got["valid"][-1] < got["valid"][0] - 0.05
    stored = CURVES / f"{family}.json"
    name = "packed" if packing else "unpacked"
    if os.environ.get("MALMOI_TEST_WRITE_CURVES"):
        known = json.loads(stored.read_text(encoding="utf-8")) if stored.exists() else {}
        stored.parent.mkdir(exist_ok=True)
        stored.write_text(json.dumps(known | {name: got}, indent=1) + "\n", encoding="utf-8")
    expected = json.loads(stored.read_text(encoding="utf-8"))[name]
    for side, losses in expected.items():
        assert got[side] == pytest.approx(losses, abs=TOLERANCE), side
