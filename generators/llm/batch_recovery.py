"""Collects the batches that an earlier attempt has sent, before anything new is sent; each by one client of a process.

Knows the log and which batches are whose; what is done with a batch's lines is handed in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from generators.llm.endpoint import Endpoint
from generators.ports import BatchLog, BatchRecord

__all__ = ["Recovery"]


class Recovery:
    """The uncollected batches of one model."""

    def __init__(
        self, model: str, log: BatchLog, endpoint: Endpoint, collect: Callable[[BatchRecord], Awaitable[None]]
    ) -> None:
        """Do nothing yet.

        Args:
            model: whose batches; another client collects the others.
            log: where they are kept.
            endpoint: says which batches a client of this process waits for or collects already.
            collect: decides every line of a batch and removes it from the log.
        """
        self._model = model
        self._log = log
        self._endpoint = endpoint
        self._collect = collect
        self._task: asyncio.Task[None] | None = None

    async def done(self) -> None:
        """Return when every batch of an earlier attempt is collected.

        Raises:
            EndpointError: one could not be collected; the next call tries again.
        """
        task = self._task
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._task = asyncio.create_task(self._run())
        await asyncio.shield(task)

    def hand_over(self, token: str) -> None:
        """Leave a batch of this process to the log: it is collected before anything new is sent."""
        self._endpoint.live_batches.discard(token)
        self._task = None

    async def aclose(self) -> None:
        """Stop collecting; what is not collected stays in the log."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        known = self._endpoint.recovering
        for record in await self._log.uncollected():
            if record.model != self._model or record.token in self._endpoint.live_batches:
                continue
            if record.token in known:
                await known[record.token].wait()
                continue
            known[record.token] = event = asyncio.Event()
            try:
                await self._collect(record)
            except BaseException:
                del known[record.token]
                raise
            finally:
                event.set()
