"""Generation jobs and generators."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from app.api.schemas.common import Answer, JobError, Seconds

__all__ = ["DryRun", "GenerationJob", "Generator"]


class GenerationProgress(Answer):
    """Counts: planned = done + failed + pending slots; candidates = accepted + rejected."""

    target: int | None
    planned: int
    done: int
    empty: int = Field(description="Of those done, slots that gave no candidate: a passage that no rule fits, say.")
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
    cost_usd: float | None = Field(description="null where a request was sent to a model that has no price.")


class GenerationLatency(Answer):
    """Seconds from sending a request to the end of its answer, over the last 1,000 good answers."""

    p50_s: float
    p95_s: float


class GenerationRate(Answer):
    """Over the last minute, or since the job started where that is less."""

    requests_per_second: float = Field(description="Requests that ended, however they ended.")
    accepted_per_minute: float


class GenerationJob(Answer):
    """A generation job."""

    id: str
    object: Literal["generation.job"]
    created_at: Seconds
    status: Literal["queued", "running", "paused", "succeeded", "incomplete", "failed", "cancelled"]
    stop_requested: Literal["pause", "cancel"] | None = Field(
        description="What a running job was asked for; a pause waits for the requests that are on their way."
    )
    corpus_id: str | None
    dataset_id: str
    generators: list[dict[str, Any]]
    model: str | None
    judge_model: str | None
    seed: int
    progress: GenerationProgress
    usage: GenerationUsage
    requests_by_outcome: dict[str, int] = Field(
        description="`ok`, `http_429`, `timeout` …; `unsettled` are in flight, or their end was never seen. Adds up to "
        "`usage.requests`."
    )
    in_flight: int = Field(description="Requests on their way; 0 unless the job runs.")
    latency: GenerationLatency | None = Field(description="null before the first answer.")
    rate: GenerationRate | None = Field(description="null unless the job runs.")
    estimated_finish_at: Seconds | None = Field(
        description="When the plan is used up or the target reached, at the pace of the last ten minutes; null when "
        "that is unknown."
    )
    failures: dict[str, int] = Field(description="Failed slots by cause.")
    rejections: dict[str, int] = Field(description="Rejected candidates by reason.")
    error: JobError | None
    started_at: Seconds | None
    finished_at: Seconds | None


class PlannedSlot(Answer):
    """A slot of a plan."""

    slot: int
    generator: str
    heldout: bool
    source: str | None = Field(description="Id of the chunk, row or sample that it is about.")
    user_level: Literal["any", "plain", "polite"]


class DryRunPlan(Answer):
    """What a job would try."""

    planned: int
    heldout: int
    by_generator: dict[str, int]
    by_user_level: dict[str, int]
    first_slots: list[PlannedSlot]


class PlannedPrompt(Answer):
    """The first request of a generator, as it would be sent."""

    generator: str
    slot: int
    step: str
    messages: list[dict[str, str]]
    max_tokens: int
    temperature: float


class Estimate(Answer):
    """What the whole plan would ask; a target or a budget may end the job long before."""

    requests: int
    prompt_tokens: int = Field(description="Bounded by the bytes of the prompts, as the budget reserves them.")
    completion_tokens: int = Field(description="Bounded by `max_tokens`.")
    cost_usd: float | None = Field(description="Of these tokens; null where the model has no price.")
    without: list[str] = Field(
        description="What is not in it: `failed_sends`, `repairs` of replies that cannot be read, `judge`."
    )


class DryRun(Answer):
    """What a generation job would do; nothing was sent and nothing stored."""

    object: Literal["generation.dry_run"]
    corpus_id: str | None
    generators: list[dict[str, Any]]
    model: str | None
    seed: int
    skipped_rows: dict[str, int] = Field(description="Rows of sources that do not fit, by reason.")
    plan: DryRunPlan
    prompts: list[PlannedPrompt]
    estimate: Estimate


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
