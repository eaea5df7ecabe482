"""A job's events as server-sent events: what was logged, what is logged while the client listens, and its progress.

``Last-Event-ID`` goes on behind the event of that id, so that a client that lost its connection misses nothing. The
stream ends by itself once the job is at rest and everything has been told. Rests on the store alone: any process that
serves the API can stream a job that another one runs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.requests import Request

__all__ = ["PAGE", "event_stream", "wants_stream"]

#: Seconds between two looks at the store.
POLL_S = 1.0
#: Looks without news after which a comment keeps the connection open; proxies close silent ones after a minute.
PING_EVERY = 15
#: Events read at a time.
PAGE = 500

#: (id of the last event told) -> events after it, oldest first, and whether there are more.
ReadEvents = Callable[[str | None], tuple[list[dict[str, Any]], bool]]
#: The job as the contract shows it.
ReadJob = Callable[[], dict[str, Any]]

_AT_REST = frozenset({"succeeded", "incomplete", "failed", "cancelled", "paused"})


def wants_stream(request: Request) -> bool:
    """Whether the client asks for server-sent events."""
    return "text/event-stream" in request.headers.get("accept", "")


def event_stream(request: Request, read_events: ReadEvents, read_job: ReadJob) -> EventSourceResponse:
    """The stream of one job.

    Args:
        request: Whose ``Last-Event-ID`` says where to go on, and whose connection is watched.
        read_events: Reads a page of events.
        read_job: Reads the job.
    """
    last = request.headers.get("last-event-id") or None
    return EventSourceResponse(_told(request, read_events, read_job, last), headers={"Cache-Control": "no-cache"})


async def _told(request: Request, read_events: ReadEvents, read_job: ReadJob, last: str | None) -> AsyncIterator[bytes]:
    shown: dict[str, Any] | None = None
    silent = 0
    while not await request.is_disconnected() and not getattr(request.app.state, "closing", False):
        # The job first: events that were written before it came to rest are then read for certain.
        job = await asyncio.to_thread(read_job)
        more = True
        while more:
            events, more = await asyncio.to_thread(read_events, last)
            for event in events:
                last = event["id"]
                yield _line("event", event, last)
            silent = 0 if events else silent
        if job != shown:
            shown, silent = job, 0
            yield _line("job", job)
        if job["status"] in _AT_REST:
            return
        silent += 1
        if silent % PING_EVERY == 0:
            yield format_sse_event(comment="waiting")
        await asyncio.sleep(POLL_S)


def _line(name: str, body: dict[str, Any], event_id: str | None = None) -> bytes:
    return format_sse_event(event=name, data_str=json.dumps(body, ensure_ascii=False), id=event_id)
