"""How often and how long to wait: full-jitter back-off, bounded, with one pause shared by all callers.

Pure of HTTP: it is told which attempt failed and what the endpoint asked for, and answers with seconds. Clock, sleep
and randomness are handed in, so tests need no waiting.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

__all__ = ["Pauses", "RetryPolicy", "parse_retry_after"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """Bounds of the retries of one request.

    The waits are "full jitter": uniform between 0 and ``min(max_wait_s, base_s * 2**failures)``, which spreads callers
    that failed together better than a fixed exponential.
    """

    attempts: int = 5  #: Sends in all, the first included.
    base_s: float = 0.5  #: Upper end of the first wait in seconds.
    max_wait_s: float = 20.0  #: Upper end of every wait in seconds.
    max_retry_after_s: float = 120.0  #: A longer wait asked for by the endpoint ends the attempts instead.

    def wait_s(self, failures: int, uniform: float, retry_after_s: float | None) -> float | None:
        """Seconds to wait before the next send, or None to give up.

        Args:
            failures: failed sends so far, at least 1.
            uniform: a random number in [0, 1).
            retry_after_s: what the endpoint asked for in seconds, if it did; the wait is never shorter.
        """
        if failures >= self.attempts:
            return None
        if retry_after_s is not None and retry_after_s > self.max_retry_after_s:
            return None
        # The exponent is capped: 2.0**1024 overflows long after the ceiling has been reached.
        ceiling = min(self.max_wait_s, self.base_s * 2.0 ** min(failures - 1, 60))
        return max(uniform * ceiling, retry_after_s or 0.0)


class Pauses:
    """Waiting, shared by every request to one endpoint.

    A ``Retry-After`` holds back all callers, not only the one that was told, so that a limited endpoint is not hit by
    the rest of the window meanwhile. Each caller's own jitter stays its own.
    """

    def __init__(
        self,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[], float] | None = None,
    ) -> None:
        self._sleep = sleep
        self._clock = clock
        # The operating system's randomness: jitter must differ between processes, and decides nothing that is stored.
        self.uniform = uniform or random.SystemRandom().random
        self._not_before = 0.0

    def hold(self, seconds: float) -> None:
        """Let nobody send for this many seconds from now."""
        self._not_before = max(self._not_before, self._clock() + seconds)

    async def pass_gate(self) -> None:
        """Return when sending is allowed."""
        while (remaining := self._not_before - self._clock()) > 0:
            await self._sleep(remaining)

    async def sleep(self, seconds: float) -> None:
        """Wait for one caller's own back-off."""
        if seconds > 0:
            await self._sleep(seconds)


def parse_retry_after(milliseconds: str | None, seconds: str | None) -> float | None:
    """Seconds asked for by the headers ``retry-after-ms`` and ``retry-after``; None where neither is a plain number.

    A date in ``retry-after`` is not honoured: it depends on two clocks agreeing, and back-off covers it.
    """
    for value, scale in ((milliseconds, 0.001), (seconds, 1.0)):
        if value is None:
            continue
        try:
            number = float(value) * scale
        except ValueError:
            continue
        # NaN compares false with everything and falls through here too.
        if 0.0 <= number < float("inf"):
            return number
    return None
