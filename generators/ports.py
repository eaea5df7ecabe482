"""What crosses the generators' wall: three small protocols and the frozen values that go with them.

``ReplyCache`` keeps model replies, ``SampleSink`` commits a slot's decisions, ``Ledger`` holds the budget. Each has an
in-memory version in ``generators.memory``; ``app.store`` implements them on SQL. This module knows neither.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from corpora.errors import MalmoiError
from corpora.records import Sample

__all__ = [
    "Budget",
    "BudgetExhaustedError",
    "Ledger",
    "Reply",
    "ReplyCache",
    "SampleSink",
    "SlotOutcome",
    "Usage",
]


class BudgetExhaustedError(MalmoiError):
    """The job's budget does not cover another request; what was accepted is kept."""

    code = "budget_exhausted"
    status = 400
    hint = "Raise the budget and resume the job."


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What requests cost; adds up field by field."""

    requests: int = 0  #: Requests sent to the endpoint.
    cached_requests: int = 0  #: Replies taken from the cache instead.
    prompt_tokens: int = 0  #: Tokens sent, as reported by the endpoint.
    completion_tokens: int = 0  #: Tokens received, as reported by the endpoint.

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            requests=self.requests + other.requests,
            cached_requests=self.cached_requests + other.cached_requests,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """Upper limits of one job; None means no limit."""

    max_requests: int | None = None  #: Requests that may be sent.
    max_tokens: int | None = None  #: Prompt and completion tokens together.


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One successful reply of a model."""

    text: str  #: The content of the first choice.
    finish_reason: str  #: As the endpoint said: ``stop``, ``length`` …
    model: str  #: Model name that the endpoint reported.
    prompt_tokens: int  #: As reported.
    completion_tokens: int  #: As reported.


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotOutcome:
    """What one slot decided; committed in one transaction, in slot order."""

    slot: int  #: Number of the slot, from 0.
    generator: str  #: Name of the generator that ran it.
    samples: tuple[Sample, ...] = ()  #: Every candidate with its verdict, accepted and rejected, in order.
    failed: str | None = None  #: Why the slot could not run (``context_too_small`` …); None when it did.
    usage: Usage = field(default_factory=Usage)  #: What the slot's requests cost.


class ReplyCache(Protocol):
    """Successful replies by (slot, step, hash of the canonical request) of one job."""

    def get(self, slot: int, step: str, request_hash: str) -> Reply | None:
        """The stored reply, or None."""
        ...

    def put(self, slot: int, step: str, request_hash: str, reply: Reply) -> None:
        """Store a reply durably before it is used."""
        ...


class SampleSink(Protocol):
    """Where decided slots go, and what is already there."""

    def committed(self) -> list[SlotOutcome]:
        """Outcomes committed earlier by this job, in slot order, without gaps from slot 0."""
        ...

    def commit(self, outcome: SlotOutcome) -> None:
        """Commit one slot in one transaction; slots arrive in order, each once."""
        ...

    def deleted(self, document_ids: Collection[str]) -> bool:
        """Whether one of these documents is gone: what was made of it meanwhile is not to be kept."""
        ...


class Ledger(Protocol):
    """The budget of one job: reserved before a request is sent, settled after it."""

    def reserve(self, tokens: int) -> int:
        """Reserve one request of at most ``tokens`` tokens and return a reservation id.

        Raises:
            BudgetExhaustedError: the budget does not cover it.
        """
        ...

    def settle(self, reservation: int, prompt_tokens: int, completion_tokens: int) -> None:
        """Replace the reservation by what the request really used."""
        ...
