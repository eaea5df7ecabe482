"""How many requests to one endpoint and model may be on the wire, and when the next may go.

Adaptive concurrency (additive increase, halving on a sign of overload), one ``Retry-After`` for everybody, requests and
tokens a minute, strictly first come first served. Pure of HTTP: it is told how a request ended. For one event loop;
must not send, retry or count money.

Use::

    permit = await limiter.acquire(tokens=900)
    try:
        ...
    finally:
        limiter.release(permit, Ending(overload=True, retry_after_s=2.0))
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from generators.llm.rates import Bucket, RateHints
from generators.llm.timing import Timing

__all__ = ["Ending", "Limiter", "Permit"]

#: Windows of successes from nothing back to the ceiling. One more request a window, as TCP does it, would take 128
#: windows from 128 to 256.
_STEPS = 16
#: Timers shorter than this are not worth a wake-up, and a float's last digit must not make one that never advances.
_SHORTEST_S = 0.001


@dataclass(slots=True)
class Permit:
    """Leave to send one request; given back exactly once."""

    epoch: int  #: How often the limit had been halved when it was granted.
    tokens: float  #: Tokens that were taken from the minute's.
    open: bool = True  #: Whether it is not given back yet.


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How a request ended, as far as the limiter cares."""

    ok: bool = False  #: A usable answer came.
    overload: bool = False  #: 429, 503 or a time-out: too much at once.
    unsent: bool = False  #: Nothing left this machine: counts for nothing.
    retry_after_s: float | None = None  #: Seconds for which nobody is to send.
    used_tokens: float | None = None  #: Tokens really used; None where nobody said.
    hints: RateHints | None = None  #: Limits that the answer's headers report.


class Limiter:
    """Admission to one endpoint and model; costs microseconds a request."""

    def __init__(
        self,
        *,
        ceiling: int,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        timing: Timing | None = None,
    ) -> None:
        """Start at the ceiling: it is what the operator asked for, and one refusal halves it.

        Args:
            ceiling: most requests on the wire at once, at least 1.
            requests_per_minute: limit on requests; None leaves it to the endpoint's headers.
            tokens_per_minute: limit on tokens, likewise.
            timing: clock and sleep.
        """
        self._timing = timing or Timing()
        now = self._timing.clock()
        self.ceiling = self._whole_ceiling = ceiling
        self._jobs = 1
        self._limit = float(ceiling)
        self._step = max(1.0, ceiling / _STEPS)
        self._epoch = 0
        self._peak = 0
        self._in_flight = 0
        self._not_before = now
        self._requests = Bucket(requests_per_minute, now=now, whole_units=True)
        self._tokens = Bucket(tokens_per_minute, now=now, whole_units=False)
        self._waiters: deque[tuple[asyncio.Future[Permit], float]] = deque()
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at = 0.0

    @property
    def in_flight(self) -> int:
        """Permits that are out."""
        return self._in_flight

    @property
    def limit(self) -> int:
        """Permits that may be out at once now, from 1 to the ceiling."""
        return int(self._limit)

    @property
    def waiting(self) -> int:
        """Callers in the queue."""
        return sum(not future.done() for future, _ in self._waiters)

    def share(self, jobs: int) -> None:
        """Keep to the ``jobs``-th part of the ceiling and of the settings' limits: others ask the same endpoint too."""
        if jobs == self._jobs:
            return
        self._jobs = jobs
        now = self._timing.clock()
        ceiling = max(1, self._whole_ceiling // jobs)
        self._requests.divide(jobs, now)
        self._tokens.divide(jobs, now)
        # One that was not halved stays at its ceiling; one that was goes on from where it is.
        self._limit = float(ceiling) if self._limit >= self.ceiling else min(self._limit, float(ceiling))
        self.ceiling = ceiling
        self._step = max(1.0, ceiling / _STEPS)
        self._pump()

    async def acquire(self, tokens: float = 0.0) -> Permit:
        """Leave to send one request, in the order of asking.

        Args:
            tokens: upper bound of what it may use.
        """
        if not self._waiters and self._wait_s(tokens) == 0.0:
            return self._grant(tokens)
        future: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        self._waiters.append((future, tokens))
        self._pump()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                # Granted in the very moment of the cancellation: somebody else is to have it.
                self.release(future.result(), Ending(unsent=True))
            else:
                # It may have been the one that all others waited behind.
                self._pump()
            raise

    def release(self, permit: Permit, ending: Ending) -> None:
        """Give a permit back; a second time does nothing."""
        if not permit.open:
            return
        permit.open = False
        busy = self._in_flight
        self._in_flight -= 1
        if ending.ok and self._limit < self.ceiling and 2 * busy >= self._limit:
            self._limit = min(float(self.ceiling), self._limit + self._step / self._limit)
        elif ending.overload and permit.epoch == self._epoch:
            # What was sent before the halving and is refused after it is the same news again.
            self._limit = max(1.0, min(self._limit, float(self._peak)) / 2.0)
            self._epoch += 1
            self._peak = self._in_flight
        if ending.retry_after_s:
            self._not_before = max(self._not_before, self._timing.clock() + ending.retry_after_s)
        if ending.unsent:
            self._requests.give_back(1.0)
            self._tokens.give_back(permit.tokens)
        elif ending.used_tokens is not None:
            self._tokens.give_back(permit.tokens - ending.used_tokens)
        if ending.hints is not None:
            self._learn(ending.hints)
        self._pump()

    def _learn(self, hints: RateHints) -> None:
        now = self._timing.clock()
        if hints.requests is not None:
            self._requests.learn(hints.requests, now)
        if hints.tokens is not None:
            self._tokens.learn(hints.tokens, now)

    def _wait_s(self, tokens: float) -> float | None:
        """Seconds until the next request may go; None where that depends on a permit coming back."""
        if self._in_flight >= int(self._limit):
            return None
        now = self._timing.clock()
        return max(self._not_before - now, self._requests.wait_s(1.0, now), self._tokens.wait_s(tokens, now), 0.0)

    def _grant(self, tokens: float) -> Permit:
        self._in_flight += 1
        self._peak = max(self._peak, self._in_flight)
        self._requests.take(1.0)
        self._tokens.take(tokens)
        return Permit(epoch=self._epoch, tokens=tokens)

    def _pump(self) -> None:
        """Grant what may go now, in order, and set the alarm for the next."""
        while self._waiters:
            future, tokens = self._waiters[0]
            if not future.done():
                wait = self._wait_s(tokens)
                if wait is None:
                    return
                if wait > 0.0:
                    self._ring_in(max(wait, _SHORTEST_S))
                    return
                future.set_result(self._grant(tokens))
            self._waiters.popleft()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _ring_in(self, seconds: float) -> None:
        due = self._timing.clock() + seconds
        if self._alarm is not None:
            if self._alarm_at <= due:
                return
            self._alarm.cancel()
        self._alarm_at = due
        self._alarm = asyncio.get_running_loop().create_task(self._ring(seconds))

    async def _ring(self, seconds: float) -> None:
        await self._timing.sleep(seconds)
        self._alarm = None
        self._pump()
