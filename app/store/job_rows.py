"""What is done to one row of the queue inside a caller's transaction: held, given its resources, ended.

``app.store.jobs`` is the queue; this is for it and for whoever writes beside a job's row under the same fence. Commits
nothing and asks no clock.
"""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.store.job_errors import kept_of, told
from app.store.tables import EventRow, JobRow, ResourceRow
from corpora.errors import MalmoiError

__all__ = ["LEASED", "LostLeaseError", "drop_expired_leases", "end", "hold", "not_resumable", "take"]

#: Status of a row that is no job and holds resources all the same; see ``app.store.leases``.
LEASED = "leased"


class LostLeaseError(MalmoiError):
    """Another attempt has taken this job over; this one must stop."""

    code = "lost_lease"


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


def take(session: Session, row: JobRow) -> bool:
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


def end(session: Session, row: JobRow, status: str, now: float) -> None:
    """Let go of everything that the job holds and set its status, which is an end or ``paused``."""
    row.status = status
    row.owner, row.lease_until, row.stop_requested = None, None, None
    row.finished_at = None if status == "paused" else now
    session.execute(delete(ResourceRow).where(ResourceRow.job_id == row.id))
    if status == "failed" and row.error is not None:
        # The log tells of the failure too, whoever reads only that, and whichever way the job came to its end.
        data, message = kept_of(row.error), told(row.error)
        session.add(EventRow(job_id=row.id, created_at=now, level="error", type="message", message=message, data=data))


def not_resumable(row: JobRow) -> str:
    """Why the job cannot be resumed as it is."""
    if row.status == "running" and row.stop_requested is not None:
        return f"Job '{row.id}' is still stopping ('{row.stop_requested}'); resume it when its status is 'paused'."
    if row.status == "succeeded":
        return f"Job '{row.id}' has succeeded; it goes on only for a target above what it has accepted."
    return (
        f"Job '{row.id}' is {row.status}; only paused and incomplete jobs can be resumed, and failed ones whose error "
        "is retryable."
    )
