"""OpenAI's shapes of files, fine-tuning, models and chat, with Malmoi's own fields where OpenAI has none."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from app.api.schemas.chat import ChatCompletion
from app.api.schemas.common import Answer, Seconds

__all__ = [
    "ChatCompletion",
    "Checkpoint",
    "File",
    "FileDeleted",
    "FineTuningJob",
    "Model",
    "ModelDeleted",
    "ModelList",
]


class File(Answer):
    """An uploaded or produced file."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: Seconds
    filename: str
    purpose: Literal["fine-tune", "user_data", "fine-tune-results"]
    status: Literal["processed"]
    status_details: str | None
    expires_at: Seconds | None


class FileDeleted(Answer):
    """A file that is gone."""

    id: str
    object: Literal["file"]
    deleted: Literal[True]


class FineTuningError(Answer):
    """Why a job failed."""

    code: str | None
    message: str = Field(description="What happened and what to do.")
    param: str | None
    retryable: bool = Field(description="Whether the job can be resumed once the cause is gone.")


class UsedHyperparameters(Answer):
    """OpenAI's three; `auto` until the recipe has decided."""

    n_epochs: Literal["auto"] | int
    batch_size: Literal["auto"] | int
    learning_rate_multiplier: Literal["auto"] | float


class UsedDpoHyperparameters(UsedHyperparameters):
    """The three and DPO's own."""

    beta: Literal["auto"] | float


class SupervisedHyperparameters(Answer):
    """The supervised method."""

    hyperparameters: UsedHyperparameters


class DpoHyperparameters(Answer):
    """Direct preference optimisation."""

    hyperparameters: UsedDpoHyperparameters


class SupervisedMethod(Answer):
    """The job learns the assistant's answers."""

    type: Literal["supervised"]
    supervised: SupervisedHyperparameters


class DpoMethod(Answer):
    """The job learns to prefer one answer to another."""

    type: Literal["dpo"]
    dpo: DpoHyperparameters


class WandbRun(Answer):
    """Where Weights & Biases gets the metrics."""

    project: str
    name: str | None
    entity: str | None
    tags: list[str]


class Integration(Answer):
    """A service that gets the metrics too."""

    type: Literal["wandb"]
    wandb: WandbRun


class LoraSizes(Answer):
    """LoRA sizes that the request asked for."""

    r: int | None = None
    alpha: int | None = None
    dropout: float | None = None


class Losses(Answer):
    """Mean loss of answer tokens in nats before and after the training; null for a side without rows."""

    train_loss_before: float | None
    train_loss_after: float | None
    valid_loss_before: float | None
    valid_loss_after: float | None


class FineTuningJob(Answer):
    """A fine-tuning job."""

    id: str
    object: Literal["fine_tuning.job"]
    created_at: Seconds
    error: FineTuningError | None
    fine_tuned_model: str | None
    finished_at: Seconds | None
    hyperparameters: UsedHyperparameters
    model: str
    organization_id: str
    result_files: list[str]
    seed: int
    status: Literal["validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled"]
    trained_tokens: int | None
    training_file: str = Field(description="A file's or a dataset's id.")
    validation_file: str | None
    estimated_finish: Seconds | None
    integrations: list[Integration]
    metadata: dict[str, str] | None
    method: SupervisedMethod | DpoMethod
    user_provided_suffix: str | None
    recipe: str
    lora: LoraSizes | None
    max_steps: int | None
    packing: bool | None = Field(description="Null leaves it, as the three below, to the recipe.")
    max_length: int | None
    allow_truncated: float | None
    early_stopping_patience: int | None
    stop_phrase: str | None = Field(description="Text that answers end in; empty where none was asked for by name.")
    validation_fraction: float | None = Field(description="Share of the training file that is held out.")
    dataset_licence: str | None = Field(description="Of the training data, as the request gave it.")
    dataset_manifest: dict[str, Any] | None = Field(
        description="Of a dataset: what its rows are. The model card has the sha256 of it as sorted JSON."
    )
    preflight: dict[str, Any] | None = Field(description="What was found before the training began; null until then.")
    timing: dict[str, Any] | None = Field(
        description="Seconds that the training took, and the range that was estimated for as many steps."
    )
    losses: Losses | None
    steps: int | None = Field(description="Updates that made the adapter, once it has ended.")
    best_step: int | None = Field(description="Step of the lowest validation loss; events tell which is published.")
    stopped_early: bool | None


class CheckpointMetrics(Answer):
    """Metrics at a checkpoint; what was not measured is left out."""

    step: int
    train_loss: float | None = None
    train_mean_token_accuracy: float | None = None
    valid_loss: float | None = None
    valid_mean_token_accuracy: float | None = None
    full_valid_loss: float | None = None
    full_valid_mean_token_accuracy: float | None = None


class Checkpoint(Answer):
    """A kept checkpoint."""

    id: str
    object: Literal["fine_tuning.job.checkpoint"]
    created_at: Seconds
    fine_tuned_model_checkpoint: str
    fine_tuning_job_id: str
    metrics: CheckpointMetrics
    step_number: int


class Model(Answer):
    """A base or a fine-tuned model."""

    id: str
    object: Literal["model"]
    created: Seconds
    owned_by: str
    base_model: str | None = Field(description="Of a fine-tuned model or a checkpoint.")
    recipe: str
    licence: str | None = Field(description="Of a base, where its card or its recipe names one.")
    ready: bool = Field(description="False for malmoi-demo until the first training job has built it.")
    problem: str | None = Field(description="Why it is not ready, where something is wrong with its files.")


class ModelList(Answer):
    """Every model at once, in OpenAI's own shape, which has no pages."""

    object: Literal["list"]
    data: list[Model]


class ModelDeleted(Answer):
    """A fine-tuned model that is gone."""

    id: str
    object: Literal["model"]
    deleted: Literal[True]
