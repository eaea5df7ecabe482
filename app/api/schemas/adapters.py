"""Jobs about finished models: merges and uploads."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.api.schemas.common import Answer, JobError, Seconds

__all__ = ["ModelJob"]


class MergeParity(Answer):
    """The merged model, read back from disk, against the adapter on its bfloat16 base; both compute in float32."""

    prompts: int = Field(description="Seeded Korean conversations.")
    positions: int = Field(description="Tokens at which logits were compared.")
    max_logit_difference: float = Field(description="At most 0.15, or nothing is published.")
    mean_logit_difference: float
    top1_share: float = Field(description="Positions whose likeliest token is the same; 1, or nothing is published.")
    reached: float = Field(description="Largest logit.")


class ModelJob(Answer):
    """A merge or an upload."""

    id: str
    object: Literal["model.job"]
    type: Literal["merge", "upload"]
    path: str = Field(description="Where this job is asked for; its events are below it.")
    created_at: Seconds
    status: Literal["queued", "running", "paused", "succeeded", "failed", "cancelled", "incomplete"]
    model: str = Field(description="The fine-tuned model or checkpoint.")
    merged_model: str | None = Field(description="Name of the base model that a merge makes.")
    repo_id: str | None = Field(description="Where an upload goes.")
    private: bool | None
    parity: MergeParity | None = Field(description="Of a merge that has succeeded.")
    bytes: int | None = Field(description="Size of the merged model's files.")
    url: str | None = Field(description="Of the upload's commit; null for a merge.")
    error: JobError | None
    started_at: Seconds | None
    finished_at: Seconds | None
