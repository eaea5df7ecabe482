"""The trainer as a child process: its events read, its log kept, and told to pause or to stop when somebody asks.

Knows nothing of jobs and rows: ``run_trainer`` hands every event to its caller and returns how the process ended. The
child exits when its standard input closes, so it never outlives the worker.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from app.services.children import torch_environment

__all__ = ["Ended", "TrainerRun", "run_trainer"]

#: Seconds that the trainer gets to end by itself before it is killed.
GRACE_S = 10.0
#: Seconds that a pause may take: the running step ends first and a checkpoint is written. Steps of a 10.8B model on a
#: slow card take a minute; one that does not answer at all loses what it did since its last checkpoint, no more.
PAUSE_GRACE_S = 600.0
POLL_S = 0.2
#: Last lines of the trainer's log kept for the error message.
LOG_TAIL = 20

_EXIT_CODE = re.compile(r"exitcode\s*: (-?\d+) \(pid")

Wanted = Literal["cancel", "pause"]


@dataclass(frozen=True, kw_only=True)
class TrainerRun:
    """What a run needs from its caller."""

    command: Sequence[str]  #: Command line.
    log: Path  #: File that its log is appended to.
    wanted: Callable[[], Wanted | None]  #: What somebody asked for.
    on_event: Callable[[dict[str, Any]], None]  #: Called with each event, in order, from the calling thread.
    environ: Mapping[str, str] = field(default_factory=dict)  #: Added to the child's environment.


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How the process ended."""

    returncode: int  #: As of ``subprocess``.
    tail: list[str] = field(default_factory=list)  #: Last lines of its log.

    @property
    def signal_name(self) -> str | None:
        """The signal that killed it, or the first of a launcher's processes; None where none did."""
        number = -self.returncode
        if self.returncode == 1:
            # torchrun, under ``accelerate launch``, ends with 1 and tells of the root cause in its last lines.
            causes = [found[1] for line in self.tail if (found := _EXIT_CODE.search(line))]
            number = -int(causes[-1]) if causes else 0
        with contextlib.suppress(ValueError):
            return signal.Signals(number).name
        return None


class _Log:
    """The log file and its last lines; two threads write."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._handle = path.open("a", encoding="utf-8")
        self.tail: deque[str] = deque(maxlen=LOG_TAIL)

    def add(self, line: str) -> None:
        with self._lock:
            self._handle.write(line if line.endswith("\n") else f"{line}\n")
            self._handle.flush()
            self.tail.append(line.rstrip())

    def follow(self, stream: Iterator[str]) -> None:
        for line in stream:
            self.add(line)

    def close(self) -> None:
        with self._lock:
            self._handle.close()


def run_trainer(run: TrainerRun) -> Ended:
    """Run to the end, or until somebody asks to stop."""
    log = _Log(run.log)
    child = subprocess.Popen(
        list(run.command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=torch_environment() | dict(run.environ),
    )
    assert child.stdout is not None
    assert child.stderr is not None
    done = threading.Event()
    threads = [
        threading.Thread(target=log.follow, args=(child.stderr,), daemon=True),
        threading.Thread(target=_stop_when_asked, args=(child, run.wanted, done), daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        for line in child.stdout:
            event = _event(line)
            if event is None:
                # A library that prints: nobody's event, but perhaps the last word before a crash.
                log.add(line)
            else:
                run.on_event(event)
        child.wait()
    finally:
        done.set()
        if child.poll() is None:
            child.kill()
            child.wait()
        for thread in threads:
            thread.join(GRACE_S)
        for stream in (child.stdin, child.stdout, child.stderr):
            # A trainer that is gone cannot be told anything more.
            with contextlib.suppress(BrokenPipeError):
                if stream is not None:
                    stream.close()
        log.close()
    return Ended(returncode=child.returncode, tail=list(log.tail))


def _event(line: str) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "type" in event and "message" in event else None


def _stop_when_asked(child: subprocess.Popen[str], wanted: Callable[[], Wanted | None], done: threading.Event) -> None:
    """Hand a wish on: the line ``pause`` first, and for a cancel, or a pause that takes too long, the end of input."""
    assert child.stdin is not None
    paused_at: float | None = None
    while not done.wait(POLL_S):
        wish = wanted()
        if wish is None:
            continue
        if wish == "pause":
            if paused_at is None:
                paused_at = time.monotonic()
                # Gone already: whoever reads its output sees that.
                with contextlib.suppress(BrokenPipeError):
                    child.stdin.write("pause\n")
                    child.stdin.flush()
            if time.monotonic() - paused_at < PAUSE_GRACE_S:
                continue
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        try:
            child.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            child.kill()
        return
