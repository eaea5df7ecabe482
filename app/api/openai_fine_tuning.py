"""OpenAI's ``/v1/fine_tuning/jobs``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from app.api.deps import ServicesDep
from app.api.idempotency import Once
from app.api.lists import list_body
from app.api.schemas.common import Event, ListOf, gives
from app.api.schemas.openai import Checkpoint, FineTuningJob
from app.services import fine_tuning
from app.services.fine_tuning import CreateFineTuningJob

router = APIRouter(prefix="/v1/fine_tuning", tags=["fine-tuning"])

After = Annotated[str | None, Query()]
Limit20 = Annotated[int, Query(ge=1, le=1000)]


@router.post("/jobs", response_model=None, responses=gives(FineTuningJob, creates=True))
def create_job(body: CreateFineTuningJob, once: Once) -> Any:
    """Start a fine-tuning job."""
    return once(body, lambda services: fine_tuning.create_job(services, body))


@router.get("/jobs", response_model=None, responses=gives(ListOf[FineTuningJob]))
def list_jobs(services: ServicesDep, after: After = None, limit: Limit20 = 20) -> dict[str, Any]:
    """List jobs, newest first."""
    data, more = fine_tuning.list_jobs(services, after, limit)
    return list_body(data, has_more=more)


@router.get("/jobs/{job_id}", response_model=None, responses=gives(FineTuningJob))
def get_job(job_id: str, services: ServicesDep) -> dict[str, Any]:
    """One job."""
    return fine_tuning.get_job(services, job_id)


@router.post("/jobs/{job_id}/cancel", response_model=None, responses=gives(FineTuningJob))
def cancel_job(job_id: str, services: ServicesDep) -> dict[str, Any]:
    """Stop a job for good."""
    return fine_tuning.stop_job(services, job_id, "cancel")


@router.post("/jobs/{job_id}/pause", response_model=None, responses=gives(FineTuningJob))
def pause_job(job_id: str, services: ServicesDep) -> dict[str, Any]:
    """Stop a job for now."""
    return fine_tuning.stop_job(services, job_id, "pause")


@router.post("/jobs/{job_id}/resume", response_model=None, responses=gives(FineTuningJob))
def resume_job(job_id: str, services: ServicesDep) -> dict[str, Any]:
    """Go on with a paused job."""
    return fine_tuning.resume_job(services, job_id)


@router.get("/jobs/{job_id}/events", response_model=None, responses=gives(ListOf[Event]))
def list_events(job_id: str, services: ServicesDep, after: After = None, limit: Limit20 = 20) -> dict[str, Any]:
    """What the job said, newest first."""
    data, more = fine_tuning.list_events(services, job_id, after, limit)
    return list_body(data, has_more=more)


@router.get("/jobs/{job_id}/checkpoints", response_model=None, responses=gives(ListOf[Checkpoint]))
def list_checkpoints(job_id: str, services: ServicesDep, after: After = None, limit: Limit20 = 10) -> dict[str, Any]:
    """A job's kept checkpoints, newest first."""
    data, more = fine_tuning.list_checkpoints(services, job_id, after, limit)
    return list_body(data, has_more=more)
