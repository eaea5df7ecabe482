"""What every resource shares: lists, errors, deletions, jobs' errors and events; ``gives`` names a route's answer."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "FAULTS",
    "Answer",
    "ErrorBody",
    "Event",
    "JobError",
    "ListOf",
    "Responses",
    "Seconds",
    "Status",
    "gives",
    "gives_file",
    "gives_stream",
]

T = TypeVar("T")
Responses = dict[int | str, dict[str, Any]]
#: Unix time.
Seconds = int


class Answer(BaseModel):
    """An answer's shape; a field that is not named here is a mistake."""

    model_config = ConfigDict(extra="forbid")


class ListOf(Answer, Generic[T]):
    """A page of objects. `after=last_id` gives the next one."""

    object: Literal["list"]
    data: list[T]
    has_more: bool
    first_id: str | None
    last_id: str | None


class ErrorDetail(Answer):
    """What went wrong and what to do."""

    message: str
    type: Literal["invalid_request_error", "server_error"]
    param: str | None = Field(description="The field that is wrong, as a path: `generators.0.weight`.")
    code: str | None = Field(description="For programs.")


class ErrorBody(Answer):
    """Every error, validation included."""

    error: ErrorDetail


class JobError(Answer):
    """Why a job failed or paused."""

    code: str | None
    message: str
    hint: str = ""
    retryable: bool = False
    param: str | None = None


class Event(Answer):
    """A line of a job's log."""

    id: str
    object: Literal["generation.job.event", "fine_tuning.job.event", "evaluation.event", "model.job.event"]
    created_at: Seconds
    level: Literal["info", "warn", "error"]
    message: str
    type: str = Field(description="`message`, or `metrics` with the numbers in `data`.")
    data: dict[str, Any] | None


class Status(Answer):
    """The service answers."""

    status: Literal["ok"]


#: The errors of every route.
FAULTS: Responses = {
    "4XX": {"model": ErrorBody, "description": "The request is wrong; `message` says what to do."},
    "5XX": {"model": ErrorBody, "description": "The service failed or is not ready; 503 carries `Retry-After`."},
}
_REUSED = {"model": ErrorBody, "description": "The `Idempotency-Key` was used with another body."}
_REPLAYED = {"description": "`true`: the first answer again.", "schema": {"type": "string", "enum": ["true"]}}


def gives(answer: Any, *, creates: bool = False) -> Responses:
    """A route's ``responses``: its answer's model and, where it takes an ``Idempotency-Key``, what that adds."""
    if not creates:
        return {200: {"model": answer}}
    return {200: {"model": answer, "headers": {"Idempotent-Replayed": _REPLAYED}}, 422: _REUSED}


def gives_stream(answer: Any) -> Responses:
    """A route's ``responses`` where a client may ask for server-sent events instead."""
    stream = {"schema": {"type": "string"}}
    return {200: {"model": answer, "content": {"text/event-stream": stream}}}


def gives_file(media_type: str, description: str) -> Responses:
    """A route's ``responses`` where it answers with a file."""
    schema = {"type": "string"} if media_type.startswith("text/") else {"type": "string", "format": "binary"}
    return {200: {"description": description, "content": {media_type: {"schema": schema}}}}
