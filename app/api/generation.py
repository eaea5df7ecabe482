"""Routes of generation jobs and generators."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, ConfigDict

from app.api.deps import ServicesDep
from app.api.event_stream import PAGE, event_stream, wants_stream
from app.api.idempotency import Once
from app.api.lists import ListQuery, list_body
from app.api.schemas.common import Event, ListOf, gives, gives_stream
from app.api.schemas.generation import DryRun, GenerationJob, Generator
from app.services import events, generation
from app.services.dry_run import dry_run
from app.services.generation import BudgetRequest, GenerationRequest, Target
from app.services.generation_entries import list_generators as all_generators

EVENT: Final = "generation.job.event"
router = APIRouter(prefix="/v1", tags=["generation"])


class ResumeRequest(BaseModel):
    """What a resumed job may change."""

    model_config = ConfigDict(extra="forbid")
    target: Target | None = None
    budget: BudgetRequest | None = None


@router.post("/generation/jobs", response_model=None, responses=gives(GenerationJob | DryRun, creates=True))
def create_job(body: GenerationRequest, once: Once, services: ServicesDep) -> Any:
    """Start generating samples; with `dry_run` only say what would be done, and what it could cost."""
    if body.dry_run:
        return dry_run(services, body)
    return once(body, lambda services: generation.create_job(services, body))


@router.get("/generation/jobs", response_model=None, responses=gives(ListOf[GenerationJob]))
def list_jobs(services: ServicesDep, query: ListQuery) -> dict[str, Any]:
    """List generation jobs."""
    data, more = generation.list_jobs(services, query.after, query.limit, query.order)
    return list_body(data, has_more=more)


@router.get("/generation/jobs/{job_id}", response_model=None, responses=gives(GenerationJob))
def get_job(job_id: str, services: ServicesDep) -> dict[str, Any]:
    """One job with its counts."""
    return generation.get_job(services, job_id)


@router.post("/generation/jobs/{job_id}/cancel", response_model=None, responses=gives(GenerationJob))
def cancel_job(job_id: str, services: ServicesDep) -> dict[str, Any]:
    """Stop for good; what was accepted stays."""
    return generation.stop_job(services, job_id, "cancel")


@router.post("/generation/jobs/{job_id}/pause", response_model=None, responses=gives(GenerationJob))
def pause_job(job_id: str, services: ServicesDep) -> dict[str, Any]:
    """Stop for now."""
    return generation.stop_job(services, job_id, "pause")


@router.post("/generation/jobs/{job_id}/resume", response_model=None, responses=gives(GenerationJob))
def resume_job(
    job_id: str, services: ServicesDep, body: Annotated[ResumeRequest | None, Body()] = None
) -> dict[str, Any]:
    """Go on with a paused or incomplete job, with a new target or budget where given."""
    wanted = body or ResumeRequest()
    return generation.resume_job(services, job_id, wanted.target, wanted.budget)


@router.get(
    "/generation/jobs/{job_id}/events",
    response_model=None,
    responses=gives_stream(ListOf[Event]),
)
def list_events(job_id: str, request: Request, services: ServicesDep, query: ListQuery) -> Any:
    """What the job said, newest first unless asked otherwise; a stream with `Accept: text/event-stream`.

    The stream tells `event` for each line of the log, oldest first, and `job` whenever the job's counts change; it goes
    on behind `Last-Event-ID` and ends when the job is at rest.
    """
    generation.get_job(services, job_id)
    if wants_stream(request):
        if (last := request.headers.get("last-event-id")) is not None:
            events.list_events(services, job_id, EVENT, last, 1, "asc")
        return event_stream(
            request,
            lambda after: events.list_events(services, job_id, EVENT, after, PAGE, "asc"),
            lambda: generation.get_job(services, job_id),
        )
    data, more = events.list_events(services, job_id, EVENT, query.after, query.limit, query.order)
    return list_body(data, has_more=more)


@router.get("/generators", response_model=None, responses=gives(ListOf[Generator]))
def list_generators() -> dict[str, Any]:
    """Each generator with what it makes, the schema of its parameters and its prompts."""
    return list_body(all_generators(), has_more=False)
