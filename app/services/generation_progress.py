"""A generation job as the API shows it, and whether its figures account for everything.

Every figure is taken from what is stored (plan, decided slots, samples, requests), none from a running tally, so that a
job that was killed and resumed tells the same as one that was not.
"""

from __future__ import annotations

from typing import Any

from app.store.queries import Session, count, count_by, find, listed
from app.store.slots import SlotTotals, accepted_since, slot_pace, slot_totals
from app.store.tables import JobRow, PlanRow, ReservationRow, SampleRow, SlotRow
from app.store.usage import UNSETTLED, in_flight, recent_latency, request_totals, settled_since

__all__ = ["account_faults", "job_body"]

#: Seconds that the shown rates look back.
RATE_WINDOW_S = 60.0
#: Seconds that the estimate of the end looks back: long enough for slots that take minutes.
PACE_WINDOW_S = 600.0


def job_body(session: Session, row: JobRow, now: float) -> dict[str, Any]:
    """The job as the contract shows it.

    Args:
        session: A transaction; the figures are of one moment where it is a snapshot.
        row: The job.
        now: Unix seconds; rates and the estimate count back from it.
    """
    slots = slot_totals(session, row.id)
    requests = request_totals(session, row.id)
    latency = recent_latency(session, row.id)
    verdicts = count_by(session, [SampleRow.status, SampleRow.reason], SampleRow.job_id == row.id)
    rejections = {reason: found for status, reason, found in verdicts if status == "rejected"}
    accepted = sum(found for status, _, found in verdicts if status == "accepted")
    running = row.status == "running"
    progress = {
        "target": row.params.get("target"),
        "planned": slots.planned,
        "done": slots.decided - slots.failed,
        "empty": slots.empty,
        "failed": slots.failed,
        "pending": slots.planned - slots.decided,
        "accepted": accepted,
        "rejected": sum(rejections.values()),
    }
    return {
        "id": row.id,
        "object": "generation.job",
        "created_at": int(row.created_at),
        "status": row.status,
        "stop_requested": row.stop_requested if running else None,
        "corpus_id": row.params.get("corpus_id"),
        "dataset_id": row.params["dataset_id"],
        "generators": row.params["generators"],
        "model": row.params.get("model"),
        "judge_model": row.params.get("judge_model"),
        "seed": row.params["seed"],
        "progress": progress,
        "usage": {
            "requests": requests.requests,
            "cached_requests": slots.cached_requests,
            "prompt_tokens": requests.prompt_tokens,
            "completion_tokens": requests.completion_tokens,
            # Shown, never counted with: sums and limits are integers and decimals.
            "cost_usd": None if requests.cost_usd is None else float(requests.cost_usd),
        },
        "requests_by_outcome": requests.by_outcome,
        "in_flight": in_flight(session, row.id, row.attempt) if running else 0,
        "latency": None if latency is None else {"p50_s": latency.p50_s, "p95_s": latency.p95_s},
        "rate": _rate(session, row, now) if running else None,
        "estimated_finish_at": _finish(session, row, slots, accepted, now) if running else None,
        "failures": slots.failures,
        "rejections": rejections,
        "error": row.error,
        "started_at": int(row.started_at) if row.started_at else None,
        "finished_at": int(row.finished_at) if row.finished_at else None,
    }


def _rate(session: Session, row: JobRow, now: float) -> dict[str, float]:
    """Requests and accepted samples over the last minute, or since the start where that is less."""
    since = max(now - RATE_WINDOW_S, row.started_at or now)
    # A job that began just now has not had a second to be fast in.
    seconds = max(now - since, 1.0)
    return {
        "requests_per_second": round(settled_since(session, row.id, since) / seconds, 3),
        "accepted_per_minute": round(accepted_since(session, row.id, since) * 60 / seconds, 3),
    }


def _finish(session: Session, row: JobRow, slots: SlotTotals, accepted: int, now: float) -> int | None:
    """When the plan will be used up or the target reached, whichever comes first, at the pace of the last minutes."""
    pace = slot_pace(session, row.id, now=now, window_s=PACE_WINDOW_S)
    if pace.decided == 0 or pace.seconds == 0:
        return None
    left = (slots.planned - slots.decided) * pace.seconds / pace.decided
    target = row.params.get("target")
    if target is not None and pace.accepted > 0:
        left = min(left, max(target - accepted, 0) * pace.seconds / pace.accepted)
    return int(now + left)


def account_faults(session: Session, row: JobRow, now: float, *, removed: int = 0) -> list[str]:
    """Where a job's figures do not account for every slot, candidate and request; empty when all of them do.

    Plan, slots, samples and requests are stored apart, by different transactions: their sums must agree even so.

    Args:
        session: A snapshot, where the job runs.
        row: The job.
        now: Unix seconds.
        removed: Samples of this job that were removed with their document since.
    """
    body, totals = job_body(session, row, now), slot_totals(session, row.id)
    progress, usage, outcomes = body["progress"], body["usage"], body["requests_by_outcome"]
    slots = listed(session, SlotRow, SlotRow.job_id == row.id, order_by=SlotRow.slot)
    samples = count(session, SampleRow, SampleRow.job_id == row.id)
    plan = find(session, PlanRow, PlanRow.job_id == row.id)
    decided = progress["done"] + progress["failed"]
    rules = {
        "planned = slots of the plan": (progress["planned"], len(plan.slots) if plan else 0),
        "planned = done + failed + pending": (progress["planned"], decided + progress["pending"]),
        "done + failed = stored slots": (decided, len(slots)),
        "stored slots without a gap": ([slot.slot for slot in slots], list(range(len(slots)))),
        "failed = failures by cause": (progress["failed"], sum(body["failures"].values())),
        "candidates of the slots = samples + removed": (totals.candidates, samples + removed),
        "samples = accepted + rejected": (samples, progress["accepted"] + progress["rejected"]),
        "rejected = rejections by reason": (progress["rejected"], sum(body["rejections"].values())),
        "requests = requests by outcome": (usage["requests"], sum(outcomes.values())),
        "requests = stored requests": (
            usage["requests"],
            count(session, ReservationRow, ReservationRow.job_id == row.id),
        ),
    }
    faults = [f"{rule}: {left} is not {right}" for rule, (left, right) in rules.items() if left != right]
    # Slots count what the attempt that decided them sent; earlier attempts may have sent more, never less.
    limits = {
        "pending": (0, progress["pending"]),
        "requests of the slots": (sum(slot.requests for slot in slots), usage["requests"]),
        "in flight": (body["in_flight"], outcomes.get(UNSETTLED, 0)),
    }
    return faults + [f"{what}: {low} is more than {high}" for what, (low, high) in limits.items() if low > high]
