"""The queue on SQL: submit, claim, heartbeat, stop, finish; lease and attempt number fence off who was overtaken.

A running job is held under a lease; whoever finds it expired may claim the job again under the next attempt number,
and every write of the earlier attempt fails from then on. Knows no kind of job. The clock is handed in, for tests.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from app.store.database import Store
from app.store.job_rows import LEASED, LostLeaseError, drop_expired_leases, end, hold, not_resumable, take
from app.store.tables import EventRow, JobRow, ResourceRow
from corpora.errors import ConflictError, NotFoundError
from corpora.ids import new_id

__all__ = ["ENDED", "LEASED", "LEASE_S", "MAX_CRASHES", "JobStore", "LostLeaseError", "drop_expired_leases", "hold"]

LEASE_S = 30.0
#: Attempts that may die without a word before the job is given up.
MAX_CRASHES = 5
ENDED = frozenset({"succeeded", "incomplete", "failed", "cancelled"})
RESUMABLE = frozenset({"paused", "incomplete"})
PREFIXES = {
    "train": "ftjob",
    "generate": "genjob",
    "index": "indexjob",
    "import": "importjob",
    "curate": "curjob",
    "evaluate": "eval",
    "merge": "mergejob",
    "upload": "uploadjob",
}


class JobStore:
    """Jobs of one store."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def submit(
        self,
        kind: str,
        params: dict[str, Any],
        resources: Sequence[str] = (),
        session: Session | None = None,
        error: dict[str, Any] | None = None,
    ) -> JobRow:
        """Queue a job, inside the caller's transaction where one is given; with ``error`` it has failed already."""
        row = JobRow(
            id=new_id(PREFIXES.get(kind, "job")).replace("_", "-", 1),
            kind=kind,
            status="queued",
            params=params,
            resources=list(resources),
            progress={},
            result=None,
            error=None,
            attempt=0,
            crashes=0,
            owner=None,
            lease_until=None,
            stop_requested=None,
            created_at=self._clock(),
            started_at=None,
            finished_at=None,
        )
        with contextlib.nullcontext(session) if session is not None else self._store.write(durable=True) as own:
            own.add(row)
            own.flush()
            if error is not None:
                row.error = error
                end(own, row, "failed", row.created_at)
        return row

    def claim(self, owner: str, kinds: Sequence[str], lease_s: float = LEASE_S) -> JobRow | None:
        """The oldest job that may run now, leased to ``owner`` under a new attempt number, or None."""
        now = self._clock()
        with self._store.write(durable=True) as session:
            drop_expired_leases(session, now)
            waiting = session.scalars(
                select(JobRow)
                .where(
                    JobRow.kind.in_(kinds),
                    or_(JobRow.status == "queued", (JobRow.status == "running") & (JobRow.lease_until < now)),
                )
                .order_by(JobRow.seq)
                .with_for_update(skip_locked=True)
            )
            for row in waiting:
                if row.status == "running" and not self._may_restart(session, row, now):
                    continue
                if not take(session, row):
                    continue
                row.status = "running"
                row.attempt += 1
                row.owner = owner
                row.lease_until = now + lease_s
                row.started_at = row.started_at or now
                return row
        return None

    def _may_restart(self, session: Session, row: JobRow, now: float) -> bool:
        """Count a death; False when the job ends with it."""
        row.crashes += 1
        if row.stop_requested is not None:
            end(session, row, "paused" if row.stop_requested == "pause" else "cancelled", now)
            return False
        if row.crashes >= MAX_CRASHES:
            row.error = {
                "code": "worker_crashed",
                "message": f"The worker died {row.crashes} times without a word; the job is given up.",
                "hint": "See the log of the service; memory is the usual reason. Then resume the job.",
                "retryable": True,
            }
            end(session, row, "failed", now)
            return False
        return True

    def advanced(self, job_id: str, attempt: int) -> None:
        """Say that work was stored which a later attempt need not repeat: earlier crashes are forgiven."""
        with self._store.write() as session:
            hold(session, job_id, attempt).crashes = 0

    def heartbeat(self, job_id: str, attempt: int, lease_s: float = LEASE_S) -> str | None:
        """Renew the lease; returns ``cancel`` or ``pause`` when somebody asked for it.

        Raises:
            LostLeaseError: another attempt has taken over.
        """
        with self._store.write() as session:
            row = hold(session, job_id, attempt)
            row.lease_until = self._clock() + lease_s
            return row.stop_requested

    def release(self, job_id: str, attempt: int, *, crashed: bool) -> None:
        """Give the job back to the queue because its worker is gone; a no-op when it ended or was overtaken."""
        now = self._clock()
        with self._store.write() as session:
            row = session.scalar(select(JobRow).where(JobRow.id == job_id).with_for_update())
            if row is None or row.attempt != attempt or row.status != "running":
                return
            if crashed and not self._may_restart(session, row, now):
                return
            row.status, row.owner, row.lease_until = "queued", None, None
            session.execute(delete(ResourceRow).where(ResourceRow.job_id == row.id))

    def progress(self, job_id: str, attempt: int, progress: dict[str, Any]) -> None:
        """Replace the job's progress."""
        with self._store.write() as session:
            hold(session, job_id, attempt).progress = progress

    def event(
        self, job_id: str, attempt: int, level: str, message: str, type_: str, data: dict[str, Any] | None
    ) -> None:
        """Add a line to the job's log."""
        with self._store.write() as session:
            hold(session, job_id, attempt)
            session.add(
                EventRow(job_id=job_id, created_at=self._clock(), level=level, type=type_, message=message, data=data)
            )

    def finish(
        self,
        job_id: str,
        attempt: int,
        status: str,
        result: dict[str, Any] | None = None,
        error: dict[str, Any] | None = None,
    ) -> None:
        """End the attempt: the job has ended, or is paused."""
        with self._store.write(durable=True) as session:
            row = hold(session, job_id, attempt)
            row.result, row.error = result, error
            if status == "paused" and row.stop_requested == "cancel":
                status = "cancelled"  # it paused by itself while somebody had asked for its end
            end(session, row, status, self._clock())

    def request_stop(self, job_id: str, what: Literal["cancel", "pause"]) -> JobRow:
        """Ask a job to stop; one that does not run stops at once.

        Raises:
            NotFoundError: there is no such job.
            ConflictError: it has ended, or there is nothing to pause.
        """
        with self._store.write(durable=True) as session:
            row = self._require(session, job_id)
            if row.status == "running":
                # A cancel is never taken back by a later pause.
                row.stop_requested = "cancel" if row.stop_requested == "cancel" else what
            elif row.status == "queued" or (row.status == "paused" and what == "cancel"):
                end(session, row, "paused" if what == "pause" else "cancelled", self._clock())
            else:
                raise ConflictError(
                    f"Job '{job_id}' is {row.status}; it cannot be {what}led now."
                    if what == "cancel"
                    else f"Job '{job_id}' is {row.status}; it cannot be paused."
                )
            return row

    def resume(
        self, job_id: str, changes: dict[str, Any], session: Session | None = None, *, ended_too: bool = False
    ) -> JobRow:
        """Queue a paused or incomplete job again, with changed parameters where given.

        Args:
            job_id: The job.
            changes: Parameters that replace its own.
            session: The caller's transaction, where there is one.
            ended_too: Whether one that has succeeded may go on; the kind knows that something is left to do.

        Raises:
            NotFoundError: there is no such job.
            ConflictError: it is neither paused nor incomplete, nor failed for a reason that may pass.
        """
        with contextlib.nullcontext(session) if session is not None else self._store.write(durable=True) as own:
            row = self._require(own, job_id)
            retryable = row.status == "failed" and bool((row.error or {}).get("retryable"))
            more = ended_too and row.status == "succeeded"
            if row.status not in RESUMABLE and not retryable and not more:
                raise ConflictError(not_resumable(row))
            row.params = row.params | changes
            row.status, row.error, row.finished_at, row.crashes = "queued", None, None, 0
            return row

    def _require(self, session: Session, job_id: str) -> JobRow:
        row = session.scalar(select(JobRow).where(JobRow.id == job_id).with_for_update())
        if row is None:
            raise NotFoundError(f"There is no job '{job_id}'.", code="job_not_found")
        return row

    def get(self, job_id: str) -> JobRow:
        """The job.

        Raises:
            NotFoundError: there is no such job.
        """
        with self._store.read() as session:
            row = session.scalar(select(JobRow).where(JobRow.id == job_id))
        if row is None:
            raise NotFoundError(f"There is no job '{job_id}'.", code="job_not_found")
        return row
