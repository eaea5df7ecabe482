"""Jobs inside the calling process, for the command line: no supervisor, no child, the same engine and the same store.

Behaves as one more worker: where a running service works on the same store, whoever claims a job first runs it, and
this one waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from app.jobs.attempt import run_attempt
from app.jobs.kinds import JobKind
from app.store.database import Store
from app.store.jobs import JobStore, LostLeaseError
from app.store.tables import JobRow

__all__ = ["run_inline"]

POLL_S = 0.2
_WAITING = frozenset({"queued", "running"})


def run_inline(store: Store, kinds: Mapping[str, JobKind], job_id: str, settings: dict[str, Any]) -> JobRow:
    """Run ``job_id``, and what stands before it in the queue, to its end.

    Args:
        store: The opened store.
        kinds: Every kind by name.
        job_id: The job that is waited for.
        settings: The service's settings as plain values.

    Returns:
        The job's row once it is at rest.
    """
    jobs = JobStore(store)
    while (row := jobs.get(job_id)).status in _WAITING:
        claimed = jobs.claim("inline", [row.kind])
        if claimed is None:
            time.sleep(POLL_S)
            continue
        try:
            run_attempt(store, kinds, (claimed.id, claimed.attempt), settings=settings, on_lost=lambda: None)
        except LostLeaseError:
            # Another worker has it now; wait for that one.
            continue
    return row
