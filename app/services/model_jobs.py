"""Jobs about finished models, merges and uploads, as one list: what clients see of them, and how they are stopped.

What each does is ``app.services.adapters_merge`` and ``app.services.adapters_hub``.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from app.services import events
from app.services.context import Services
from app.store.paging import page
from app.store.queries import Session, find
from app.store.tables import JobRow
from corpora.errors import NotFoundError

__all__ = ["cancel_job", "get_job", "job_body", "list_events", "list_jobs", "submit"]

KINDS = ("merge", "upload")
EVENT: Literal["model.job.event"] = "model.job.event"


def submit(services: Services, session: Session, kind: str, params: BaseModel, resources: list[str]) -> dict[str, Any]:
    """Queue a job in the caller's transaction and answer with it; the caller wakes the supervisor."""
    row = services.jobs.submit(kind, params.model_dump(mode="json"), resources=resources, session=session)
    session.flush()
    body = job_body(row)
    services.answer(session, body)
    return body


def job_body(row: JobRow) -> dict[str, Any]:
    """A job in the contract's shape."""
    params, result = row.params, row.result or {}
    return {
        "id": row.id,
        "object": "model.job",
        "type": row.kind,
        "path": f"/v1/model_jobs/{row.id}",
        "created_at": int(row.created_at),
        "status": row.status,
        "model": params["model"],
        "merged_model": params.get("name"),
        "repo_id": params.get("repo_id"),
        "private": params.get("private"),
        "parity": result.get("parity"),
        "bytes": result.get("bytes"),
        "url": result.get("url"),
        "error": row.error,
        "started_at": int(row.started_at) if row.started_at else None,
        "finished_at": int(row.finished_at) if row.finished_at else None,
    }


def _require(session: Session, job_id: str) -> JobRow:
    row = find(session, JobRow, JobRow.id == job_id, JobRow.kind.in_(KINDS))
    if row is None:
        raise NotFoundError(
            f"There is no model job '{job_id}'; GET /v1/model_jobs lists them.", param="job_id", code="job_not_found"
        )
    return row


def get_job(services: Services, job_id: str) -> dict[str, Any]:
    """One job."""
    with services.store.read() as session:
        return job_body(_require(session, job_id))


def list_jobs(services: Services, after: str | None, limit: int, order: str) -> tuple[list[dict[str, Any]], bool]:
    """A page of jobs."""
    with services.store.read() as session:
        rows, more = page(session, JobRow, filters=(JobRow.kind.in_(KINDS),), after=after, limit=limit, order=order)
        return [job_body(row) for row in rows], more


def cancel_job(services: Services, job_id: str) -> dict[str, Any]:
    """Stop a job for good; a merge leaves nothing behind."""
    get_job(services, job_id)
    services.jobs.request_stop(job_id, "cancel")
    services.wake()
    return get_job(services, job_id)


def list_events(
    services: Services, job_id: str, after: str | None, limit: int, order: str
) -> tuple[list[dict[str, Any]], bool]:
    """A page of a job's events."""
    get_job(services, job_id)
    return events.list_events(services, job_id, EVENT, after, limit, order)
