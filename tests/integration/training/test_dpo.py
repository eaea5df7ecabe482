"""Preference runs: the margin between the better and the worse answer grows, the base stays the reference."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.training.runs import Heard, InterruptedRunError, config, same_outcome
from tests.integration.training.test_limits import Scarce
from training.recipes import RECIPES
from training.run import run_training


def pair(number: int) -> dict[str, Any]:
    return {
        "input": {"messages": [{"role": "user", "content": f"{number}번 도크는 어디인가요?"}]},
        "preferred_output": [{"role": "assistant", "content": f"{number}번 도크는 1층 북쪽에 있습니다."}],
        "non_preferred_output": [{"role": "assistant", "content": "몰라. 알아서 찾아 봐."}],
    }


@pytest.fixture(scope="module")
def pairs_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    for name, numbers in (("학습.jsonl", range(16)), ("검증-학습.jsonl", range(16, 20))):
        lines = [json.dumps(pair(number), ensure_ascii=False) + "\n" for number in numbers]
        (folder / name).write_text("".join(lines), encoding="utf-8")
    return folder / "학습.jsonl"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = dataclasses.replace(RECIPES["demo"], lora_r=4, lora_alpha=8, micro_batch=4, learning_rate=0.1, eval_steps=3)
    monkeypatch.setitem(RECIPES, "demo", quick)


def rows(result: dict[str, Any]) -> list[dict[str, str]]:
    with Path(result["result_csv"]).open(encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def test_the_margin_grows(tiny_base: Path, pairs_file: Path, tmp_path: Path) -> None:
    heard = Heard()
    run_training(config(tiny_base, pairs_file, tmp_path, method="dpo"), heard)
    result = heard.result()
    table = rows(result)
    margins = [float(row["reward_margin"]) for row in table]
    # The first update has the base's own weights: both sides are the reference.
    assert margins[0] == pytest.approx(0, abs=1e-6)
    assert float(table[0]["train_loss"]) == pytest.approx(0.6931, abs=1e-3)
    assert margins[-1] > margins[0] + 0.05
    assert float(table[-1]["valid_reward_margin"]) > 0.05
    assert float(table[-1]["valid_reward_accuracy"]) == 1.0
    assert float(table[-1]["train_loss"]) < float(table[0]["train_loss"])
    assert result["hyperparameters"] == {"n_epochs": 3, "batch_size": 4, "learning_rate_multiplier": 1.0, "beta": 0.1}
    assert any("train_reward_margin" in data for type_, _, data in heard.lines if type_ == "metrics")
    assert [entry["step"] for entry in result["checkpoints"]][-1] == 12


@pytest.mark.long
def test_a_resumed_run_is_the_same_and_beta_counts(tiny_base: Path, pairs_file: Path, tmp_path: Path) -> None:
    calm, resumed = Heard(), Heard()
    run_training(config(tiny_base, pairs_file, tmp_path / "calm", method="dpo", beta=0.5), calm)
    with pytest.raises(InterruptedRunError):
        run_training(config(tiny_base, pairs_file, tmp_path / "killed", method="dpo", beta=0.5), Heard(die_at=8))
    run_training(config(tiny_base, pairs_file, tmp_path / "killed", method="dpo", beta=0.5), resumed)
    assert resumed.said("checkpoint-6에서 이어서")
    assert calm.result()["hyperparameters"]["beta"] == 0.5
    same_outcome(calm.result(), resumed.result())


@pytest.mark.long
def test_pairs_are_halved_where_memory_runs_out(
    tiny_base: Path, pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm, cramped = Heard(), Heard()
    asked = {"method": "dpo", "max_steps": 3}
    run_training(config(tiny_base, pairs_file, tmp_path / "calm", **asked), calm)
    scarce = Scarce(150, backward=False)
    with pytest.MonkeyPatch.context() as patch:
        scarce.install(patch)
        run_training(config(tiny_base, pairs_file, tmp_path / "cramped", **asked), cramped)
    assert scarce.raised >= 1
    first, second = ([float(row["train_loss"]) for row in rows(heard.result())] for heard in (calm, cramped))
    assert second == pytest.approx(first, abs=2e-3)
