"""What a generation job's decided slots add up to, and how fast they were decided lately."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.store.tables import PlanRow, SlotRow

__all__ = ["SlotPace", "SlotTotals", "accepted_since", "slot_pace", "slot_totals"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotTotals:
    """Sums over the decided slots of one job."""

    planned: int  #: Slots of the plan; 0 before it is made.
    decided: int  #: Slots decided, failed ones included.
    failures: dict[str, int]  #: Slots that could not run, by cause.
    candidates: int  #: Candidates that the decided slots gave, as counted when they were committed.
    cached_requests: int  #: Replies taken from the cache.
    empty: int  #: Slots that ran and gave no candidate at all.

    @property
    def failed(self) -> int:
        """Slots that could not run."""
        return sum(self.failures.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotPace:
    """What was decided in the last seconds."""

    seconds: float  #: From the first slot decided in that time until now; 0 where there was none.
    decided: int  #: Slots decided after that first one.
    accepted: int  #: Samples accepted after it.


def slot_totals(session: Session, job_id: str) -> SlotTotals:
    """The totals of ``job_id``, all zero before its first slot."""
    mine = SlotRow.job_id == job_id
    decided, cached, candidates = session.execute(
        select(func.count(), func.sum(SlotRow.cached_requests), func.sum(SlotRow.candidates)).where(mine)
    ).one()
    empty = session.scalar(
        select(func.count()).select_from(SlotRow).where(mine, SlotRow.failed.is_(None), SlotRow.candidates == 0)
    )
    failures = session.execute(
        select(SlotRow.failed, func.count())
        .where(mine, SlotRow.failed.is_not(None))
        .group_by(SlotRow.failed)
        .order_by(func.count().desc(), SlotRow.failed)
    )
    return SlotTotals(
        planned=session.scalar(select(PlanRow.planned).where(PlanRow.job_id == job_id)) or 0,
        decided=decided,
        failures={str(cause): count for cause, count in failures},
        candidates=int(candidates or 0),
        cached_requests=int(cached or 0),
        empty=int(empty or 0),
    )


def slot_pace(session: Session, job_id: str, *, now: float, window_s: float) -> SlotPace:
    """How fast slots of ``job_id`` were decided in the ``window_s`` seconds before ``now``."""
    mine = (SlotRow.job_id == job_id, SlotRow.created_at >= now - window_s)
    first = session.scalar(select(func.min(SlotRow.created_at)).where(*mine))
    if first is None:
        return SlotPace(seconds=0.0, decided=0, accepted=0)
    decided, accepted = session.execute(
        select(func.count(), func.sum(SlotRow.accepted)).where(SlotRow.job_id == job_id, SlotRow.created_at > first)
    ).one()
    return SlotPace(seconds=max(now - first, 0.0), decided=decided, accepted=int(accepted or 0))


def accepted_since(session: Session, job_id: str, moment: float) -> int:
    """Samples accepted by slots that were decided at ``moment`` (Unix seconds) or later."""
    total = session.scalar(
        select(func.sum(SlotRow.accepted)).where(SlotRow.job_id == job_id, SlotRow.created_at >= moment)
    )
    return int(total or 0)
