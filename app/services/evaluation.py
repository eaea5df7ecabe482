"""Evaluations: a base against a tuned model on held-out rows, and what can be done with such a job.

The job itself runs in ``app.services.evaluating``; ``app.services.evaluation_request`` checks what is asked. Knows no
metric and no prompt.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, Literal

from app.services import events
from app.services.context import Services
from app.services.evaluation_request import EvaluateParams, EvaluationRequest, resolve_evaluation
from app.services.generation import BudgetRequest
from app.services.generation_prices import check_money_limit
from app.store.paging import page
from app.store.queries import Session, find
from app.store.tables import JobRow
from corpora.errors import ConflictError, MissingExtraError, NotFoundError

__all__ = [
    "EVENT",
    "KIND",
    "create_evaluation",
    "evaluation_body",
    "get_evaluation",
    "list_evaluations",
    "list_events",
    "read_report",
    "resume_evaluation",
    "stop_evaluation",
    "submit",
]

KIND = "evaluate"
EVENT: Literal["evaluation.event"] = "evaluation.event"
BLOCK = 1 << 20
MEDIA_TYPES = {"json": "application/json", "html": "text/html; charset=utf-8", "jsonl": "application/jsonl"}


def create_evaluation(services: Services, request: EvaluationRequest) -> dict[str, Any]:
    """Check the request, fix its inputs and submit the job.

    Raises:
        MissingExtraError: torch is not installed.
        MalmoiError: as ``resolve_evaluation`` does.
    """
    if find_spec("torch") is None:
        raise MissingExtraError("train", "An evaluation")
    return submit(services, resolve_evaluation(services, request))


def submit(services: Services, params: EvaluateParams) -> dict[str, Any]:
    """Write the job row and answer with it."""
    with services.store.write(durable=True) as session:
        row = services.jobs.submit(KIND, params.model_dump(mode="json"), resources=["gpu"], session=session)
        session.flush()
        body = evaluation_body(row)
        services.answer(session, body)
    services.wake()
    return body


def _require(session: Session, evaluation_id: str) -> JobRow:
    row = find(session, JobRow, JobRow.id == evaluation_id, JobRow.kind == KIND)
    if row is None:
        raise NotFoundError(
            f"There is no evaluation '{evaluation_id}'; GET /v1/evaluations lists them.",
            param="evaluation_id",
            code="evaluation_not_found",
        )
    return row


def evaluation_body(row: JobRow) -> dict[str, Any]:
    """An evaluation in the contract's shape."""
    params, result = row.params, row.result or {}
    return {
        "id": row.id,
        "object": "evaluation",
        "created_at": int(row.created_at),
        "status": row.status,
        "base_model": params["base_model"],
        "model": params["model"],
        "dataset_id": params["dataset_id"],
        "file_id": params["file_id"],
        "split": params["split"],
        "metrics": params["metrics"],
        "judge_model": params["judge_model"],
        "judge_absent": params["judge_absent"],
        "max_rows": params["max_rows"],
        "seed": params["seed"],
        "progress": {"phase": None, "done": 0, "total": None} | row.progress,
        "results": result.get("results"),
        "result_files": result.get("result_files", []),
        "error": row.error,
        "started_at": int(row.started_at) if row.started_at else None,
        "finished_at": int(row.finished_at) if row.finished_at else None,
    }


def get_evaluation(services: Services, evaluation_id: str) -> dict[str, Any]:
    """One evaluation."""
    with services.store.read() as session:
        return evaluation_body(_require(session, evaluation_id))


def list_evaluations(
    services: Services, after: str | None, limit: int, order: str
) -> tuple[list[dict[str, Any]], bool]:
    """A page of evaluations."""
    with services.store.read() as session:
        rows, more = page(session, JobRow, filters=(JobRow.kind == KIND,), after=after, limit=limit, order=order)
        return [evaluation_body(row) for row in rows], more


def stop_evaluation(services: Services, evaluation_id: str, what: Literal["cancel", "pause"]) -> dict[str, Any]:
    """Ask an evaluation to stop; answers that were given are kept."""
    get_evaluation(services, evaluation_id)
    services.jobs.request_stop(evaluation_id, what)
    services.wake()
    return get_evaluation(services, evaluation_id)


def resume_evaluation(services: Services, evaluation_id: str, budget: BudgetRequest | None) -> dict[str, Any]:
    """Go on with a paused or incomplete evaluation, with a new budget where given; nothing is asked twice.

    Raises:
        ConflictError: it cannot be resumed.
    """
    with services.store.write(durable=True) as session:
        row = _require(session, evaluation_id)
        changes: dict[str, Any] = {}
        if budget is not None:
            check_money_limit(services.settings, budget.max_cost_usd, (row.params["judge_model"],))
            changes["budget"] = budget.model_dump(mode="json")
        services.jobs.resume(evaluation_id, changes, session)
    services.wake()
    return get_evaluation(services, evaluation_id)


def list_events(
    services: Services, evaluation_id: str, after: str | None, limit: int, order: str
) -> tuple[list[dict[str, Any]], bool]:
    """A page of an evaluation's events."""
    get_evaluation(services, evaluation_id)
    return events.list_events(services, evaluation_id, EVENT, after, limit, order)


def read_report(services: Services, evaluation_id: str, kind: str) -> tuple[Iterator[bytes], str]:
    """The report as a file (``json``, ``html``, or ``jsonl``: every answer): blocks of bytes and media type.

    Raises:
        ConflictError: there is none yet.
    """
    with services.store.read() as session:
        row = _require(session, evaluation_id)
        blobs = (row.result or {}).get("blobs")
    if not blobs:
        raise ConflictError(
            f"Evaluation '{evaluation_id}' is {row.status} and has no report; wait until it has succeeded.",
            param="evaluation_id",
            code="report_not_ready",
        )
    file = services.blobs.open(blobs[kind])

    def blocks() -> Iterator[bytes]:
        with file:
            while block := file.read(BLOCK):
                yield block

    return blocks(), MEDIA_TYPES[kind]
