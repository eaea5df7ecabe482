"""What carries one request to a model and one answer back; behind it HTTP, LangChain or a test.

A transport sends once, says how it went, and never raises for what an endpoint can do wrong. Patience, budget and cache
are ``asker``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from generators.llm.rates import RateHints
from generators.llm.structured import Mode
from generators.llm.translate import Failure
from generators.ports import Claim, ModelRequest, Reply

__all__ = ["Sent", "Transport"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """How one send went: a reply or a failure."""

    reply: Reply | None = None  #: What the model said.
    failure: Failure | None = None  #: Why there is none.
    hints: RateHints | None = None  #: Limits that the answer's headers report.


class Transport(Protocol):
    """One way to a model."""

    async def send(self, request: ModelRequest, claim: Claim, mode: Mode) -> Sent:
        """Send once.

        Args:
            request: what to ask.
            claim: its upper bounds, counted where the endpoint reports no usage.
            mode: how to hold the reply to the request's schema.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
