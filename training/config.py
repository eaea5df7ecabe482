"""``TrainConfig``: one run, as the JSON file says it. Unknown fields are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["LoraOverrides", "TrainConfig"]

Auto = Literal["auto"]


class LoraOverrides(BaseModel):
    """LoRA sizes that replace the recipe's, where given."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    r: int | None = None
    alpha: int | None = None
    dropout: float | None = None


class TrainConfig(BaseModel):
    """Everything that one run depends on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str  #: Folder of the base model, or a hub name.
    base_label: str  #: Its name as users know it.
    training_file: Path  #: JSONL in the messages schema.
    validation_file: Path | None = None  #: The same, held out.
    output_dir: Path  #: Where everything goes.
    recipe: str  #: Name of a recipe.
    seed: int = 7  #: Of shuffling, initialisation and dropout.
    suffix: str | None = None  #: User's name for the model.
    n_epochs: int | Auto = "auto"  #: Passes over the data; ``auto`` is the recipe's.
    batch_size: int | Auto = "auto"  #: Rows of one update; ``auto`` is the recipe's.
    learning_rate_multiplier: float | Auto = "auto"  #: Times the recipe's rate.
    lora: LoraOverrides | None = None  #: Instead of the recipe's sizes.
    max_steps: int | None = None  #: Updates at most.
    demo_corpus: Path | None = None  #: Markdown pages to build ``malmoi-demo`` from, when ``base`` is it.
    models_dir: Path | None = None  #: Where ``malmoi-demo`` lies or will lie.
    resume: bool = False  #: Go on from the newest checkpoint where there is one.
