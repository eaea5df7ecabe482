"""Many small writes of one job attempt in few transactions: one thread commits together what has queued up.

Hundreds of requests are in flight at once and each of them writes three times; a transaction (and an fsync) for every
write would cost more than the requests. Work is done in the order in which it was handed in, fenced by the job's lease
and durable before its caller goes on. Must not know what is written: that is ``ledger`` and ``replies``.

Use::

    writer = GroupWriter(store, job_id, attempt)
    number = await writer.run(lambda batch: ...)  # work on the batch, in the writer's thread
    await writer.aclose()
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sqlalchemy.orm import Session
from sqlalchemy.sql import Executable

from app.store.database import Store
from app.store.jobs import hold

__all__ = ["Batch", "GroupWriter"]

#: Writes of one transaction at most, so that none holds the store for long.
MAX_BATCH = 1000
#: Seconds between two transactions at most. The writer rests as long as the last one took: whoever else writes (a
#: heartbeat, a slot's commit) finds the store free half of the time.
MAX_REST_S = 0.01

T = TypeVar("T")


class Batch:
    """One transaction in the making."""

    def __init__(self, session: Session) -> None:
        #: For reading; what is written goes through ``add``.
        self.session = session
        self._rows: dict[int, tuple[Executable, list[dict[str, Any]]]] = {}

    def add(self, statement: Executable, row: dict[str, Any]) -> None:
        """Execute ``statement`` with this row before the commit; rows of one statement object go in one call."""
        self._rows.setdefault(id(statement), (statement, []))[1].append(row)

    def execute(self) -> None:
        """Send what was added, statement by statement in the order of their first use."""
        for statement, rows in self._rows.values():
            self.session.execute(statement, rows)


@dataclass(eq=False, slots=True)
class _Ticket(Generic[T]):
    """Work that waits for its turn, and who waits for it."""

    work: Callable[[Batch], T]
    waiting: tuple[asyncio.AbstractEventLoop, asyncio.Future[T]] | None
    result: T | None = None
    refused: Exception | None = None
    done: bool = field(default=False)  #: Whether the work ran and gave a result.

    def perform(self, batch: Batch) -> None:
        """Run the work; what it refuses is its caller's affair and stops nobody else's."""
        try:
            self.result, self.done = self.work(batch), True
        except Exception as exc:
            self.refused = exc


class GroupWriter:
    """Commits what many coroutines write; one a job attempt.

    A transaction that fails (the lease is lost, the disk is full) ends the writer: everybody who waits, and everybody
    who comes later, gets that error. What an attempt believes to be stored and what is stored never drift apart.
    """

    def __init__(self, store: Store, job_id: str, attempt: int) -> None:
        self.store = store
        self.job_id = job_id
        self.attempt = attempt
        self._changed = threading.Condition()
        self._queue: deque[_Ticket[Any]] = deque()
        self._closed = False
        self._broken: Exception | None = None
        # A process that ends without closing must not hang on its writer.
        self._thread = threading.Thread(target=self._write, name=f"writer of {job_id}", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[Batch], T], undo: Callable[[Batch, T], None] | None = None) -> T:
        """Do ``work`` in the next transaction and return its result once that is committed.

        Args:
            work: Called in the writer's thread; whatever it raises is raised here, and the others' work goes on.
            undo: Takes the result back where the caller was cancelled meanwhile. Without it the work is done even so:
                what a request has cost is written down whoever has stopped waiting.

        Raises:
            LostLeaseError: another attempt has taken over, now or earlier.
            RuntimeError: the writer is closed.
            Exception: the transaction could not be committed.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        ticket = _Ticket(work, (loop, future))
        self._hand_in(ticket)
        try:
            return await future
        except asyncio.CancelledError:
            if undo is not None:
                self._take_back(ticket, undo)
            raise

    async def aclose(self) -> None:
        """Commit what is queued and end the thread; the event loop goes on meanwhile."""
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Commit what is queued and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _hand_in(self, ticket: _Ticket[Any]) -> None:
        with self._changed:
            if self._broken is not None:
                raise self._broken
            if self._closed:
                raise RuntimeError(f"The writer of {self.job_id} is closed.")
            self._queue.append(ticket)
            self._changed.notify()

    def _take_back(self, ticket: _Ticket[T], undo: Callable[[Batch, T], None]) -> None:
        """Drop work that has not begun, undo work that has; a writer that ended leaves it as it is."""
        with self._changed:
            if ticket in self._queue:
                self._queue.remove(ticket)
                return
            if self._broken is not None or self._closed:
                return

            def work(batch: Batch) -> None:
                if ticket.done:
                    undo(batch, ticket.result)  # type: ignore[arg-type]  # done: the result is there

            self._queue.append(_Ticket(work, None))
            self._changed.notify()

    def _write(self) -> None:
        """The thread: transactions until closed or broken."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if not self._queue:
                    return
                tickets = [self._queue.popleft() for _ in range(min(len(self._queue), MAX_BATCH))]
            began = time.monotonic()
            try:
                self._commit(tickets)
            except Exception as exc:
                with self._changed:
                    self._broken = exc
                    tickets += self._queue
                    self._queue.clear()
                _tell(tickets, exc)
                return
            _tell(tickets, None)
            if not self._closed:
                time.sleep(min(time.monotonic() - began, MAX_REST_S))

    def _commit(self, tickets: list[_Ticket[Any]]) -> None:
        with self.store.write(durable=True) as session:
            hold(session, self.job_id, self.attempt)
            batch = Batch(session)
            for ticket in tickets:
                ticket.perform(batch)
            batch.execute()


def _tell(tickets: list[_Ticket[Any]], error: Exception | None) -> None:
    """Wake everybody who waits: one call a loop, however many they are."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Ticket[Any]]] = {}
    for ticket in tickets:
        if ticket.waiting is not None:
            by_loop.setdefault(ticket.waiting[0], []).append(ticket)
    for loop, waiting in by_loop.items():
        # A loop that is closed has nobody left in it who could be told.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_wake, waiting, error)


def _wake(tickets: list[_Ticket[Any]], error: Exception | None) -> None:
    for ticket in tickets:
        assert ticket.waiting is not None
        future = ticket.waiting[1]
        failure = error or ticket.refused
        if future.done():
            continue
        if failure is not None:
            future.set_exception(failure)
        else:
            future.set_result(ticket.result)
