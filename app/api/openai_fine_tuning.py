"""OpenAI's ``/v1/fine_tuning/jobs``."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from app.api.deps import ServicesDep
from app.api.idempotency import Once
from app.api.lists import list_body
from app.api.schemas.common import Event, ListOf, gives, gives_file
from app.api.schemas.openai import Checkpoint, FineTuningJob
from app.services import fine_tuning
from app.services.fine_tuning import CreateFineTuningJob
from corpora.errors import InvalidInputError

router = APIRouter(prefix="/v1/fine_tuning", tags=["fine-tuning"])

After = Annotated[str | None, Query()]
Limit20 = Annotated[int, Query(ge=1, le=1000)]
_PAIR = re.compile(r"metadata\[(.*)\]", re.DOTALL)
MetadataQuery = dict[str, str] | Literal["null"] | None


def _metadata(
    request: Request,
    metadata: Annotated[
        str | None, Query(description="`metadata[team]=kr` for each pair wanted, or `metadata=null` for jobs without.")
    ] = None,
) -> MetadataQuery:
    """The filter: pairs are parameters of their own, so that FastAPI's declarations cannot name them."""
    pairs = {found[1]: value for key, value in request.query_params.multi_items() if (found := _PAIR.fullmatch(key))}
    if metadata is None:
        return pairs or None
    if metadata != "null" or pairs:
        raise InvalidInputError("Filter by 'metadata[key]=value' pairs, or by 'metadata=null' alone.", param="metadata")
    return "null"


@router.post("/jobs", response_model=None, responses=gives(FineTuningJob, creates=True))
def create_job(body: CreateFineTuningJob, once: Once) -> Any:
    """Start a fine-tuning job."""
    return once(body, lambda services: fine_tuning.create_job(services, body))


@router.get("/jobs", response_model=None, responses=gives(ListOf[FineTuningJob]))
def list_jobs(
    services: ServicesDep,
    metadata: Annotated[MetadataQuery, Depends(_metadata)],
    after: After = None,
    limit: Limit20 = 20,
) -> dict[str, Any]:
    """List jobs, newest first."""
    data, more = fine_tuning.list_jobs(services, after, limit, metadata)
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


@router.get(
    "/jobs/{job_id}/plot",
    response_class=Response,
    responses=gives_file("image/png", "Loss, accuracy, learning rate and gradients until now; drawn once a minute."),
)
def plot(job_id: str, services: ServicesDep) -> Response:
    """The curves of a job as a PNG, while it runs too."""
    picture = fine_tuning.read_plot(services, job_id)
    return Response(picture, media_type="image/png", headers={"Cache-Control": "no-store"})
