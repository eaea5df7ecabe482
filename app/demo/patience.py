"""``Patience``: waits for a step as long as something moves, and gives up when nothing does.

A busy machine is slow and a broken service stands still, so what counts is the time without news, not the time a step
takes. One for each step: ``patience.wait(whatever_shows_progress)`` between two looks.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from corpora.errors import MalmoiError

__all__ = ["DemoError", "Patience"]

POLL_S = 0.5
#: Seconds without news. The longest silence of a healthy run was 7 s, twenty steps of pre-training beside three busy
#: processes on two cores; this is forty times as long.
STALL_S = 300.0
#: The last resort, against a step that moves and gets nowhere.
LIMIT_S = 3600.0


class DemoError(MalmoiError):
    """The demonstration stopped at a step that should have worked."""

    code = "demo_failed"


class Patience:
    """The waiting of one step.

    Args:
        step: Name of the step, for the message.
        clock: Seconds that never go back.
        sleep: Waits between two looks.
    """

    def __init__(
        self, step: str, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._step, self._clock, self._sleep = step, clock, sleep
        self._began = self._moved = clock()
        self._seen: object = None

    def wait(self, seen: object) -> None:
        """Sleep until the next look.

        Args:
            seen: Anything that compares unequal once there is news: states, counts, the last event.

        Raises:
            DemoError: nothing has changed for ``STALL_S``, or the step has lasted ``LIMIT_S``.
        """
        now = self._clock()
        if seen != self._seen:
            self._seen, self._moved = seen, now
        if now - self._moved > STALL_S:
            raise DemoError(f"The {self._step} made no progress for {STALL_S:.0f} s.")
        if now - self._began > LIMIT_S:
            raise DemoError(f"The {self._step} was not done after {LIMIT_S / 60:.0f} minutes.")
        self._sleep(POLL_S)
