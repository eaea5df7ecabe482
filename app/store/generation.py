"""The generators' three ports on SQL: reply cache, sample sink, ledger, each bound to one job."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import asdict

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.store.database import Store
from app.store.jobs import hold
from app.store.samples import row_to_sample, sample_to_row
from app.store.tables import DatasetRow, DocumentRow, PlanRow, ReplyRow, ReservationRow, SampleRow, SlotRow
from generators.ports import Budget, BudgetExhaustedError, Reply, SlotOutcome, Usage

__all__ = ["SqlLedger", "SqlPlan", "SqlReplyCache", "SqlSampleSink"]


class SqlReplyCache:
    """Replies of one job, stored before they are used; an attempt that was overtaken cannot write."""

    def __init__(self, store: Store, job_id: str, attempt: int) -> None:
        self._store = store
        self._job_id = job_id
        self._attempt = attempt

    def get(self, slot: int, step: str, request_hash: str) -> Reply | None:
        """The stored reply, or None."""
        with self._store.read() as session:
            row = session.get(ReplyRow, (self._job_id, slot, step, request_hash))
            return Reply(**row.reply) if row is not None else None

    def put(self, slot: int, step: str, request_hash: str, reply: Reply) -> None:
        """Store a reply.

        Raises:
            LostLeaseError: another attempt has taken over.
        """
        with self._store.write() as session:
            hold(session, self._job_id, self._attempt)
            session.merge(
                ReplyRow(
                    job_id=self._job_id,
                    slot=slot,
                    step=step,
                    request_hash=request_hash,
                    reply=asdict(reply),
                    created_at=time.time(),
                )
            )


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
        """Fix the plan; it is never changed.

        Raises:
            LostLeaseError: another attempt has taken over.
        """
        with self._store.write() as session:
            hold(session, self._job_id, self._attempt)
            session.add(PlanRow(job_id=self._job_id, planned=len(slots), slots=[list(entry) for entry in slots]))


class SqlSampleSink:
    """Decided slots of one job, fenced: an attempt that was overtaken cannot write."""

    def __init__(self, store: Store, job_id: str, attempt: int, dataset_id: str) -> None:
        self._store = store
        self._job_id = job_id
        self._attempt = attempt
        self._dataset_id = dataset_id

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
        """Commit one slot with its samples in one transaction.

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
                    **asdict(outcome.usage),
                )
            )
            gone = _gone(session, outcome)
            for position, sample in enumerate(outcome.samples):
                row = sample_to_row(
                    sample, dataset_id=self._dataset_id, job_id=self._job_id, position=position, now=now
                )
                row.source_deleted = row.document_id in gone
                session.add(row)
            if any(sample.accepted for sample in outcome.samples):
                session.execute(
                    update(DatasetRow).where(DatasetRow.id == self._dataset_id).values(version=DatasetRow.version + 1)
                )


def _gone(session: Session, outcome: SlotOutcome) -> set[str]:
    """Documents that the slot's samples rest on and that were deleted while it ran."""
    wanted = {sample.candidate.provenance.document_id for sample in outcome.samples} - {None}
    if not wanted:
        return set()
    there = session.scalars(select(DocumentRow.id).where(DocumentRow.id.in_(wanted)))
    return {str(document_id) for document_id in wanted} - set(there)


class SqlLedger:
    """One job's budget; an unsettled reservation of a dead attempt counts as spent."""

    def __init__(self, store: Store, job_id: str, attempt: int, budget: Budget) -> None:
        self._store = store
        self._job_id = job_id
        self._attempt = attempt
        self._budget = budget

    def reserve(self, tokens: int) -> int:
        """Reserve one request of at most ``tokens`` tokens.

        Raises:
            BudgetExhaustedError: the budget does not cover it; nothing is reserved.
            LostLeaseError: another attempt has taken over; it alone may spend.
        """
        with self._store.write() as session:
            # The job's row is the lock: two reservations never look at the same sum.
            hold(session, self._job_id, self._attempt)
            requests, spent = session.execute(
                select(
                    func.count(),
                    func.coalesce(func.sum(ReservationRow.prompt_tokens + ReservationRow.completion_tokens), 0),
                ).where(ReservationRow.job_id == self._job_id)
            ).one()
            limit = self._budget
            if limit.max_requests is not None and requests + 1 > limit.max_requests:
                raise BudgetExhaustedError(f"The budget of {limit.max_requests} requests is used up.")
            if limit.max_tokens is not None and int(spent) + tokens > limit.max_tokens:
                raise BudgetExhaustedError(
                    f"The budget of {limit.max_tokens} tokens does not cover another request of up to {tokens}."
                )
            row = ReservationRow(
                job_id=self._job_id, tokens=tokens, settled=False, prompt_tokens=tokens, completion_tokens=0
            )
            session.add(row)
            session.flush()
            return row.seq

    def settle(self, reservation: int, prompt_tokens: int, completion_tokens: int) -> None:
        """Replace the reservation by what the request really used."""
        with self._store.write() as session:
            hold(session, self._job_id, self._attempt)
            session.execute(
                update(ReservationRow)
                .where(ReservationRow.seq == reservation)
                .values(settled=True, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
            )
