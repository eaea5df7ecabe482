"""What commands without a server share: services on a folder, and a job that is watched and can be stopped.

A command that runs a job opens services on ``--data-dir``, or on a private folder that is gone afterwards, and runs it
in this process. Ctrl-C and SIGTERM ask the job to stop; what it has stored is written by the command all the same. It
knows no kind of job.

Use::

    with services_on(arguments.data_dir, arguments.config) as services:
        with watched(show, stop, "stopping") as watch:
            run(services, on_job=watch)
"""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.services.context import Services

__all__ = ["services_on", "watched"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def services_on(data_dir: Path | None, config: Path | None, **flags: Any) -> Iterator[Services]:
    """Services on the folder that was named, or on one that is gone afterwards.

    Args:
        data_dir: The folder, or None.
        config: Settings file, or None for the usual one.
        flags: Further settings of the command line.
    """
    from app.services.context import open_services
    from app.services.demo_cache import link_demo_models
    from app.settings import load_settings

    with tempfile.TemporaryDirectory(prefix="malmoi-") as temporary:
        if data_dir is None:
            link_demo_models(Path(temporary))
        services = open_services(load_settings({"data_dir": data_dir or Path(temporary)} | flags, config=config))
        try:
            yield services
        finally:
            services.store.dispose()


@contextmanager
def watched(
    show: Callable[[str, threading.Event], None], stop: Callable[[str], object], words: str
) -> Iterator[Callable[[str], None]]:
    """Show a job and hear of Ctrl-C and SIGTERM; gives the function that is told the job's id before it runs.

    Args:
        show: Tells how the job (its id) gets on until the event is set; runs in a thread.
        stop: Asks the job to stop.
        words: What is said when somebody asks for it.
    """
    ended = threading.Event()
    threads: list[threading.Thread] = []

    def watch(job_id: str) -> None:
        def asked(_signal: int, _frame: object) -> None:
            print(f"\nmalmoi: {words}", file=sys.stderr)
            # Not in the handler itself: it may interrupt a transaction of this very thread.
            threading.Thread(target=stop, args=(job_id,), daemon=True).start()

        for number in _SIGNALS:
            signal.signal(number, asked)
        threads.append(threading.Thread(target=show, args=(job_id, ended), daemon=True, name="progress"))
        threads[0].start()

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield watch
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        for number, handler in before.items():
            signal.signal(number, handler)
