"""What crosses the generators' wall: four small protocols and the frozen values that go with them.

``ReplyCache`` keeps model replies, ``SampleSink`` commits a slot's decisions, ``Ledger`` holds the budget, ``BatchLog``
the batches that are under way. Each has an in-memory version in ``generators.memory``; ``app.store`` implements them on
SQL. This module knows neither. Cache and ledger are asked for every request, hundreds at once, so they are coroutines:
a store may write many in one go.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from corpora.errors import MalmoiError
from corpora.records import Message, Sample

__all__ = [
    "BatchLine",
    "BatchLog",
    "BatchRecord",
    "Budget",
    "BudgetExhaustedError",
    "Claim",
    "Ledger",
    "ModelRequest",
    "Price",
    "Reply",
    "ReplyCache",
    "SampleSink",
    "Settlement",
    "SlotOutcome",
    "Usage",
]


class BudgetExhaustedError(MalmoiError):
    """The job's budget does not cover another request; what was accepted is kept."""

    code = "budget_exhausted"
    status = 400
    hint = "Raise the budget and resume the job."
    #: Whether the limit is one of tokens or money, in which requests on the wire count with their upper bounds.
    reserved_counts = False


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
    max_cost_usd: Decimal | None = None  #: US dollars; a model without a price can't be asked under such a limit.


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """What a model costs, in US dollars per million tokens; fractions of a cent are prices too."""

    prompt_usd: Decimal  #: Per million tokens sent.
    completion_usd: Decimal  #: Per million tokens received.


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRequest:
    """One question to a language model."""

    slot: int  #: Number of the slot that asks.
    step: str  #: Which of the slot's requests this is; (slot, step) never asks two different things at once.
    messages: tuple[Message, ...]  #: The conversation so far.
    max_tokens: int  #: Upper limit of the reply in tokens.
    temperature: float = 1.0  #: Sampling temperature.
    top_p: float = 1.0  #: Nucleus of the sampling.
    seed: int | None = None  #: Sampling seed, sent where the endpoint takes one.
    stop: tuple[str, ...] = ()  #: Texts that end the reply.
    presence_penalty: float = 0.0  #: As OpenAI defines it, -2 to 2.
    schema: Mapping[str, Any] | None = (
        None  #: JSON Schema of the reply, used where the endpoint can hold a model to it.
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What one request may cost at most; reserved before it is sent."""

    slot: int  #: Slot that asks.
    step: str  #: Which of its requests.
    model: str  #: Model asked, the key of the price table.
    prompt_tokens: int  #: Upper bound of the tokens sent.
    completion_tokens: int  #: Upper bound of the tokens received: the request's ``max_tokens``.


@dataclass(frozen=True, kw_only=True, slots=True)
class Settlement:
    """What one request really cost and how it ended."""

    prompt_tokens: int  #: Tokens sent, as reported; the upper bound where nobody reported any.
    completion_tokens: int  #: Tokens received.
    outcome: str  #: ``ok``, or what went wrong: ``http_429``, ``http_500``, ``timeout``, ``connection``, ``nonsense`` …
    latency_s: float = 0.0  #: Seconds from sending to the end of the answer.


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

    async def get(self, slot: int, step: str, request_hash: str) -> Reply | None:
        """The stored reply, or None."""
        ...

    async def put(self, slot: int, step: str, request_hash: str, reply: Reply) -> None:
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

    async def reserve(self, claim: Claim) -> int:
        """Reserve one request durably and return a reservation id.

        Raises:
            BudgetExhaustedError: the budget does not cover it; nothing is reserved.
        """
        ...

    async def settle(self, reservation: int, settlement: Settlement) -> None:
        """Replace the reservation by what the request really used; one of an earlier attempt too.

        Raises:
            ValueError: there is no such reservation, or it is settled.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchLine:
    """One request inside a batch, with what is needed to settle and store its reply after a restart."""

    slot: int  #: Slot that asks.
    step: str  #: Which of its requests.
    request_hash: str  #: Key of its reply in the cache.
    reservation: int  #: Of the ledger, made before the batch was sent.
    prompt_tokens: int  #: Upper bound of the tokens sent.
    completion_tokens: int  #: Upper bound of the tokens received.


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchRecord:
    """A batch that was sent, or was about to be, and is not collected yet."""

    token: str  #: Our own name of it, sent along, so that a batch can be found whose id never arrived.
    batch_id: str | None  #: The endpoint's name of it; None until the endpoint has answered.
    model: str  #: Model asked.
    created_at: float  #: Unix seconds.
    lines: tuple[BatchLine, ...]  #: What is in it.


class BatchLog(Protocol):
    """The batches of one job that are not collected yet."""

    async def uncollected(self) -> list[BatchRecord]:
        """Every record that was put and not removed, oldest first."""
        ...

    async def put(self, record: BatchRecord) -> None:
        """Store a record durably, replacing the one of the same token."""
        ...

    async def remove(self, token: str) -> None:
        """Forget a batch, if it is there: every line of it is settled, and every reply is in the cache."""
        ...
