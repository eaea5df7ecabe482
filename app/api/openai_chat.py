"""OpenAI's ``/v1/chat/completions``, whole or streamed.

A client that goes away stops its generation, streamed or not: the official client gives up after its time-out and asks
again, and answers that nobody reads would pile up.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter
from fastapi.sse import format_sse_event
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import StreamingResponse

from app.api.deps import ChatDep, ServicesDep
from app.api.errors import error_body
from app.api.schemas.chat import ChatBody, ChatCompletion
from app.api.schemas.common import gives_stream
from app.services.chat import ChatRequest, Conversation, begin
from app.services.chat_process import ChatProcess
from app.services.context import Services
from corpora.errors import MalmoiError, UnavailableError

router = APIRouter(prefix="/v1", tags=["chat"])

#: Seconds between two looks whether the client is still there.
POLL_S = 0.5


@router.post("/chat/completions", response_model=None, responses=gives_stream(ChatCompletion))
async def chat(body: ChatBody, http: Request, services: ServicesDep, process: ChatDep) -> Any:
    """Answer a conversation with a base, a checkpoint or a fine-tuned model."""
    under_way = await _begin(services, process, body.asked())
    events = under_way.events(http)
    if not body.stream:
        async for event in events:
            under_way.conversation.take(event)
        return under_way.conversation.completion()
    # What is wrong with the request shows before the first token, and is then an answer of its own.
    first = under_way.conversation.take(await anext(events))
    return StreamingResponse(
        _lines(under_way, first, events),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        # A client that leaves while a line is being sent ends the response without a word to the generator.
        background=BackgroundTask(under_way.conversation.cancel),
    )


class _UnderWay:
    """A conversation and the events that come in for it."""

    def __init__(self, conversation: Conversation, inbox: asyncio.Queue[dict[str, Any]]) -> None:
        self.conversation = conversation
        self._inbox = inbox

    async def events(self, http: Request) -> AsyncIterator[dict[str, Any]]:
        """Events until the end; stops the generation when nobody listens any more.

        Raises:
            UnavailableError: the client is gone, or the service is stopping.
        """
        clock = asyncio.get_running_loop().time
        looked = clock()
        try:
            while True:
                try:
                    event = await asyncio.wait_for(self._inbox.get(), POLL_S)
                except TimeoutError:
                    event = None
                if clock() - looked >= POLL_S:
                    looked = clock()
                    if await http.is_disconnected():
                        raise UnavailableError("The client is gone.", code="client_gone")
                    if getattr(http.app.state, "closing", False):
                        raise UnavailableError("The service is stopping; ask again.", code="stopping")
                if event is not None:
                    yield event
                    if event["type"] == "end":
                        return
        finally:
            self.conversation.cancel()


async def _begin(services: Services, process: ChatProcess, request: ChatRequest) -> _UnderWay:
    """Ask the chat process, off the event loop: the store is read and a child may have to start."""
    loop = asyncio.get_running_loop()
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def tell(event: dict[str, Any]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(inbox.put_nowait, event)

    return _UnderWay(await asyncio.to_thread(begin, services, process, request, tell), inbox)


async def _lines(
    under_way: _UnderWay, first: list[dict[str, Any]], events: AsyncIterator[dict[str, Any]]
) -> AsyncIterator[bytes]:
    """The stream: a line a chunk; an error in the middle of it is a line too, and the last one."""
    for chunk in first:
        yield _line(chunk)
    try:
        async for event in events:
            for chunk in under_way.conversation.take(event):
                yield _line(chunk)
    except MalmoiError as exc:
        yield _line(error_body(exc.message, exc.type, exc.param, exc.code))
        return
    yield format_sse_event(data_str="[DONE]")


def _line(body: dict[str, Any]) -> bytes:
    return format_sse_event(data_str=json.dumps(body, ensure_ascii=False))
