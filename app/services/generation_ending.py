"""How a generation job ended, for its row and its log: a status that says what happened, and what to do next.

A job in which nothing could run has not succeeded, whatever its plan says; a pause and a cancel are no end of the work.
Reads the store; decides no sample.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from app.jobs.kinds import JobContext, JobOutcome
from app.services.context import Services
from app.services.generation import GenerationParams
from app.store.queries import count, count_by, find
from app.store.tables import DatasetRow, SampleRow, SlotRow
from corpora.errors import MalmoiError
from generators.pipeline import PipelineResult

__all__ = ["decided_any", "ended", "paused"]

#: Candidates of one generator, all unreadable, from which on people are told.
_UNREADABLE = 5
_REASONS = {
    "budget_exhausted": (
        "The budget does not cover another request; what was accepted is kept.",
        'Resume the job with a higher budget: POST …/resume {"budget": {"max_requests": 5000}}.',
    ),
    "no_new_candidates": (
        "The plan is used up before the target was reached; what was accepted is kept.",
        "Add documents or lower the target.",
    ),
    "all_slots_failed": (
        "Not one slot of the plan could run.",
        "Mend the cause and resume the job: failed requests are tried again.",
    ),
}


def decided_any(services: Services, job_id: str) -> bool:
    """Whether any slot was decided, by whichever attempt."""
    with services.store.read() as session:
        return count(session, SlotRow, SlotRow.job_id == job_id) > 0


def paused(services: Services, context: JobContext, exc: MalmoiError) -> JobOutcome:
    """The job waits until somebody mends what is wrong and resumes it."""
    error = {"code": exc.code, "message": exc.message, "hint": exc.hint, "retryable": True}
    context.event("warn", f"작업을 일시 정지합니다: {exc.message}", data=error)
    _tell_unreadable(services, context)
    return JobOutcome(status="paused", error=error)


def ended(
    services: Services, context: JobContext, params: GenerationParams, result: PipelineResult | None
) -> JobOutcome:
    """The outcome of a run; ``result`` is None where it was held for a pause."""
    with services.store.read() as session:
        dataset = find(session, DatasetRow, DatasetRow.id == params.dataset_id)
        mine = SampleRow.job_id == context.job_id
        accepted = count(session, SampleRow, mine, SampleRow.status == "accepted")
        rejected = count(session, SampleRow, mine, SampleRow.status == "rejected")
        failures = dict(count_by(session, [SlotRow.failed], SlotRow.job_id == context.job_id))
    summary = {
        "accepted": accepted,
        "rejected": rejected,
        "dataset_version": dataset.version if dataset else None,
    }
    told = f"지금까지 채택 {accepted}건, 거절 {rejected}건"
    if result is None or result.status == "stopped":
        status = "paused" if result is None or context.should_stop() == "pause" else "cancelled"
        what = "일시 정지했습니다" if status == "paused" else "취소했습니다"
        context.event("info", f"작업을 {what}: {told}", data=summary)
        return JobOutcome(status="paused" if status == "paused" else "cancelled", result=summary)
    _tell_unreadable(services, context)
    done = failures.pop(None, 0)
    reason = result.reason
    if done == 0 and failures:
        reason = "all_slots_failed"
    if reason is None:
        context.event("info", f"생성을 마쳤습니다: 채택 {accepted}건, 거절 {rejected}건", data=summary)
        return JobOutcome(status="succeeded", result=summary)
    error = _error(reason, failures)
    context.event("warn", f"생성이 목표에 이르지 못하고 끝났습니다: {told} ({reason})", data=summary | error)
    return JobOutcome(status="incomplete", result=summary, error=error)


def _error(reason: str, failures: dict[str, int]) -> dict[str, Any]:
    message, hint = _REASONS[reason]
    if failures:
        causes = ", ".join(f"{cause} {number}" for cause, number in Counter(failures).most_common(5))
        message = f"{message} Slots failed by cause: {causes}."
    short = MalmoiError(message, code=reason, hint=hint)
    return {"code": short.code, "message": short.message, "hint": short.hint, "retryable": False}


def _tell_unreadable(services: Services, context: JobContext) -> None:
    """Say which generators got nothing but replies that cannot be read: the model does not follow their form."""
    with services.store.read() as session:
        mine = SampleRow.job_id == context.job_id
        made = dict(count_by(session, [SampleRow.generator], mine))
        unread = dict(count_by(session, [SampleRow.generator], mine, SampleRow.reason == "malformed_reply"))
    for generator, number in unread.items():
        if number >= _UNREADABLE and number == made[generator]:
            message = (
                f"{generator}: 모델의 응답 {number}건을 모두 읽을 수 없었습니다. 모델이나 max_tokens를 바꿔 보십시오."
            )
            context.event("warn", message, data={"code": "replies_unreadable", "generator": generator})
