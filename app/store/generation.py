"""A generation job's plan and its decided slots on SQL, each bound to one job and fenced by its lease.

What is written once a request (ledger, replies) is in ``ledger`` and ``replies``. Every call here is one transaction of
its own session: safe from any thread.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.store.database import Store
from app.store.jobs import hold
from app.store.moved_chunks import ChunkPlaces
from app.store.sample_documents import documents_of, existing
from app.store.samples import row_to_sample, sample_to_row
from app.store.tables import DatasetRow, DocumentRow, PlanRow, SampleDocumentRow, SampleRow, SlotRow
from generators.ports import SlotOutcome, Usage

__all__ = ["Again", "SqlPlan", "SqlSampleSink", "plan_failed_again"]

#: Causes of failed slots that may be gone when somebody resumes the job.
RETRIABLE = ("request_failed", "context_too_small")


class SqlPlan:
    """The plan of one job, fixed by the first attempt that gets so far."""

    def __init__(self, store: Store, job_id: str, attempt: int) -> None:
        self._store = store
        self._job_id = job_id
        self._attempt = attempt

    def get(self) -> list[tuple[str, bool, str | None]] | None:
        """(generator, held out, source chunk) of each slot, or None before the plan is made."""
        with self._store.read() as session:
            row = session.get(PlanRow, self._job_id)
        return None if row is None else [(generator, held, source) for generator, held, source in row.slots]

    def put(self, slots: Sequence[tuple[str, bool, str | None]]) -> None:
        """Fix the plan; it is never changed, only added to by ``plan_failed_again``.

        Raises:
            LostLeaseError: another attempt has taken over.
        """
        with self._store.write() as session:
            hold(session, self._job_id, self._attempt)
            session.add(PlanRow(job_id=self._job_id, planned=len(slots), slots=[list(entry) for entry in slots]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Again:
    """Failed slots that were planned again."""

    slots: int  #: How many.
    below: int  #: Failed slots below this one need not be looked at again.


def plan_failed_again(session: Session, job_id: str, from_slot: int) -> Again:
    """Plan slots again whose requests failed, behind all others; those that are decided stay decided.

    Args:
        session: The caller's transaction.
        job_id: A job that is at rest.
        from_slot: Failed slots below it have been planned again already.
    """
    plan = session.get(PlanRow, job_id)
    failed = session.scalars(
        select(SlotRow.slot)
        .where(SlotRow.job_id == job_id, SlotRow.slot >= from_slot, SlotRow.failed.in_(RETRIABLE))
        .order_by(SlotRow.slot)
    ).all()
    if plan is None or not failed:
        return Again(slots=0, below=from_slot)
    plan.slots = [*plan.slots, *(plan.slots[slot] for slot in failed)]
    plan.planned = len(plan.slots)
    return Again(slots=len(failed), below=failed[-1] + 1)


class SqlSampleSink:
    """Decided slots of one job, fenced: an attempt that was overtaken cannot write."""

    def __init__(
        self, store: Store, job_id: str, attempt: int, dataset_id: str, places: ChunkPlaces | None = None
    ) -> None:
        self._store = store
        self._job_id = job_id
        self._attempt = attempt
        self._dataset_id = dataset_id
        self._places = places or ChunkPlaces()

    def committed(self) -> list[SlotOutcome]:
        """Outcomes of earlier attempts in slot order."""
        with self._store.read() as session:
            slots = session.scalars(select(SlotRow).where(SlotRow.job_id == self._job_id).order_by(SlotRow.slot))
            samples: dict[int, list[SampleRow]] = {}
            rows = session.scalars(
                select(SampleRow).where(SampleRow.job_id == self._job_id).order_by(SampleRow.slot, SampleRow.position)
            )
            for row in rows:
                samples.setdefault(row.slot, []).append(row)
            return [
                SlotOutcome(
                    slot=slot.slot,
                    generator=slot.generator,
                    samples=tuple(row_to_sample(row) for row in samples.get(slot.slot, ())),
                    failed=slot.failed,
                    usage=Usage(
                        requests=slot.requests,
                        cached_requests=slot.cached_requests,
                        prompt_tokens=slot.prompt_tokens,
                        completion_tokens=slot.completion_tokens,
                    ),
                )
                for slot in slots
            ]

    def deleted(self, document_ids: Collection[str]) -> bool:
        """Whether one of these documents was deleted since the job began."""
        with self._store.read() as session:
            there = session.scalar(
                select(func.count()).select_from(DocumentRow).where(DocumentRow.id.in_(document_ids))
            )
        return int(there or 0) < len(document_ids)

    def commit(self, outcome: SlotOutcome) -> None:
        """Commit one slot with its samples in one transaction; slots in order, from whichever thread.

        Raises:
            LostLeaseError: another attempt has taken over.
        """
        now = time.time()
        with self._store.write() as session:
            # A decided slot is progress: a job that gets on is not given up for crashes long ago.
            hold(session, self._job_id, self._attempt).crashes = 0
            session.add(
                SlotRow(
                    job_id=self._job_id,
                    slot=outcome.slot,
                    generator=outcome.generator,
                    failed=outcome.failed,
                    candidates=len(outcome.samples),
                    accepted=sum(sample.accepted for sample in outcome.samples),
                    created_at=now,
                    **asdict(outcome.usage),
                )
            )
            resting = documents_of(session, outcome.samples)
            named = set().union(*resting.values())
            gone = named - existing(session, named)
            followed = self._places.follow(session, (sample.candidate.provenance for sample in outcome.samples))
            for position, sample in enumerate(outcome.samples):
                row = sample_to_row(
                    sample, dataset_id=self._dataset_id, job_id=self._job_id, position=position, now=now
                )
                row.source_deleted = not gone.isdisjoint(resting[sample.id])
                if position in followed:
                    spans, lost = followed[position]
                    row.provenance = row.provenance | {"spans": spans}
                    row.source_deleted = row.source_deleted or lost
                session.add(row)
            # The samples first: each pair points at one.
            session.flush()
            session.add_all(
                SampleDocumentRow(sample_id=sample_id, document_id=document_id)
                for sample_id, documents in resting.items()
                for document_id in sorted(documents)
            )
            if any(sample.accepted for sample in outcome.samples):
                session.execute(
                    update(DatasetRow).where(DatasetRow.id == self._dataset_id).values(version=DatasetRow.version + 1)
                )
