"""Whether an endpoint is alive, and whose fault a failure is: the endpoint's or the request's.

A refused key or an exhausted quota opens the circuit for good: nothing else is sent. An endpoint that has answered
nothing successfully for ten minutes while requests fail is down. A request that keeps failing while the endpoint
answers others is itself at fault. Knows times and counts only; must not send or wait.
"""

from __future__ import annotations

from typing import Literal

from generators.llm.errors import EndpointError

__all__ = ["Circuit", "CircuitState"]

#: ``closed`` lets requests through, ``failing`` too (nothing succeeds at the moment), ``open`` lets nothing through.
CircuitState = Literal["closed", "failing", "open"]

#: Seconds between two test questions to an endpoint that may be down.
PROBE_EVERY_S = 10.0
#: Requests found at fault in a row, none answered between, after which the fault is the endpoint's after all: it
#: answers a test question and nothing that the job asks (a crash at long prompts or at schemas, say). Twice as many as
#: may be on the wire at once are always allowed: of those that start together the answered ones end first.
BLAMED_IN_A_ROW = 16


class Circuit:
    """The health of one endpoint and model, as its answers tell it."""

    def __init__(self, *, down_after_s: float, concurrency: int = 0) -> None:
        self.down_after_s = down_after_s
        self.most_blamed = max(BLAMED_IN_A_ROW, 2 * concurrency)
        self.opened: EndpointError | None = None
        self._last_success: float | None = None
        self._failing_since: float | None = None
        self._last_probe: float | None = None
        self._blamed_in_a_row = 0

    @property
    def state(self) -> CircuitState:
        """For people and progress."""
        if self.opened is not None:
            return "open"
        return "closed" if self._failing_since is None else "failing"

    @property
    def ever_answered(self) -> bool:
        """Whether anything has succeeded yet."""
        return self._last_success is not None

    def open(self, error: EndpointError) -> None:
        """Stop everything: a person must act."""
        self.opened = self.opened or error

    def succeeded(self, now: float, *, probe: bool = False) -> None:
        """A usable answer came, to a request or to a test question."""
        self._last_success = now
        self._failing_since = None
        if not probe:
            self._blamed_in_a_row = 0

    def blame_request(self) -> bool:
        """The failures were a request's own fault, unless all requests are: then False."""
        self._blamed_in_a_row += 1
        if self._blamed_in_a_row > self.most_blamed:
            return False
        self._failing_since = None
        return True

    def failed(self, now: float) -> None:
        """A send failed that may be the endpoint's fault."""
        if self._failing_since is None:
            self._failing_since = now

    def answered_since(self, moment: float) -> bool:
        """Whether anything has succeeded since then."""
        return self._last_success is not None and self._last_success >= moment

    def failing_s(self, now: float) -> float:
        """Seconds for which nothing has succeeded while requests fail; 0 while something works."""
        return 0.0 if self._failing_since is None else now - self._failing_since

    def is_down(self, now: float) -> bool:
        """Whether nothing has succeeded for too long while requests fail."""
        return self._failing_since is not None and now - self._failing_since >= self.down_after_s

    def may_probe(self, now: float) -> bool:
        """Whether it is time for a test question; notes that one is being asked where it is."""
        if self._last_probe is not None and now - self._last_probe < PROBE_EVERY_S:
            return False
        self._last_probe = now
        return True
