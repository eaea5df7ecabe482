"""Routes of evaluations: a base against a tuned model on held-out rows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict

from app.api.deps import ServicesDep
from app.api.event_stream import PAGE, event_stream, wants_stream
from app.api.idempotency import Once
from app.api.lists import ListQuery, list_body
from app.api.schemas.common import Event, ListOf, gives, gives_stream
from app.api.schemas.evaluations import Evaluation, EvaluationReport
from app.services import evaluation
from app.services.evaluation_request import EvaluationRequest
from app.services.generation import BudgetRequest

router = APIRouter(prefix="/v1", tags=["evaluations"])
_TEXT = {"schema": {"type": "string"}}


class ResumeEvaluation(BaseModel):
    """What a resumed evaluation may change."""

    model_config = ConfigDict(extra="forbid")
    budget: BudgetRequest | None = None


@router.post("/evaluations", response_model=None, responses=gives(Evaluation, creates=True))
def create_evaluation(body: EvaluationRequest, once: Once) -> Any:
    """Compare a base with a tuned model: the same prompts, the same seeds, scored on held-out rows."""
    return once(body, lambda services: evaluation.create_evaluation(services, body))


@router.get("/evaluations", response_model=None, responses=gives(ListOf[Evaluation]))
def list_evaluations(services: ServicesDep, query: ListQuery) -> dict[str, Any]:
    """List evaluations."""
    data, more = evaluation.list_evaluations(services, query.after, query.limit, query.order)
    return list_body(data, has_more=more)


@router.get("/evaluations/{evaluation_id}", response_model=None, responses=gives(Evaluation))
def get_evaluation(evaluation_id: str, services: ServicesDep) -> dict[str, Any]:
    """One evaluation with its results."""
    return evaluation.get_evaluation(services, evaluation_id)


@router.post("/evaluations/{evaluation_id}/cancel", response_model=None, responses=gives(Evaluation))
def cancel_evaluation(evaluation_id: str, services: ServicesDep) -> dict[str, Any]:
    """Stop for good."""
    return evaluation.stop_evaluation(services, evaluation_id, "cancel")


@router.post("/evaluations/{evaluation_id}/pause", response_model=None, responses=gives(Evaluation))
def pause_evaluation(evaluation_id: str, services: ServicesDep) -> dict[str, Any]:
    """Stop for now; answers that were given are kept."""
    return evaluation.stop_evaluation(services, evaluation_id, "pause")


@router.post("/evaluations/{evaluation_id}/resume", response_model=None, responses=gives(Evaluation))
def resume_evaluation(
    evaluation_id: str, services: ServicesDep, body: Annotated[ResumeEvaluation | None, Body()] = None
) -> dict[str, Any]:
    """Go on with a paused or incomplete evaluation, with a new budget for the judge where given."""
    return evaluation.resume_evaluation(services, evaluation_id, (body or ResumeEvaluation()).budget)


@router.get("/evaluations/{evaluation_id}/events", response_model=None, responses=gives_stream(ListOf[Event]))
def list_events(evaluation_id: str, request: Request, services: ServicesDep, query: ListQuery) -> Any:
    """What the evaluation said, newest first unless asked otherwise; a stream with `Accept: text/event-stream`."""
    evaluation.get_evaluation(services, evaluation_id)
    if wants_stream(request):
        if (last := request.headers.get("last-event-id")) is not None:
            evaluation.list_events(services, evaluation_id, last, 1, "asc")
        return event_stream(
            request,
            lambda after: evaluation.list_events(services, evaluation_id, after, PAGE, "asc"),
            lambda: evaluation.get_evaluation(services, evaluation_id),
        )
    data, more = evaluation.list_events(services, evaluation_id, query.after, query.limit, query.order)
    return list_body(data, has_more=more)


@router.get(
    "/evaluations/{evaluation_id}/report",
    response_class=StreamingResponse,
    responses={200: {"model": EvaluationReport, "content": {"text/html": _TEXT, "application/jsonl": _TEXT}}},
)
def report(
    evaluation_id: str,
    services: ServicesDep,
    format: Annotated[  # noqa: A002 -- the contract's name
        Literal["json", "html", "jsonl"], Query(description="`jsonl`: every row with both answers, one a line.")
    ] = "json",
) -> StreamingResponse:
    """The report as JSON, as a page for people, or only the answers side by side."""
    blocks, media_type = evaluation.read_report(services, evaluation_id, format)
    # The page holds what models wrote: it may style itself, and nothing else.
    policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return StreamingResponse(blocks, media_type=media_type, headers=policy if format == "html" else None)
