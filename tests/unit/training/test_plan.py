"""The numbers of a run: an update holds as many rows packed or not, on one process or several."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from training.config import TrainConfig
from training.plan import (
    DPO_RATE_SHARE,
    Machine,
    PackShape,
    base_rate,
    batch_of,
    effective_recipe,
    pack_shape,
    plan_run,
)
from training.recipes import RECIPES

EEVE = RECIPES["eeve-10.8b"]
GPU = Machine(device="cuda")


def config(**more: Any) -> TrainConfig:
    values = {
        "base": "b",
        "base_label": "b",
        "training_file": "학습.jsonl",
        "output_dir": "out",
        "recipe": "eeve-10.8b",
    }
    return TrainConfig.model_validate(values | more)


def test_the_request_lies_over_the_recipe() -> None:
    recipe = effective_recipe(config(packing=False, max_length=512, early_stopping_patience=0))
    assert (recipe.packing, recipe.max_length, recipe.early_stopping_patience) == (False, 512, 0)
    assert effective_recipe(config()) == EEVE
    assert not effective_recipe(config(method="dpo", packing=True)).packing


@pytest.mark.parametrize(
    ("lengths", "batch", "machine", "expected"),
    [
        # 16 rows of 100 tokens fit into one sequence.
        ([100] * 1000, 16, GPU, (1600, 1)),
        # 16 rows of 500 are 8,000 tokens: four sequences of 2,048.
        ([500] * 1000, 16, GPU, (2048, 4)),
        # On a CPU eight of 1,024.
        ([500] * 1000, 16, Machine(), (1024, 8)),
        # No row is cut: a sequence is as long as the longest row.
        ([50] * 999 + [1500], 4, Machine(), (1500, 1)),
        ([10] * 50, 1, GPU, (10, 1)),
    ],
)
def test_shapes_of_packs(lengths: list[int], batch: int, machine: Machine, expected: tuple[int, int]) -> None:
    shape = pack_shape(lengths, batch, EEVE, machine)
    assert (shape.length, shape.per_update) == expected


@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("batch", [4, 16, 32])
def test_several_processes_share_an_update(processes: int, batch: int) -> None:
    machine = Machine(device="cuda", processes=processes)
    plan = plan_run(config(batch_size=batch), EEVE, 1600, machine=machine)
    assert plan.micro_batch * plan.accumulation * processes == batch == plan.batch_rows
    assert plan.total_steps == 2 * 1600 / batch
    assert plan.share_seen == 1


def test_packs_of_an_update_hold_the_rows_of_a_batch() -> None:
    plan = plan_run(config(), EEVE, 1000, machine=GPU, packed=(PackShape(length=2048, per_update=4), 250))
    assert (plan.micro_batch, plan.accumulation, plan.batch_rows) == (4, 1, 16)
    alone = plan_run(config(), EEVE, 1000, packed=(PackShape(length=1024, per_update=8), 500))
    assert (alone.micro_batch, alone.accumulation, alone.batch_rows) == (1, 8, 16)


def test_memory_bounds_what_is_taken_at_once() -> None:
    plan = plan_run(config(recipe="auto"), RECIPES["auto"], 1000, at_once=2)
    assert (plan.micro_batch, plan.accumulation) == (2, 8)


@pytest.mark.parametrize(("rows", "epochs"), [(10, 10), (2, 25), (50, 3), (1000, 3), (20_000, 1), (10_000, 2)])
def test_auto_epochs_are_openais(rows: int, epochs: int) -> None:
    assert plan_run(config(recipe="auto"), RECIPES["auto"], rows).epochs == epochs


def test_a_short_budget_says_what_it_sees() -> None:
    plan = plan_run(config(max_steps=10), EEVE, 1600)
    assert (plan.total_steps, plan.share_seen, plan.epochs) == (10, 0.1, 1)


def test_max_steps_stands_instead_of_epochs() -> None:
    """The plan says the passes that they make, whatever recipe or request say of epochs."""
    recipe = dataclasses.replace(RECIPES["auto"], micro_batch=4, accumulation=1)
    plan = plan_run(config(recipe="auto", max_steps=20, n_epochs=3), recipe, 8)
    assert (plan.total_steps, plan.epochs, plan.share_seen) == (20, 10, 1.0)
    assert plan_run(config(recipe="auto", max_steps=21), recipe, 8).epochs == 11


def test_preference_runs_are_slower_and_take_pairs_for_two_rows() -> None:
    recipe = dataclasses.replace(EEVE, micro_batch=4, accumulation=4)
    assert batch_of(config(method="dpo"), recipe) == (2, 8)
    assert plan_run(config(method="dpo"), recipe, 100).learning_rate == pytest.approx(1e-4 * DPO_RATE_SHARE)


@pytest.mark.parametrize("method", ["supervised", "dpo"])
def test_a_shown_multiplier_handed_back_trains_at_the_same_rate(method: str) -> None:
    plan = plan_run(config(method=method), EEVE, 100)
    shown = plan.learning_rate / base_rate(config(method=method), EEVE)
    assert shown == 1
    again = plan_run(config(method=method, learning_rate_multiplier=shown), EEVE, 100)
    assert again.learning_rate == plan.learning_rate


@pytest.mark.parametrize(
    "wrong",
    [{"beta": 0}, {"beta": 2.5}, {"keep_checkpoints": 0}, {"allow_truncated": 2}, {"validation_fraction": 1}, {"x": 1}],
)
def test_a_configuration_out_of_bounds_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(**wrong)


def test_paths_are_paths() -> None:
    assert config().training_file == Path("학습.jsonl")


@pytest.mark.parametrize(
    ("at_once", "expected"), [(8, (4, 4)), (4, (2, 8)), (2, (1, 16)), (1, (1, 16)), (None, (4, 4))]
)
def test_a_pair_is_two_sequences_of_what_fits(at_once: int | None, expected: tuple[int, int]) -> None:
    auto = RECIPES["auto"]
    asked = config(method="dpo", recipe="auto", batch_size=16)
    assert auto.micro_batch == 8
    plan = plan_run(asked, effective_recipe(asked), 160, at_once=at_once)
    assert (plan.micro_batch, plan.accumulation) == expected
    assert plan.batch_rows == 16
    # Of rows as many as fit.
    alone = plan_run(config(recipe="auto", batch_size=16), auto, 160, at_once=8)
    assert (alone.micro_batch, alone.accumulation) == (8, 2)
