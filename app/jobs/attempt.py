"""One attempt at one job inside this process: heartbeat from a thread, the kind's function, the outcome written.

``app.jobs.worker`` does this in a process of its own, ``app.jobs.inline`` for the command line. Knows no kind of job.
A database that is away for a while ends no attempt: what it tells is written when the database is back.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from app.jobs.kinds import JobContext, JobKind, JobOutcome, StopRequest
from app.store.database import Store
from app.store.jobs import JobStore, LostLeaseError
from app.store.patience import patiently, unavailable
from corpora.errors import MalmoiError

__all__ = ["run_attempt"]

logger = logging.getLogger("malmoi.worker")
#: A stop is seen within this time; a lease of 30 s survives fourteen lost beats.
HEARTBEAT_S = 2.0


class _Heart:
    """Keeps the lease and hears of stop requests."""

    def __init__(self, jobs: JobStore, job_id: str, attempt: int, on_lost: Callable[[], None]) -> None:
        self._jobs = jobs
        self._job_id = job_id
        self._attempt = attempt
        self._on_lost = on_lost
        self._ended = threading.Event()
        self._requested: StopRequest | None = None
        self._thread = threading.Thread(target=self._beat, daemon=True, name="heartbeat")
        self._thread.start()

    def requested(self) -> StopRequest | None:
        """What somebody asked for."""
        return self._requested

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_S):
            try:
                wanted = self._jobs.heartbeat(self._job_id, self._attempt)
            except LostLeaseError:
                if not self._ended.is_set():
                    self._on_lost()
                return
            except Exception:
                # A busy or restarting database is no reason to die: the lease outlives many lost beats.
                logger.exception("a heartbeat was lost")
                continue
            if wanted in ("cancel", "pause"):
                self._requested = "cancel" if wanted == "cancel" else "pause"

    def end(self) -> None:
        """Stop beating."""
        self._ended.set()
        self._thread.join()


def _error_of(exc: MalmoiError) -> dict[str, Any]:
    told = {"code": exc.code, "message": exc.message, "hint": exc.hint, "retryable": exc.retryable}
    return told | {"param": exc.param}


def _run(kind: JobKind, context: JobContext, params: dict[str, Any]) -> JobOutcome:
    try:
        return kind.run(context, kind.params.model_validate(params))
    except LostLeaseError:
        raise
    except MalmoiError as exc:
        return JobOutcome(status="failed", error=_error_of(exc))
    except Exception as exc:
        away = unavailable(exc)
        if away is not None:
            return JobOutcome(status="failed", error=_error_of(away))
        context.event("error", f"예상하지 못한 오류: {exc!r}", data={"traceback": traceback.format_exc()})
        message = f"An unexpected error ended the job: {exc!r}. The job's events hold the traceback."
        return JobOutcome(
            status="failed", error={"code": "internal_error", "message": message, "hint": "", "retryable": False}
        )


def run_attempt(
    store: Store,
    kinds: Mapping[str, JobKind],
    job: tuple[str, int],
    *,
    settings: dict[str, Any],
    on_lost: Callable[[], None],
) -> None:
    """Run attempt ``job`` (id and number) and write how it ended.

    Args:
        store: The opened store.
        kinds: Every kind by name.
        job: The job's id and the attempt's number, as claimed.
        settings: The service's settings as plain values.
        on_lost: Called from the heartbeat's thread when another attempt has taken over.

    Raises:
        LostLeaseError: another attempt has taken over; nothing was written.
    """
    jobs = JobStore(store)
    job_id, attempt = job
    row = patiently(lambda: jobs.get(job_id))
    heart = _Heart(jobs, job_id, attempt, on_lost)
    context = JobContext(
        store=store,
        settings=settings,
        job_id=job_id,
        attempt=attempt,
        stop=heart.requested,
        log=lambda *told: patiently(lambda: jobs.event(job_id, attempt, *told)),
        report=lambda progress: patiently(lambda: jobs.progress(job_id, attempt, progress)),
        advance=lambda: patiently(lambda: jobs.advanced(job_id, attempt)),
    )
    try:
        outcome = _run(kinds[row.kind], context, row.params)
        heart.end()
        if outcome.status == "retry":
            patiently(lambda: jobs.release(job_id, attempt, crashed=True))
        else:
            ended = (outcome.status, outcome.result, outcome.error)
            patiently(lambda: jobs.finish(job_id, attempt, *ended))
    finally:
        heart.end()
