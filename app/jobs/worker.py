"""One attempt at one job, in a process of its own: ``python -m app.jobs.worker``.

Reads its orders as one JSON line from standard input and runs the attempt (``app.jobs.attempt``). When standard input
closes the parent is gone, and the whole process group goes with it: nothing is adopted.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from app.jobs.attempt import run_attempt
from app.jobs.kinds import load_kinds
from app.store.database import open_store
from app.store.jobs import LostLeaseError

__all__ = ["main"]


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


def main() -> int:
    """Run the attempt that standard input orders."""
    orders = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_watch_parent, daemon=True, name="parent").start()
    logging.basicConfig(level=logging.WARNING)
    config = orders["config"]
    store = open_store(config["database_url"], Path(config["data_dir"]))
    job = (orders["job_id"], orders["attempt"])
    try:
        run_attempt(store, load_kinds(orders["kinds"]), job, settings=config["settings"], on_lost=_kill_group)
    except LostLeaseError:
        return 3
    finally:
        store.dispose()
    return 0


if __name__ == "__main__":
    # os._exit: a daemon thread may sit in a read of standard input, which would hold up the interpreter's end.
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
