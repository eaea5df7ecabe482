"""Routes of generation jobs and generators."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict

from app.api.deps import ServicesDep
from app.api.idempotency import Once
from app.api.lists import ListQuery, list_body
from app.api.schemas.common import Event, ListOf, gives
from app.api.schemas.generation import GenerationJob, Generator
from app.services import events, generation
from app.services.generation import BudgetRequest, GenerationRequest, Target
from app.services.generation_entries import list_generators as all_generators

router = APIRouter(prefix="/v1", tags=["generation"])


class ResumeRequest(BaseModel):
    """What a resumed job may change."""

    model_config = ConfigDict(extra="forbid")
    target: Target | None = None
    budget: BudgetRequest | None = None


@router.post("/generation/jobs", response_model=None, responses=gives(GenerationJob, creates=True))
def create_job(body: GenerationRequest, once: Once) -> Any:
    """Start generating question-answer samples."""
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


@router.get("/generation/jobs/{job_id}/events", response_model=None, responses=gives(ListOf[Event]))
def list_events(job_id: str, services: ServicesDep, query: ListQuery) -> dict[str, Any]:
    """What the job said, newest first unless asked otherwise."""
    generation.get_job(services, job_id)
    data, more = events.list_events(services, job_id, "generation.job.event", query.after, query.limit, query.order)
    return list_body(data, has_more=more)


@router.get("/generators", response_model=None, responses=gives(ListOf[Generator]))
def list_generators() -> dict[str, Any]:
    """Each generator with what it makes, the schema of its parameters and its prompts."""
    return list_body(all_generators(), has_more=False)
