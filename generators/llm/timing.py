"""Clock, sleep and randomness as one value, so that everything that waits can be tested without waiting.

Use::

    timing = Timing()                                     # real
    timing = Timing(clock=fake.now, sleep=fake.sleep)     # in a test
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

__all__ = ["Timing"]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Where time and jitter come from."""

    clock: Callable[[], float] = time.monotonic  #: Seconds that only grow.
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep  #: Waits so many seconds.
    wall: Callable[[], float] = time.time  #: Unix seconds, for dates that an endpoint names.
    # The operating system's randomness: jitter must differ between processes, and decides nothing that is stored.
    uniform: Callable[[], float] = field(default_factory=lambda: random.SystemRandom().random)  #: In [0, 1).
