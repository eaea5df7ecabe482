"""OpenAI's Batch API as plain calls: send a file of requests, find a batch again, wait for it, read its results.

Each call is patient in the same way: what may pass is tried again until the endpoint has done nothing but fail for as
long as the settings allow. Knows no slots, cache or budget; ``batch`` does.

Source: OpenAI, Batch API guide and reference (50,000 requests and 200 MB a batch, 24 h).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import openai

from generators.llm.client import openai_client
from generators.llm.errors import EndpointDownError
from generators.llm.settings import EndpointSettings
from generators.llm.timing import Timing
from generators.llm.translate import detail_of, translate

__all__ = ["BatchApi", "BatchState"]

T = TypeVar("T")

_TOKEN_KEY = "batch_token"  # noqa: S105 - a name, no secret
_FIRST_POLL_S = 5.0
_LAST_POLL_S = 60.0
_POLL_GROWTH = 1.5
#: Batches looked through for one whose id never arrived; the list begins with the newest.
_LOOK_BACK = 1000
_ENDED = frozenset({"completed", "expired", "cancelled", "failed"})
_ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchState:
    """A batch that has ended."""

    status: str  #: ``completed``, ``expired``, ``cancelled`` or ``failed``.
    files: tuple[str, ...]  #: Ids of the files with results, those of failed lines too.
    error_code: str | None = None  #: The first error of a batch that failed as a whole.
    error_message: str = ""  #: Its words.
    seconds: float = 0.0  #: From its creation to its end.


class BatchApi:
    """The calls of one endpoint."""

    def __init__(self, settings: EndpointSettings, timing: Timing) -> None:
        self._settings = settings
        self._timing = timing
        self._client = openai_client(settings)

    async def create(self, lines: bytes, token: str) -> str:
        """Send a JSONL file and start a batch of it; gives its id.

        Args:
            lines: the requests, one JSON object a line.
            token: our name of the batch; where an answer is lost, the batch is found by it instead of started twice.
        """

        async def upload() -> str:
            made = await self._client.files.create(file=(f"{token}.jsonl", lines), purpose="batch")
            return made.id

        file_id = await self._patiently(upload)

        async def start() -> str:
            made = await self._client.batches.create(
                input_file_id=file_id, endpoint=_ENDPOINT, completion_window="24h", metadata={_TOKEN_KEY: token}
            )
            return made.id

        return await self._patiently(start, lambda: self._look_for(token))

    async def find(self, token: str) -> str | None:
        """The id of the batch that was started with this token, or None: none was."""
        return await self._patiently(lambda: self._look_for(token))

    async def wait(self, batch_id: str) -> BatchState:
        """Wait until a batch has ended."""
        pause = _FIRST_POLL_S
        while True:
            batch = await self._patiently(lambda: self._client.batches.retrieve(batch_id))
            if batch.status in _ENDED:
                break
            await self._timing.sleep(pause)
            pause = min(_LAST_POLL_S, pause * _POLL_GROWTH)
        errors = (batch.errors.data or []) if batch.errors else []
        first = errors[0] if errors else None
        ended = batch.completed_at or batch.expired_at or batch.cancelled_at or batch.failed_at or batch.created_at
        return BatchState(
            status=batch.status,
            files=tuple(file for file in (batch.output_file_id, batch.error_file_id) if file),
            error_code=first.code if first else None,
            error_message=detail_of(first.message or "", self._settings.api_key) if first else "",
            seconds=float(max(0, ended - batch.created_at)),
        )

    async def results(self, file_id: str) -> AsyncIterator[dict[str, Any]]:
        """The lines of a file with results.

        The file is read whole before the first line is handed out: a connection that breaks half-way is a reading
        again, not half of the results.
        """

        async def read() -> bytes:
            return (await self._client.files.content(file_id)).content

        content = await self._patiently(read)
        for line in content.splitlines():
            if line.strip():
                yield _object(line)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _look_for(self, token: str) -> str | None:
        seen = 0
        async for batch in self._client.batches.list(limit=100):
            if (batch.metadata or {}).get(_TOKEN_KEY) == token:
                return batch.id
            seen += 1
            if seen >= _LOOK_BACK:
                break
        return None

    async def _patiently(
        self, call: Callable[[], Awaitable[T]], done_already: Callable[[], Awaitable[T | None]] | None = None
    ) -> T:
        """Call until it works, or until it has failed for too long.

        Args:
            call: what to do.
            done_already: asked before every repetition whether the last one worked after all.
        """
        policy, timing = self._settings.retry, self._timing
        failing_since: float | None = None
        failures = 0
        while True:
            try:
                found = await done_already() if failures and done_already is not None else None
                return found if found is not None else await call()
            except openai.OpenAIError as error:
                failure = translate(error, self._settings, timing.wall())
                now = timing.clock()
                failing_since = now if failing_since is None else failing_since
                failures += 1
                if not failure.again:
                    raise failure.kind(f"{failure.message}.") from error
                if now - failing_since >= self._settings.down_after_s:
                    raise EndpointDownError(f"{failure.message} after {failures} attempts.") from error
                wait = policy.wait_s(failures, timing.uniform())
                await timing.sleep(max(wait, min(failure.retry_after_s or 0.0, policy.max_retry_after_s)))


def _object(line: bytes) -> dict[str, Any]:
    """One line of results; a line that is none is an empty one, and what it was about counts as unanswered."""
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
