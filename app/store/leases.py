"""Named resources held by something that is no job: the chat process, which keeps a model in the GPU's memory.

A lease is a row of its own among the jobs, in the state ``leased``, which no worker claims and no list of jobs shows.
It must be renewed; one that nobody renews any more (its service was killed) is dropped when the next job is claimed.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from app.store.database import Store
from app.store.jobs import LEASE_S, LEASED, LostLeaseError, drop_expired_leases
from app.store.tables import JobRow, ResourceRow
from corpora.errors import UnavailableError
from corpora.ids import new_id

__all__ = ["Leases", "ResourceHeldError"]


class ResourceHeldError(UnavailableError):
    """A job holds the resource, or waits for it."""

    code = "resource_held"

    def __init__(self, message: str, job_id: str) -> None:
        super().__init__(message)
        self.job_id = job_id  #: Which one.


class Leases:
    """Leases on one resource in one store."""

    def __init__(self, store: Store, resource: str, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._resource = resource
        self._clock = clock

    def take(self, owner: str, lease_s: float = LEASE_S) -> str:
        """Hold the resource; returns the lease's id.

        Raises:
            ResourceHeldError: a job or another lease holds it, or a job waits for it: jobs come first.
        """
        try:
            return self._take(owner, lease_s)
        except IntegrityError as exc:
            # On PostgreSQL another transaction may have taken it between our look and our row.
            raise ResourceHeldError(f"'{self._resource}' was taken just now.", "") from exc

    def _take(self, owner: str, lease_s: float) -> str:
        now = self._clock()
        with self._store.write(durable=True) as session:
            drop_expired_leases(session, now)
            holder = session.scalar(select(ResourceRow.job_id).where(ResourceRow.name == self._resource))
            if holder is not None:
                raise ResourceHeldError(f"'{self._resource}' is held by '{holder}'.", holder)
            waiting = self._first_waiting()
            if waiting is not None:
                raise ResourceHeldError(f"'{waiting}' waits for '{self._resource}'.", waiting)
            row = JobRow(
                id=new_id("lease"),
                kind="lease",
                status=LEASED,
                params={},
                resources=[self._resource],
                progress={},
                result=None,
                error=None,
                attempt=0,
                crashes=0,
                owner=owner,
                lease_until=now + lease_s,
                stop_requested=None,
                created_at=now,
                started_at=now,
                finished_at=None,
            )
            session.add(row)
            session.flush()
            session.add(ResourceRow(name=self._resource, job_id=row.id))
            session.flush()
            return row.id

    def renew(self, lease_id: str, lease_s: float = LEASE_S) -> None:
        """Hold on.

        Raises:
            LostLeaseError: it expired and was dropped.
        """
        with self._store.write() as session:
            mine = (JobRow.id == lease_id, JobRow.status == LEASED)
            result = session.execute(update(JobRow).where(*mine).values(lease_until=self._clock() + lease_s))
            if getattr(result, "rowcount", 0) == 0:
                raise LostLeaseError(f"The lease on '{self._resource}' has expired.")

    def give_back(self, lease_id: str) -> None:
        """Let the resource go; a lease that is gone already is no mistake."""
        with self._store.write(durable=True) as session:
            session.execute(delete(JobRow).where(JobRow.id == lease_id, JobRow.status == LEASED))

    def wanted(self) -> bool:
        """Whether a queued job waits for the resource."""
        return self._first_waiting() is not None

    def _first_waiting(self) -> str | None:
        with self._store.read() as session:
            waiting = session.scalars(select(JobRow).where(JobRow.status == "queued").order_by(JobRow.seq))
            return next((row.id for row in waiting if self._resource in row.resources), None)
