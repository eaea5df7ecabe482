"""What the parent says on standard input: the line ``pause``, or, by closing it, that nobody waits any more.

``Pause()`` is a flag that the run looks at after each step; ``listen`` sets it from standard input. Knows nothing of
training.
"""

from __future__ import annotations

import os
import threading

__all__ = ["Pause", "PausedRun", "first_process", "listen"]


class PausedRun(Exception):  # noqa: N818 -- no error: the run was asked to stop and has saved itself
    """The run has saved a checkpoint and ends, as asked."""

    def __init__(self, step: int) -> None:
        self.step = step
        super().__init__(f"paused at step {step}")


class Pause:
    """Whether somebody has asked the run to pause."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    def ask(self) -> None:
        """Ask for it; any thread may."""
        self._asked.set()

    @property
    def asked(self) -> bool:
        """Whether it was asked for."""
        return self._asked.is_set()


def first_process() -> bool:
    """Whether this process listens and speaks for all of ``accelerate launch``; true where it is the only one."""
    return os.environ.get("RANK", "0") == "0"


def listen(pause: Pause) -> None:
    """Read standard input in a thread: ``pause`` asks for a pause; its end ends the process at once.

    Whoever started this run has then gone, or wants it to stop.
    """

    def watch() -> None:
        line = b""
        # os.read, not sys.stdin: a thread that sits in a buffered read aborts the interpreter's shutdown.
        while block := os.read(0, 1024):
            *lines, line = (line + block).split(b"\n")
            if any(said.strip() == b"pause" for said in lines):
                pause.ask()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
