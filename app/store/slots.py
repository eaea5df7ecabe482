"""What a generation job's decided slots and sent requests add up to."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.store.tables import ReservationRow, SlotRow

__all__ = ["SlotTotals", "slot_totals"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotTotals:
    """Sums over the decided slots of one job."""

    decided: int  #: Slots decided, failed ones included.
    failed: int  #: Slots that could not run.
    requests: int  #: Requests sent, of undecided slots too: every send has its reservation.
    cached_requests: int  #: Replies taken from the cache.
    prompt_tokens: int  #: Tokens sent; a request whose end nobody saw counts at its upper bound.
    completion_tokens: int  #: Tokens received.


def slot_totals(session: Session, job_id: str) -> SlotTotals:
    """The totals of ``job_id``, all zero before its first slot."""
    row = session.execute(
        select(
            func.count(),
            func.count(SlotRow.failed),
            func.sum(SlotRow.cached_requests),
        ).where(SlotRow.job_id == job_id)
    ).one()
    spent = session.execute(
        select(
            func.count(),
            func.sum(ReservationRow.prompt_tokens),
            func.sum(ReservationRow.completion_tokens),
        ).where(ReservationRow.job_id == job_id)
    ).one()
    decided, failed, cached = (int(value or 0) for value in row)
    requests, prompt, completion = (int(value or 0) for value in spent)
    return SlotTotals(
        decided=decided,
        failed=failed,
        requests=requests,
        cached_requests=cached,
        prompt_tokens=prompt,
        completion_tokens=completion,
    )
