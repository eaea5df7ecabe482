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
from app.store.tables import EventRow, JobRow, ResourceRow
from corpora.errors import ConflictError, MalmoiError, NotFoundError
from corpora.ids import new_id

__all__ = ["ENDED", "LEASED", "LEASE_S", "MAX_CRASHES", "JobStore", "LostLeaseError", "drop_expired_leases", "hold"]

LEASE_S = 30.0
#: Attempts that may die without a word before the job is given up.
MAX_CRASHES = 5
#: Status of a row that is no job and holds resources all the same; see ``app.store.leases``.
LEASED = "leased"
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


class LostLeaseError(MalmoiError):
    """Another attempt has taken this job over; this one must stop."""

    code = "lost_lease"


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
                self._end(own, row, "failed", row.created_at)
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
                if not _take(session, row):
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
            self._end(session, row, "paused" if row.stop_requested == "pause" else "cancelled", now)
            return False
        if row.crashes >= MAX_CRASHES:
            row.error = {
                "code": "worker_crashed",
                "message": f"The worker died {row.crashes} times without a word; the job is given up.",
                "hint": "See the log of the service; memory is the usual reason. Then resume the job.",
                "retryable": True,
            }
            self._end(session, row, "failed", now)
            return False
        return True

    def _end(self, session: Session, row: JobRow, status: str, now: float) -> None:
        row.status = status
        row.owner, row.lease_until, row.stop_requested = None, None, None
        row.finished_at = None if status == "paused" else now
        session.execute(delete(ResourceRow).where(ResourceRow.job_id == row.id))
        if status == "failed" and row.error is not None:
            # The log tells of the failure too, whoever reads only that, and whichever way the job came to its end.
            kept = {"code": row.error["code"], "param": row.error.get("param")}
            message = row.error["message"]
            session.add(
                EventRow(job_id=row.id, created_at=now, level="error", type="message", message=message, data=kept)
            )

    def _mine(self, session: Session, job_id: str, attempt: int) -> JobRow:
        return hold(session, job_id, attempt)

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
            row = self._mine(session, job_id, attempt)
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
            self._mine(session, job_id, attempt).progress = progress

    def event(
        self, job_id: str, attempt: int, level: str, message: str, type_: str, data: dict[str, Any] | None
    ) -> None:
        """Add a line to the job's log."""
        with self._store.write() as session:
            self._mine(session, job_id, attempt)
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
            row = self._mine(session, job_id, attempt)
            row.result, row.error = result, error
            if status == "paused" and row.stop_requested == "cancel":
                status = "cancelled"  # it paused by itself while somebody had asked for its end
            self._end(session, row, status, self._clock())

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
                self._end(session, row, "paused" if what == "pause" else "cancelled", self._clock())
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
                raise ConflictError(_not_resumable(row))
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


def drop_expired_leases(session: Session, now: float) -> None:
    """Free what was leased by somebody who is gone; jobs' own leases are the claim's business."""
    session.execute(delete(JobRow).where(JobRow.status == LEASED, JobRow.lease_until < now))


def hold(session: Session, job_id: str, attempt: int) -> JobRow:
    """Lock the job's row and make sure that it is still this attempt's: what is written beside it is fenced.

    Raises:
        LostLeaseError: another attempt has taken over, or the job has ended.
    """
    row = session.scalar(select(JobRow).where(JobRow.id == job_id).with_for_update())
    if row is None or row.attempt != attempt or row.status != "running":
        raise LostLeaseError(f"Attempt {attempt} of {job_id} holds the job no longer.")
    return row


def _take(session: Session, row: JobRow) -> bool:
    """Take the job's named resources, all or none."""
    if not row.resources:
        return True
    # The rows are locked by whoever holds them; on PostgreSQL the primary key settles a race between two claims.
    held = session.scalars(select(ResourceRow).where(ResourceRow.name.in_(row.resources)))
    owners = {resource.name: resource.job_id for resource in held}
    if any(owner != row.id for owner in owners.values()):
        return False
    session.add_all(ResourceRow(name=name, job_id=row.id) for name in row.resources if name not in owners)
    session.flush()
    return True


def _not_resumable(row: JobRow) -> str:
    if row.status == "running" and row.stop_requested is not None:
        return f"Job '{row.id}' is still stopping ('{row.stop_requested}'); resume it when its status is 'paused'."
    if row.status == "succeeded":
        return f"Job '{row.id}' has succeeded; it goes on only for a target above what it has accepted."
    return (
        f"Job '{row.id}' is {row.status}; only paused and incomplete jobs can be resumed, and failed ones whose error "
        "is retryable."
    )
