"""``TrainConfig``: one run, as the JSON file says it. Unknown fields are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["LoraOverrides", "TrainConfig", "WandbConfig"]

Auto = Literal["auto"]


class LoraOverrides(BaseModel):
    """LoRA sizes that replace the recipe's, where given."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    r: int | None = None
    alpha: int | None = None
    dropout: float | None = None


class WandbConfig(BaseModel):
    """Where Weights & Biases keeps this run, as OpenAI's integration says it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    project: str  #: Project of the run.
    name: str | None = None  #: Shown name; the library makes one up where there is none.
    entity: str | None = None  #: Team or user; the library's default where there is none.
    tags: tuple[str, ...] = ()  #: Tags of the run.


class TrainConfig(BaseModel):
    """Everything that one run depends on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str  #: Folder of the base model, or a hub name.
    base_label: str  #: Its name as users know it.
    training_file: Path  #: JSONL in the messages schema, or of preference pairs where ``method`` is ``dpo``.
    validation_file: Path | None = None  #: The same, held out.
    #: Share of the training file held out by the seed, where there is no validation file.
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    output_dir: Path  #: Where everything goes.
    recipe: str  #: Name of a recipe.
    method: Literal["supervised", "dpo"] = "supervised"  #: Answers to imitate, or pairs of a better and a worse one.
    beta: Annotated[float, Field(gt=0, le=2)] | Auto = "auto"  #: How near DPO stays to the base; ``auto`` is 0.1.
    seed: int = 7  #: Of shuffling, initialisation and dropout.
    suffix: str | None = None  #: User's name for the model.
    n_epochs: int | Auto = "auto"  #: Passes over the data; ``auto`` is the recipe's.
    batch_size: int | Auto = "auto"  #: Rows of one update; ``auto`` is the recipe's.
    learning_rate_multiplier: float | Auto = "auto"  #: Times the recipe's rate.
    lora: LoraOverrides | None = None  #: Instead of the recipe's sizes.
    max_steps: int | None = None  #: So many updates, instead of epochs.
    packing: bool | None = None  #: Several rows in one sequence; None is the recipe's.
    max_length: int | None = None  #: Tokens of a row at most; None is the recipe's.
    #: Text that every answer is trained to end in, before its stop token; an empty one is none. None is the base's own,
    #: where it was merged from an adapter that has one.
    stop_phrase: str | None = None
    allow_truncated: Annotated[float, Field(ge=0, le=1)] = 0.01  #: Share of rows that may lose tokens.
    #: Evaluations without a better loss before the run ends; 0 never ends it, None is the recipe's.
    early_stopping_patience: Annotated[int, Field(ge=0)] | None = None
    keep_checkpoints: Annotated[int, Field(ge=1)] = 3  #: The newest so many stay, and the best one.
    wandb: WandbConfig | None = None  #: Report to Weights & Biases too.
    dataset_sha256: str | None = None  #: Of the dataset's manifest, for the model card.
    dataset_licence: str | None = None  #: Of the dataset, for the model card.
    demo_corpus: Path | None = None  #: Markdown pages to build ``malmoi-demo`` from, when ``base`` is it.
    models_dir: Path | None = None  #: Where ``malmoi-demo`` lies or will lie.
    resume: bool = False  #: Go on from the newest checkpoint where there is one.
