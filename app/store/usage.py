"""What a generation job's requests add up to: tokens, money, outcomes, how fast they come back.

Every request that was ever sent has its reservation, so these sums account for all of them, of undecided slots and of
attempts that died too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.store.ledger import dollars
from app.store.tables import ReservationRow

__all__ = ["UNSETTLED", "Latency", "RequestTotals", "in_flight", "recent_latency", "request_totals", "settled_since"]

#: Outcome of a request whose end nobody has seen: it is in flight, or its attempt died.
UNSETTLED = "unsettled"
#: Answers whose latency counts: the last ones tell of the endpoint as it is now.
LATENCY_ANSWERS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestTotals:
    """Sums over the requests of one job; those whose end nobody saw count at their upper bound."""

    by_outcome: dict[str, int]  #: Requests by how they ended, the commonest first.
    prompt_tokens: int  #: Tokens sent.
    completion_tokens: int  #: Tokens received.
    cost_usd: Decimal | None  #: US dollars; None where a request has no price.

    @property
    def requests(self) -> int:
        """Requests sent."""
        return sum(self.by_outcome.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """Seconds from sending to the end of the answer."""

    p50_s: float  #: Half of the answers took at most this.
    p95_s: float  #: 19 of 20 took at most this.


def request_totals(session: Session, job_id: str) -> RequestTotals:
    """The totals of ``job_id``, all zero before its first request."""
    row = ReservationRow
    found = session.execute(
        select(
            row.outcome,
            func.count(),
            func.sum(row.prompt_tokens),
            func.sum(row.completion_tokens),
            func.count(row.cost),
            func.sum(row.cost),
        )
        .where(row.job_id == job_id)
        .group_by(row.outcome)
        .order_by(func.count().desc(), row.outcome)
    ).all()
    priced = all(count == with_price for _, count, _, _, with_price, _ in found)
    return RequestTotals(
        by_outcome={UNSETTLED if outcome is None else outcome: count for outcome, count, *_ in found},
        prompt_tokens=sum(int(prompt) for _, _, prompt, _, _, _ in found),
        completion_tokens=sum(int(completion) for _, _, _, completion, _, _ in found),
        cost_usd=dollars(sum(int(cost or 0) for *_, cost in found)) if priced else None,
    )


def in_flight(session: Session, job_id: str, attempt: int) -> int:
    """Requests that this attempt has reserved and not settled."""
    return (
        session.scalar(
            select(func.count()).where(
                ReservationRow.job_id == job_id,
                ReservationRow.settled_at.is_(None),
                ReservationRow.attempt == attempt,
            )
        )
        or 0
    )


def settled_since(session: Session, job_id: str, moment: float) -> int:
    """Requests that ended at ``moment`` (Unix seconds) or later, however they ended."""
    return (
        session.scalar(select(func.count()).where(ReservationRow.job_id == job_id, ReservationRow.settled_at >= moment))
        or 0
    )


def recent_latency(session: Session, job_id: str) -> Latency | None:
    """Of the job's last successful answers (nearest rank); None before the first."""
    found = session.scalars(
        select(ReservationRow.latency)
        .where(ReservationRow.job_id == job_id, ReservationRow.outcome == "ok", ReservationRow.latency.is_not(None))
        .order_by(ReservationRow.number.desc())
        .limit(LATENCY_ANSWERS)
    ).all()
    values = sorted(value for value in found if value is not None)
    if not values:
        return None
    return Latency(p50_s=values[math.ceil(0.50 * len(values)) - 1], p95_s=values[math.ceil(0.95 * len(values)) - 1])
