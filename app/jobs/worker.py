"""One attempt at one job, in a process of its own: ``python -m app.jobs.worker``.

Reads its orders as one JSON line from standard input, heartbeats from a thread, runs the kind's function, writes the
outcome. When standard input closes the parent is gone, and the whole process group goes with it: nothing is adopted.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from app.jobs.kinds import JobContext, JobKind, JobOutcome, StopRequest, load_kinds
from app.store.database import open_store
from app.store.jobs import JobStore, LostLeaseError
from corpora.errors import MalmoiError

__all__ = ["main"]

logger = logging.getLogger("malmoi.worker")
#: A stop is seen within this time; a lease of 30 s survives fourteen lost beats.
HEARTBEAT_S = 2.0


def _kill_group() -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(os.getpgrp(), signal.SIGKILL)


def _watch_parent() -> None:
    """Block on standard input until the parent closes it by ending.

    Not the kernel's parent-death signal: that ends this process alone, before it can take its children along.
    """
    while os.read(0, 1):
        pass
    _kill_group()


class _Heart:
    """Keeps the lease and hears of stop requests."""

    def __init__(self, jobs: JobStore, job_id: str, attempt: int) -> None:
        self._jobs = jobs
        self._job_id = job_id
        self._attempt = attempt
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
                    _kill_group()
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


def _run(kind: JobKind, context: JobContext, params: dict[str, Any]) -> JobOutcome:
    try:
        return kind.run(context, kind.params.model_validate(params))
    except LostLeaseError:
        raise
    except MalmoiError as exc:
        error = {"code": exc.code, "message": exc.message, "hint": exc.hint, "retryable": exc.retryable}
        return JobOutcome(status="failed", error=error | {"param": exc.param})
    except Exception as exc:
        context.event("error", f"예상하지 못한 오류: {exc!r}", data={"traceback": traceback.format_exc()})
        message = f"An unexpected error ended the job: {exc!r}. The job's events hold the traceback."
        return JobOutcome(
            status="failed", error={"code": "internal_error", "message": message, "hint": "", "retryable": False}
        )


def main() -> int:
    """Run the attempt that standard input orders."""
    orders = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_watch_parent, daemon=True, name="parent").start()
    logging.basicConfig(level=logging.WARNING)
    config = orders["config"]
    store = open_store(config["database_url"], Path(config["data_dir"]))
    jobs = JobStore(store)
    job_id, attempt = orders["job_id"], orders["attempt"]
    kinds = load_kinds(orders["kinds"])
    row = jobs.get(job_id)
    heart = _Heart(jobs, job_id, attempt)
    context = JobContext(
        store=store,
        settings=config["settings"],
        job_id=job_id,
        attempt=attempt,
        stop=heart.requested,
        log=lambda level, message, type_, data: jobs.event(job_id, attempt, level, message, type_, data),
        report=lambda progress: jobs.progress(job_id, attempt, progress),
        advance=lambda: jobs.advanced(job_id, attempt),
    )
    try:
        outcome = _run(kinds[row.kind], context, row.params)
        heart.end()
        if outcome.status == "retry":
            jobs.release(job_id, attempt, crashed=True)
        else:
            jobs.finish(job_id, attempt, outcome.status, outcome.result, outcome.error)
    except LostLeaseError:
        return 3
    finally:
        heart.end()
        store.dispose()
    return 0


if __name__ == "__main__":
    # os._exit: a daemon thread may sit in a read of standard input, which would hold up the interpreter's end.
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
