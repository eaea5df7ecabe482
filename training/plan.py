"""The numbers of a run after recipe, request, data and machine have met. Arithmetic only: no torch, no files.

``effective_recipe`` lays the request's overrides over the recipe, ``pack_shape`` says how rows are packed, ``plan_run``
gives batch, epochs, rate and steps. An update holds as many rows whether they are packed or not, on one process or on
several, so that rate and epochs mean the same.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from training.config import TrainConfig
from training.recipes import RECIPES, Recipe, epochs_for

__all__ = ["Machine", "PackShape", "Plan", "base_rate", "batch_of", "effective_recipe", "pack_shape", "plan_run"]

#: Measured on CPUs: 2,048 is slower than 1,024, for the mask of a packed sequence is dense and grows with its square.
CPU_PACK_LENGTH = 1024
#: Times the recipe's rate, which is for answers to imitate. TRL's defaults: 1e-6 for DPO, 2e-5 for supervised runs.
DPO_RATE_SHARE = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What the run computes on."""

    device: str = "cpu"  #: ``cpu`` or ``cuda``.
    processes: int = 1  #: Started by ``accelerate launch``; each holds a whole copy of the base.
    rank: int = 0  #: Which of them this one is.
    free_bytes: int | None = None  #: Memory that a run could take; None where not known.
    flops: float | None = None  #: Peak of the device in operations a second; None where not known.

    @property
    def first(self) -> bool:
        """Whether this process speaks for all."""
        return self.rank == 0


@dataclass(frozen=True, kw_only=True, slots=True)
class PackShape:
    """How rows share sequences."""

    length: int  #: Tokens of one sequence at most; no row is longer.
    per_update: int  #: Sequences of one update.


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The numbers of a run after recipe, request and data have met."""

    micro_batch: int  #: Sequences at once on one process.
    accumulation: int  #: Micro-batches of an update on one process.
    epochs: int  #: Passes over the data, begun ones too.
    learning_rate: float
    max_steps: int  #: -1 where epochs decide.
    total_steps: int
    eval_steps: int  #: Updates between two evaluations, each with a checkpoint.
    batch_rows: int  #: Rows of one update, on the average where they are packed.
    share_seen: float  #: Of the data, 1 where every row is trained at least once.


def effective_recipe(config: TrainConfig) -> Recipe:
    """The recipe of the request with the request's own packing, length, patience and stop phrase."""
    recipe = RECIPES[config.recipe]
    asked: dict[str, Any] = {
        "packing": config.packing,
        "max_length": config.max_length,
        "early_stopping_patience": config.early_stopping_patience,
    }
    if config.method == "dpo":
        # Two answers to one prompt are compared as a pair; there is nothing to pack.
        asked["packing"] = False
    given = {name: value for name, value in asked.items() if value is not None}
    if config.stop_phrase is not None:
        given["stop_phrase"] = config.stop_phrase or None
    return dataclasses.replace(recipe, **given)


def batch_of(config: TrainConfig, recipe: Recipe) -> tuple[int, int]:
    """Micro-batch and accumulation, in rows; their product is the rows of one update."""
    batch = recipe.micro_batch * recipe.accumulation if config.batch_size == "auto" else config.batch_size
    micro = math.gcd(batch, recipe.micro_batch)
    if config.method == "dpo" and micro % 2 == 0:
        # A pair is two rows.
        micro //= 2
    return micro, batch // micro


def base_rate(config: TrainConfig, recipe: Recipe) -> float:
    """The rate that ``learning_rate_multiplier`` multiplies: the recipe's, for preference runs a share of it."""
    return recipe.learning_rate * (DPO_RATE_SHARE if config.method == "dpo" else 1.0)


def pack_shape(lengths: Sequence[int], batch: int, recipe: Recipe, machine: Machine) -> PackShape:
    """Sequences that hold about as many rows an update as the unpacked batch does.

    Args:
        lengths: Tokens of each row.
        batch: Rows of one update.
        recipe: Its ``max_length`` bounds a sequence.
        machine: On a CPU sequences are no longer than 1,024 tokens, unless a row is.
    """
    longest = max(lengths)
    cap = recipe.max_length if machine.device == "cuda" else min(recipe.max_length, CPU_PACK_LENGTH)
    wanted = math.ceil(batch * sum(lengths) / len(lengths))
    if wanted <= max(cap, longest):
        return PackShape(length=max(longest, min(cap, wanted)), per_update=1)
    length = max(cap, longest)
    return PackShape(length=length, per_update=round(wanted / length))


def _shares(per_update: int, at_once: int, processes: int) -> tuple[int, int]:
    """Micro-batch and accumulation of one process, so that all together make ``per_update`` sequences, or near it."""
    mine = max(1, round(per_update / processes))
    micro = max(size for size in range(1, min(at_once, mine) + 1) if mine % size == 0)
    return micro, mine // micro


def plan_run(
    config: TrainConfig,
    recipe: Recipe,
    rows: int,
    *,
    machine: Machine | None = None,
    packed: tuple[PackShape, int] | None = None,
    at_once: int | None = None,
) -> Plan:
    """Batch, epochs, rate and steps of a run.

    Args:
        config: The request.
        recipe: With the request's overrides.
        rows: Of the training data.
        machine: One CPU process where not given.
        packed: The shape of the sequences and how many there are, where rows are packed.
        at_once: Sequences that memory holds together; None is the recipe's micro-batch.
    """
    machine = machine or Machine()
    micro, accumulation = batch_of(config, recipe)
    sequences, rows_each = rows, 1.0
    if packed is not None:
        shape, sequences = packed
        rows_each = rows / sequences
        # A CPU gains nothing from two sequences at once: their mask is one square over both.
        most = (at_once or micro) if machine.device == "cuda" else 1
        micro, accumulation = _shares(shape.per_update, most, machine.processes)
    elif machine.processes > 1 or at_once is not None:
        if at_once is not None and config.method == "dpo":
            # A pair is two sequences.
            at_once = max(1, at_once // 2)
        micro, accumulation = _shares(micro * accumulation, at_once or micro, machine.processes)
    per_epoch = math.ceil(math.ceil(sequences / machine.processes / micro) / accumulation)
    epochs = epochs_for(recipe, rows) if config.n_epochs == "auto" else config.n_epochs
    if config.n_epochs == "auto" and config.max_steps is None:
        epochs = max(epochs, math.ceil(recipe.min_steps / per_epoch))
    if config.max_steps is not None:
        epochs = math.ceil(config.max_steps / per_epoch)
    total = config.max_steps or per_epoch * epochs
    rate = base_rate(config, recipe)
    if config.learning_rate_multiplier != "auto":
        rate *= config.learning_rate_multiplier
    update = micro * accumulation * machine.processes
    return Plan(
        micro_batch=micro,
        accumulation=accumulation,
        epochs=epochs,
        learning_rate=rate,
        max_steps=config.max_steps or -1,
        total_steps=total,
        # A short run is evaluated and saved four times, or a kill would cost all of it.
        eval_steps=max(1, min(recipe.eval_steps, math.ceil(total / 4))),
        batch_rows=max(1, round(update * rows_each)),
        share_seen=min(1.0, total * update / sequences),
    )
