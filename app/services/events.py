"""A job's events as a list; the same rows serve generation jobs and OpenAI's fine-tuning events."""

from __future__ import annotations

from typing import Any

from app.services.context import Services
from app.store.queries import listed
from app.store.tables import EventRow
from corpora.errors import InvalidInputError

__all__ = ["list_events"]

PREFIX = "ftevent-"


def list_events(
    services: Services, job_id: str, object_name: str, after: str | None, limit: int
) -> tuple[list[dict[str, Any]], bool]:
    """A page of a job's events, newest first, in OpenAI's shape.

    Raises:
        InvalidInputError: ``after`` is no event id.
    """
    conditions = [EventRow.job_id == job_id]
    if after is not None:
        number = after.removeprefix(PREFIX)
        if not number.isdigit():
            raise InvalidInputError(f"'{after}' is no event id; they look like '{PREFIX}12'.", param="after")
        conditions.append(EventRow.seq < int(number))
    with services.store.read() as session:
        rows = listed(session, EventRow, *conditions, order_by=EventRow.seq.desc(), limit=limit + 1)
    data = [
        {
            "id": f"{PREFIX}{row.seq}",
            "object": object_name,
            "created_at": int(row.created_at),
            "level": row.level,
            "message": row.message,
            "type": row.type,
            "data": row.data,
        }
        for row in rows[:limit]
    ]
    return data, len(rows) > limit
