"""The supervisor: claims jobs and runs each attempt in a child process, from a thread of the service.

``start`` returns at once; ``wake`` makes it look for work now instead of within a fifth of a second; ``stop`` ends its
children, which leaves their jobs to whoever comes next. Spawning is the one function ``_spawn``.

Hours on one resource (a training on the ``gpu``) must not keep everybody else waiting: a job that holds a resource in
``APART`` takes no worker's place. A resource has one holder at a time, which bounds them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import uuid
from typing import Any

from app.jobs.kinds import load_kinds
from app.store.database import Store
from app.store.jobs import JobStore

__all__ = ["APART", "Supervisor"]

logger = logging.getLogger("malmoi.supervisor")
POLL_S = 0.2
#: Seconds that a child gets to end after its standard input was closed.
GRACE_S = 5.0
#: Resources whose holders run beside the workers and are not counted among them.
APART = frozenset({"gpu"})


class Supervisor:
    """Runs up to ``workers`` jobs at once, and beside them those that hold a resource in ``APART``."""

    def __init__(self, store: Store, config: dict[str, Any], kinds_path: str, workers: int = 1) -> None:
        self._jobs = JobStore(store)
        self._config = config
        self._kinds_path = kinds_path
        self._workers = workers
        self._owner = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._children: dict[tuple[str, int], subprocess.Popen[bytes]] = {}
        self._apart: set[tuple[str, int]] = set()
        self._stopping = threading.Event()
        self._work = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to claim jobs."""
        self._thread = threading.Thread(target=self._loop, name="supervisor", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There may be work."""
        self._work.set()

    def stop(self) -> None:
        """End the children and give their jobs back to the queue."""
        self._stopping.set()
        self._work.set()
        if self._thread is not None:
            self._thread.join()
        for (job_id, attempt), child in self._children.items():
            _end(child)
            self._jobs.release(job_id, attempt, crashed=False)
        self._children.clear()
        self._apart.clear()

    def _loop(self) -> None:
        kinds = sorted(load_kinds(self._kinds_path))
        while not self._stopping.is_set():
            try:
                self._reap()
                while len(self._children) - len(self._apart) < self._workers and self._claim(kinds):
                    pass
            except Exception:
                # The supervisor outlives a database that is away for a while.
                logger.exception("the supervisor could not look for work")
            self._work.wait(POLL_S)
            self._work.clear()

    def _claim(self, kinds: list[str]) -> bool:
        row = self._jobs.claim(self._owner, kinds)
        if row is None:
            return False
        self._children[row.id, row.attempt] = self._spawn(row.id, row.attempt)
        if not APART.isdisjoint(row.resources):
            self._apart.add((row.id, row.attempt))
        return True

    def _spawn(self, job_id: str, attempt: int) -> subprocess.Popen[bytes]:
        """Start one attempt: a process group of its own, its orders on standard input, which stays open."""
        child = subprocess.Popen(
            [sys.executable, "-m", "app.jobs.worker", "--job", job_id, "--data-dir", self._config["data_dir"]],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        orders = {"config": self._config, "kinds": self._kinds_path, "job_id": job_id, "attempt": attempt}
        assert child.stdin is not None
        # A child that died at once is reaped in the next round.
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(json.dumps(orders).encode() + b"\n")
            child.stdin.flush()
        return child

    def _reap(self) -> None:
        for (job_id, attempt), child in list(self._children.items()):
            if child.poll() is None:
                continue
            del self._children[job_id, attempt]
            self._apart.discard((job_id, attempt))
            _end(child)
            # A no-op where the child wrote its outcome; otherwise it died without a word.
            self._jobs.release(job_id, attempt, crashed=True)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Close the child's standard input, wait, and kill what is left of its process group."""
    if child.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        logger.warning("worker %s did not end by itself", child.pid)
    # What the worker started (a trainer, say) is in its group and may have outlived it.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
