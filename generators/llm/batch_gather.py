"""Gathers requests for a batch until no new one has come for a moment, or a batch is full.

Knows limits and time, not what a batch is: whoever made it sends. For one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from generators.llm.structured import Mode
from generators.llm.timing import Timing
from generators.ports import Claim, ModelRequest, Reply, Usage

__all__ = ["Gathering", "Waiting"]

#: OpenAI's limits on one batch (Batch API guide).
_MAX_LINES = 50_000
_MAX_BYTES = 200_000_000


@dataclass(slots=True, eq=False)
class Waiting:
    """A request that waits for its reply, in whichever batch."""

    request: ModelRequest  #: What is asked.
    claim: Claim  #: What it may cost.
    name: str  #: Its ``custom_id``.
    request_hash: str  #: Key of its reply in the cache.
    future: asyncio.Future[Reply]  #: Done with the reply or the error.
    usage: Usage = field(default_factory=Usage)  #: What it has cost so far.
    failures: int = 0  #: Batches in which it failed.
    mode: Mode = "none"  #: How its schema was sent last.
    left_out: frozenset[str] = frozenset()  #: Parameters that it was sent without.


class Gathering:
    """Requests that wait to be sent together."""

    def __init__(
        self,
        submit: Callable[[list[Waiting], dict[str, bytes]], Awaitable[None]],
        encode: Callable[[Waiting], bytes],
        *,
        gather_s: float,
        timing: Timing,
    ) -> None:
        """Begin empty.

        Args:
            submit: sends requests, with their lines by name; it must not raise.
            encode: the line of a request.
            gather_s: seconds without a new request after which those gathered are sent.
            timing: clock and sleep.
        """
        self._submit = submit
        self._encode = encode
        self._gather_s = gather_s
        self._timing = timing
        self._gathered: list[Waiting] = []
        self._newest_at = self._not_before = timing.clock()
        self._task: asyncio.Task[None] | None = None
        self.most_lines = _MAX_LINES

    def __len__(self) -> int:
        return len(self._gathered)

    def __contains__(self, waiting: object) -> bool:
        return waiting in self._gathered

    def add(self, waiting: Waiting) -> None:
        """Send this with the next batch."""
        self._gathered.append(waiting)
        self._newest_at = self._timing.clock()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def shrink(self, lines: int, pause_s: float) -> None:
        """A batch of so many lines was too large: send at most half as many from now on, and nothing for a while."""
        self.most_lines = max(1, lines // 2)
        self._not_before = self._timing.clock() + pause_s

    async def aclose(self) -> None:
        """Send nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._gathered:
            # A thousandth: less may be below the last digit of a clock that has run for long.
            while (rest := self._rest_s()) > 0.001:
                await self._timing.sleep(rest)
            await self._submit(*self._next())

    def _rest_s(self) -> float:
        full = len(self._gathered) >= self.most_lines
        ready = self._newest_at + (0.0 if full else self._gather_s)
        return max(ready, self._not_before) - self._timing.clock()

    def _next(self) -> tuple[list[Waiting], dict[str, bytes]]:
        """As many as one batch takes, and their lines."""
        lines: dict[str, bytes] = {}
        size = 0
        for waiting in self._gathered[: self.most_lines]:
            line = self._encode(waiting)
            if lines and size + len(line) > _MAX_BYTES:
                break
            lines[waiting.name] = line
            size += len(line)
        chunk, self._gathered = self._gathered[: len(lines)], self._gathered[len(lines) :]
        return chunk, lines
