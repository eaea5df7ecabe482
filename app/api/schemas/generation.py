"""Generation jobs and generators."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from app.api.schemas.common import Answer, JobError, Seconds

__all__ = ["GenerationJob", "Generator"]


class GenerationProgress(Answer):
    """Counts: planned = done + failed + pending slots; candidates = accepted + rejected."""

    target: int | None
    planned: int
    done: int
    failed: int
    pending: int
    accepted: int
    rejected: int


class GenerationUsage(Answer):
    """What the job's requests cost; a cached one costs nothing."""

    requests: int
    cached_requests: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None = Field(description="null while no model has a price.")


class GenerationJob(Answer):
    """A generation job."""

    id: str
    object: Literal["generation.job"]
    created_at: Seconds
    status: Literal["queued", "running", "paused", "succeeded", "incomplete", "failed", "cancelled"]
    corpus_id: str | None
    dataset_id: str
    generators: list[dict[str, Any]]
    model: str | None
    seed: int
    progress: GenerationProgress
    usage: GenerationUsage
    rejections: dict[str, int] = Field(description="Rejected candidates by reason.")
    error: JobError | None
    started_at: Seconds | None
    finished_at: Seconds | None


class PromptTemplate(Answer):
    """A prompt as it lies in its file."""

    id: str = Field(description="`name@version#hash`, as samples carry it in their provenance.")
    name: str
    template: str = Field(description="Jinja.")


class Generator(Answer):
    """What can be named in a generation job's `generators`."""

    id: str
    object: Literal["generator"]
    created_at: Seconds = Field(description="0: it came with the service.")
    name: str
    description: str
    needs_model: bool
    needs_corpus: bool
    parameters: dict[str, Any] = Field(description="JSON Schema of its entry.")
    prompts: list[PromptTemplate]
