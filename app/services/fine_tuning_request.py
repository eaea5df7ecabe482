"""The body of ``POST /v1/fine_tuning/jobs``: OpenAI's fields with OpenAI's bounds, and ours through ``extra_body``.

Only shapes and bounds; what a request names (files, bases, recipes) is looked up by ``app.services.fine_tuning``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationInfo, field_validator, model_validator

from app.services.labels import Identifier, Label, Storable
from training.recipe_fields import STOP_PHRASE

__all__ = ["CreateFineTuningJob", "MethodName"]

Auto = Literal["auto"]
MethodName = Literal["supervised", "dpo"]
Metadata = dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]]


class _Strict(BaseModel):
    """A field that nobody knows is a mistake of the client's, never ignored."""

    model_config = ConfigDict(extra="forbid")


class Hyperparameters(_Strict):
    """OpenAI's three hyperparameters; ``auto`` leaves one to the recipe."""

    n_epochs: Auto | Annotated[int, Field(ge=1, le=50)] = "auto"
    batch_size: Auto | Annotated[int, Field(ge=1, le=256)] = "auto"
    learning_rate_multiplier: Auto | Annotated[float, Field(gt=0, le=1000)] = "auto"


class DpoHyperparameters(Hyperparameters):
    """The three, and the weight of the penalty for leaving the reference model."""

    beta: Auto | Annotated[float, Field(gt=0, le=2)] = "auto"


class Supervised(_Strict):
    """Learn the assistant's answers."""

    hyperparameters: Hyperparameters | None = None


class Dpo(_Strict):
    """Learn to prefer one answer to another."""

    hyperparameters: DpoHyperparameters | None = None


class Method(_Strict):
    """How to train."""

    type: MethodName = "supervised"
    supervised: Supervised | None = None
    dpo: Dpo | None = None

    @model_validator(mode="after")
    def _one_method(self) -> Method:
        other: MethodName = "dpo" if self.type == "supervised" else "supervised"
        if getattr(self, other) is not None:
            raise ValueError(f"'{other}' is given, and type is '{self.type}'; give only the one that is to be used")
        return self


class Wandb(_Strict):
    """A run at Weights & Biases; the key is the service's own (``WANDB_API_KEY``), offline mode needs none."""

    project: Annotated[Label, Field(min_length=1, max_length=128)]
    name: Annotated[Label, Field(max_length=128)] | None = None
    entity: Annotated[Label, Field(max_length=128)] | None = None
    tags: Annotated[list[Annotated[Label, Field(min_length=1, max_length=64)]], Field(max_length=50)] | None = None


class Integration(_Strict):
    """Where a job's metrics go besides its events."""

    type: Literal["wandb"]
    wandb: Wandb


class LoraRequest(_Strict):
    """LoRA sizes that replace the recipe's."""

    r: Annotated[int, Field(ge=1, le=512)] | None = None
    alpha: Annotated[int, Field(ge=1, le=1024)] | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None


class CreateFineTuningJob(_Strict):
    """The body of ``POST /v1/fine_tuning/jobs``."""

    model: Identifier
    training_file: Identifier
    validation_file: Identifier | None = None
    validation_fraction: (
        Annotated[float, Field(gt=0, le=0.5, description="Share of the training file that is held out.")] | None
    ) = None
    suffix: Annotated[Label, Field(min_length=1, max_length=64)] | None = None
    seed: Annotated[int, Field(ge=0, le=2147483647)] | None = None
    hyperparameters: Annotated[Hyperparameters | None, Field(description="OpenAI's older place for them.")] = None
    method: Method | None = None
    integrations: Annotated[list[Integration], Field(max_length=5)] | None = None
    metadata: Annotated[Metadata, Field(max_length=16), Storable] | None = None
    recipe: Annotated[Identifier | None, Field(description="Instead of the base's own.")] = None
    lora: LoraRequest | None = None
    max_steps: Annotated[int, Field(ge=1, le=10_000_000, description="Updates, instead of epochs.")] | None = None
    packing: Annotated[bool | None, Field(description="Several rows in one sequence; the recipe's choice if null.")] = (
        None
    )
    max_length: Annotated[int, Field(ge=16, le=1_048_576, description="Tokens of a row.")] | None = None
    allow_truncated: (
        Annotated[float, Field(ge=0, le=1, description="Share of rows that may be cut; above it the job fails.")] | None
    ) = None
    stop_phrase: (
        Annotated[
            StrictBool | Annotated[Label, Field(min_length=1, max_length=64)],
            Field(description="Text that answers end in before the stop token; true is '(답변 종료)', false none."),
        ]
        | None
    ) = None
    dataset_licence: (
        Annotated[Label, Field(min_length=1, max_length=128, description="Of the training data, for the model card.")]
        | None
    ) = None
    early_stopping_patience: (
        Annotated[int, Field(ge=0, le=1000, description="Evaluations without gain; 0 never stops.")] | None
    ) = None

    @field_validator("integrations")
    @classmethod
    def _one_run(cls, given: list[Integration] | None) -> list[Integration] | None:
        if given is not None and len(given) > 1:
            raise ValueError("one Weights & Biases run a job; give one integration")
        return given

    @field_validator("validation_fraction")
    @classmethod
    def _one_validation(cls, given: float | None, info: ValidationInfo) -> float | None:
        if given is not None and info.data.get("validation_file") is not None:
            raise ValueError("validation_file is held out already; give one of the two")
        return given

    @property
    def chosen_stop_phrase(self) -> str | None:
        """The phrase; an empty one where there is to be none, None where nothing was said."""
        if isinstance(self.stop_phrase, bool):
            return STOP_PHRASE if self.stop_phrase else ""
        return self.stop_phrase

    @property
    def method_name(self) -> MethodName:
        """``supervised`` unless asked otherwise."""
        return self.method.type if self.method is not None else "supervised"

    def chosen_hyperparameters(self) -> dict[str, Any]:
        """The hyperparameters of the method, where they are given, else the older place's; every key is there."""
        method = self.method
        inner = getattr(method, self.method_name) if method is not None else None
        given = (inner.hyperparameters if inner is not None else None) or self.hyperparameters or Hyperparameters()
        shape = DpoHyperparameters if self.method_name == "dpo" else Hyperparameters
        return shape.model_validate(given.model_dump()).model_dump()
