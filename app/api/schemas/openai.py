"""OpenAI's shapes of files, fine-tuning, models and chat, with Malmoi's own fields where OpenAI has none."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

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


class FileDeleted(Answer):
    """A file that is gone."""

    id: str
    object: Literal["file"]
    deleted: Literal[True]


class FineTuningError(Answer):
    """Why a job failed."""

    code: str | None
    message: str
    param: str | None


class UsedHyperparameters(Answer):
    """OpenAI's three; `auto` until the recipe has decided."""

    n_epochs: Literal["auto"] | float
    batch_size: Literal["auto"] | int
    learning_rate_multiplier: Literal["auto"] | float


class SupervisedMethod(Answer):
    """The supervised method."""

    hyperparameters: UsedHyperparameters


class FineTuningMethod(Answer):
    """How the job trains."""

    type: Literal["supervised"]
    supervised: SupervisedMethod


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
    integrations: list[str]
    metadata: dict[str, str] | None
    method: FineTuningMethod
    user_provided_suffix: str | None
    recipe: str
    losses: Losses | None


class CheckpointMetrics(Answer):
    """Metrics at a checkpoint; what was not measured is left out."""

    step: int
    train_loss: float | None = None
    train_mean_token_accuracy: float | None = None
    valid_loss: float | None = None
    valid_mean_token_accuracy: float | None = None


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
    base_model: str | None = Field(None, description="Of a fine-tuned model.")
    recipe: str
    ready: bool = Field(description="False for malmoi-demo until the first training job has built it.")


class ModelList(Answer):
    """Every model at once, in OpenAI's own shape, which has no pages."""

    object: Literal["list"]
    data: list[Model]


class ModelDeleted(Answer):
    """A fine-tuned model that is gone."""

    id: str
    object: Literal["model"]
    deleted: Literal[True]


class ChatAnswer(Answer):
    """The assistant's turn."""

    role: Literal["assistant"]
    content: str
    refusal: None


class Choice(Answer):
    """The one answer."""

    index: Literal[0]
    message: ChatAnswer
    finish_reason: Literal["stop", "length"]
    logprobs: None


class ChatUsage(Answer):
    """Tokens of a chat completion."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(Answer):
    """A chat completion."""

    id: str
    object: Literal["chat.completion"]
    created: Seconds
    model: str
    choices: list[Choice]
    usage: ChatUsage
