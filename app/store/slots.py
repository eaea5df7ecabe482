"""What a generation job's decided slots and sent requests add up to."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.store.tables import PlanRow, ReservationRow, SlotRow

__all__ = ["SlotTotals", "slot_totals"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotTotals:
    """Sums over the decided slots of one job."""

    planned: int  #: Slots of the plan; 0 before it is made.
    decided: int  #: Slots decided, failed ones included.
    failed: int  #: Slots that could not run.
    candidates: int  #: Candidates that the decided slots gave, as counted when they were committed.
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
            func.sum(SlotRow.candidates),
        ).where(SlotRow.job_id == job_id)
    ).one()
    spent = session.execute(
        select(
            func.count(),
            func.sum(ReservationRow.prompt_tokens),
            func.sum(ReservationRow.completion_tokens),
        ).where(ReservationRow.job_id == job_id)
    ).one()
    planned = session.scalar(select(PlanRow.planned).where(PlanRow.job_id == job_id)) or 0
    decided, failed, cached, candidates = (int(value or 0) for value in row)
    requests, prompt, completion = (int(value or 0) for value in spent)
    return SlotTotals(
        planned=planned,
        decided=decided,
        failed=failed,
        candidates=candidates,
        requests=requests,
        cached_requests=cached,
        prompt_tokens=prompt,
        completion_tokens=completion,
    )
