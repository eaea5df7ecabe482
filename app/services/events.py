"""A job's events as a list; the same rows serve generation jobs and OpenAI's fine-tuning events."""

from __future__ import annotations

import re
from typing import Any, Literal

from app.services.context import Services
from app.store.queries import find, listed
from app.store.tables import EventRow
from corpora.errors import InvalidInputError

__all__ = ["EventObject", "list_events"]

EventObject = Literal["generation.job.event", "fine_tuning.job.event", "evaluation.event", "model.job.event"]
#: How ids of each kind begin; OpenAI's are ``ftevent-``.
PREFIXES: dict[EventObject, str] = {
    "generation.job.event": "event-",
    "fine_tuning.job.event": "ftevent-",
    "evaluation.event": "evalevent-",
    "model.job.event": "modelevent-",
}
#: Digits of a running number: eighteen fit into the store's 64 bits.
_NUMBER = re.compile(r"[0-9]{1,18}")


def list_events(
    services: Services, job_id: str, object_name: EventObject, after: str | None, limit: int, order: str = "desc"
) -> tuple[list[dict[str, Any]], bool]:
    """A page of a job's events in OpenAI's shape, newest first unless ``order`` is ``asc``.

    Raises:
        InvalidInputError: ``after`` is no event of this job.
    """
    prefix = PREFIXES[object_name]
    newest_first = order == "desc"
    with services.store.read() as session:
        conditions = [EventRow.job_id == job_id]
        if after is not None:
            number = after.removeprefix(prefix)
            known = after.startswith(prefix) and _NUMBER.fullmatch(number) is not None
            if not known or find(session, EventRow, *conditions, EventRow.seq == int(number)) is None:
                raise InvalidInputError(
                    f"'{after}' is no event of job '{job_id}'; ids look like '{prefix}12'.", param="after"
                )
            conditions.append(EventRow.seq < int(number) if newest_first else EventRow.seq > int(number))
        by = EventRow.seq.desc() if newest_first else EventRow.seq.asc()
        rows = listed(session, EventRow, *conditions, order_by=by, limit=limit + 1)
    data = [
        {
            "id": f"{prefix}{row.seq}",
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
