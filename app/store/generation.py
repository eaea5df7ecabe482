"""The generators' three ports on SQL: reply cache, sample sink, ledger, each bound to one job."""

from __future__ import annotations

import time
from dataclasses import asdict

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.store.database import Store
from app.store.jobs import LostLeaseError
from app.store.samples import row_to_sample, sample_to_row
from app.store.tables import DatasetRow, JobRow, ReplyRow, ReservationRow, SampleRow, SlotRow
from generators.ports import Budget, BudgetExhaustedError, Reply, SlotOutcome, Usage

__all__ = ["SqlLedger", "SqlReplyCache", "SqlSampleSink"]


class SqlReplyCache:
    """Replies of one job; stored durably before they are used."""

    def __init__(self, store: Store, job_id: str) -> None:
        self._store = store
        self._job_id = job_id

    def get(self, slot: int, step: str, request_hash: str) -> Reply | None:
        """The stored reply, or None."""
        with self._store.read() as session:
            row = session.get(ReplyRow, (self._job_id, slot, step, request_hash))
            return Reply(**row.reply) if row is not None else None

    def put(self, slot: int, step: str, request_hash: str, reply: Reply) -> None:
        """Store a reply."""
        with self._store.write() as session:
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

    def commit(self, outcome: SlotOutcome) -> None:
        """Commit one slot with its samples in one transaction.

        Raises:
            LostLeaseError: another attempt has taken over.
        """
        now = time.time()
        with self._store.write() as session:
            _fence(session, self._job_id, self._attempt)
            session.add(
                SlotRow(
                    job_id=self._job_id,
                    slot=outcome.slot,
                    generator=outcome.generator,
                    failed=outcome.failed,
                    **asdict(outcome.usage),
                )
            )
            for position, sample in enumerate(outcome.samples):
                session.add(
                    sample_to_row(sample, dataset_id=self._dataset_id, job_id=self._job_id, position=position, now=now)
                )
            if any(sample.accepted for sample in outcome.samples):
                session.execute(
                    update(DatasetRow).where(DatasetRow.id == self._dataset_id).values(version=DatasetRow.version + 1)
                )


def _fence(session: Session, job_id: str, attempt: int) -> None:
    """Hold the job's row and make sure that it is still ours."""
    current = session.scalar(select(JobRow.attempt).where(JobRow.id == job_id).with_for_update())
    if current != attempt:
        raise LostLeaseError(f"Attempt {attempt} of {job_id} was overtaken by attempt {current}.")


class SqlLedger:
    """One job's budget; an unsettled reservation of a dead attempt counts as spent."""

    def __init__(self, store: Store, job_id: str, budget: Budget) -> None:
        self._store = store
        self._job_id = job_id
        self._budget = budget

    def reserve(self, tokens: int) -> int:
        """Reserve one request of at most ``tokens`` tokens.

        Raises:
            BudgetExhaustedError: the budget does not cover it; nothing is reserved.
        """
        with self._store.write() as session:
            # The job's row is the lock: two reservations never look at the same sum.
            session.scalar(select(JobRow.seq).where(JobRow.id == self._job_id).with_for_update())
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
            session.execute(
                update(ReservationRow)
                .where(ReservationRow.seq == reservation)
                .values(settled=True, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
            )
