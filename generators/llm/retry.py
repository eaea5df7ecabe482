"""How long a failed request waits, and how many retries an endpoint is sent in all.

``RetryPolicy`` is the back-off of one request, ``RetryBudget`` the bound on the retries of all of them together: a
share of the successes, so that an outage is answered with a trickle and not with everything that waits. Pure of HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass

from generators.llm.timing import Timing

__all__ = ["RetryBudget", "RetryPolicy"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """Bounds of the retries of one request.

    The waits are "full jitter": uniform between 0 and ``min(max_wait_s, base_s * 2**failures)``, which spreads callers
    that failed together better than a fixed exponential.
    """

    attempts: int = 8  #: Failures that may be a request's own fault (not 429, 503) until it is given up.
    base_s: float = 0.5  #: Upper end of the first wait in seconds.
    max_wait_s: float = 20.0  #: Upper end of every wait in seconds.
    max_retry_after_s: float = 600.0  #: A longer wait asked for by the endpoint counts as an endpoint that is down.

    def wait_s(self, failures: int, uniform: float) -> float:
        """Seconds to wait before the next send.

        Args:
            failures: failed sends of this request so far, at least 1.
            uniform: a random number in [0, 1).
        """
        # The exponent is capped: 2.0**1024 overflows long after the ceiling has been reached.
        return uniform * min(self.max_wait_s, self.base_s * 2.0 ** min(failures - 1, 60))


class RetryBudget:
    """Retries that may be sent: a share of the successes, and a trickle where nothing succeeds.

    A retry that succeeds pays for two more: when an endpoint comes back, what waits follows within a few round trips.
    In an outage of *t* seconds at most ``reserve + per_second * t`` retries leave, however many requests wait.
    """

    def __init__(
        self, *, share: float = 0.2, per_second: float = 1.0, reserve: float = 16.0, timing: Timing | None = None
    ) -> None:
        """Begin full.

        Args:
            share: retries that one success at the first attempt pays for.
            per_second: retries a second that are always allowed.
            reserve: most retries that can be saved up.
            timing: clock and sleep.
        """
        self._share = share
        self._per_second = per_second
        self._reserve = reserve
        self._timing = timing or Timing()
        self._level = reserve
        self._at = self._timing.clock()

    def earn(self, *, retried: bool) -> None:
        """A request succeeded."""
        self._level = min(self._reserve, self._level + (2.0 if retried else self._share))

    async def spend(self) -> None:
        """Return when one more retry may be sent."""
        while True:
            now = self._timing.clock()
            self._level = min(self._reserve, self._level + (now - self._at) * self._per_second)
            self._at = now
            # The slack is for sums of floats: without it a wait could be shorter than the clock's last digit.
            if self._level >= 1.0 - 1e-6:
                self._level -= 1.0
                return
            await self._timing.sleep(max(0.001, min(1.0, (1.0 - self._level) / self._per_second)))
