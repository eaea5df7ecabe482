"""What is known of one endpoint and model: limiter, circuit, retry budget, structured output, latencies.

Shared by every client of the same endpoint and model in a process (a job's generators and its judge may use one model),
so it is handed in, never global. For one event loop.

Use::

    endpoints = Endpoints()
    client = OpenAIModelClient(settings, cache=cache, ledger=ledger, endpoint=endpoints.of(settings))
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from generators.llm.circuit import Circuit, CircuitState
from generators.llm.limiter import Limiter
from generators.llm.parameters import ParameterSupport
from generators.llm.retry import RetryBudget
from generators.llm.settings import EndpointSettings
from generators.llm.structured import Mode, StructuredSupport
from generators.llm.timing import Timing

__all__ = ["ClientStats", "Endpoint", "Endpoints"]

#: Latencies that the percentiles are taken of.
_LATENCIES = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientStats:
    """How an endpoint and model are doing, for people."""

    in_flight: int  #: Requests on the wire.
    waiting: int  #: Requests that wait for their turn.
    limit: int  #: Requests that may be on the wire at once now.
    requests: int  #: Requests sent so far.
    retries: int  #: Of these, repetitions.
    http_429s: int  #: Of these, answered with 429.
    latency_p50_s: float | None  #: Median seconds of the last 1,024 replies; None before the first.
    latency_p95_s: float | None  #: 95th percentile of the same.
    circuit: CircuitState  #: Whether requests are let through.
    structured: Mode  #: How schemas are sent.


class Endpoint:
    """The shared state of one endpoint and model."""

    def __init__(self, settings: EndpointSettings, timing: Timing | None = None) -> None:
        self.timing = timing or Timing()
        self.limiter = Limiter(
            ceiling=settings.concurrency,
            requests_per_minute=settings.requests_per_minute,
            tokens_per_minute=settings.tokens_per_minute,
            timing=self.timing,
        )
        self.circuit = Circuit(down_after_s=settings.down_after_s, concurrency=settings.concurrency)
        # What may be saved up grows with the concurrency: coming back from an outage, all of it waits for a retry.
        self.retries = RetryBudget(reserve=max(16.0, float(settings.concurrency)), timing=self.timing)
        self.structured = StructuredSupport(settings.structured)
        self.parameters = ParameterSupport()
        #: Tokens of batches that a client of this process waits for.
        self.live_batches: set[str] = set()
        #: Tokens of batches of earlier attempts that are being collected, or are: then the event is set.
        self.recovering: dict[str, asyncio.Event] = {}
        self.last_failure = ""  #: What went wrong last, for people.
        self.sent = 0
        self.retried = 0
        self.limited = 0
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)

    def replied(self, latency_s: float) -> None:
        """Note the latency of a reply."""
        self._latencies.append(latency_s)

    def stats(self) -> ClientStats:
        """The figures of this moment."""
        ordered = sorted(self._latencies)
        return ClientStats(
            in_flight=self.limiter.in_flight,
            waiting=self.limiter.waiting,
            limit=self.limiter.limit,
            requests=self.sent,
            retries=self.retried,
            http_429s=self.limited,
            latency_p50_s=_percentile(ordered, 0.5),
            latency_p95_s=_percentile(ordered, 0.95),
            circuit=self.circuit.state,
            structured=self.structured.mode,
        )


class Endpoints:
    """Endpoints by base URL and model, made on demand."""

    def __init__(self, timing: Timing | None = None) -> None:
        self._timing = timing
        self._known: dict[tuple[str, str, str], Endpoint] = {}

    def of(self, settings: EndpointSettings) -> Endpoint:
        """The shared state for these settings; the first to ask decides the limits."""
        key = (settings.base_url.rstrip("/"), settings.model, settings.api_key)
        if key not in self._known:
            self._known[key] = Endpoint(settings, self._timing)
        return self._known[key]


def _percentile(ordered: list[float], share: float) -> float | None:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
