"""The three ports in memory: for tests and for runs that need not outlive their process."""

from __future__ import annotations

from collections.abc import Collection

from generators.ports import Budget, BudgetExhaustedError, Reply, SlotOutcome

__all__ = ["MemoryLedger", "MemoryReplyCache", "MemorySink"]


class MemoryReplyCache:
    """Replies in a dictionary."""

    def __init__(self) -> None:
        self.replies: dict[tuple[int, str, str], Reply] = {}

    def get(self, slot: int, step: str, request_hash: str) -> Reply | None:
        """The stored reply, or None."""
        return self.replies.get((slot, step, request_hash))

    def put(self, slot: int, step: str, request_hash: str, reply: Reply) -> None:
        """Store a reply."""
        self.replies[slot, step, request_hash] = reply


class MemorySink:
    """Outcomes in a list; refuses a gap, as every sink must."""

    def __init__(self) -> None:
        self.outcomes: list[SlotOutcome] = []
        self.gone: set[str] = set()

    def committed(self) -> list[SlotOutcome]:
        """Outcomes so far."""
        return list(self.outcomes)

    def commit(self, outcome: SlotOutcome) -> None:
        """Append the next outcome."""
        if outcome.slot != len(self.outcomes):
            raise ValueError(f"slot {outcome.slot} does not follow slot {len(self.outcomes) - 1}")
        self.outcomes.append(outcome)

    def deleted(self, document_ids: Collection[str]) -> bool:
        """Whether one of these documents is among ``gone``."""
        return not self.gone.isdisjoint(document_ids)


class MemoryLedger:
    """A budget in memory; an unsettled reservation counts at its upper bound."""

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
        self.reservations: list[int] = []

    def reserve(self, tokens: int) -> int:
        """Reserve one request of at most ``tokens`` tokens."""
        limit = self.budget
        if limit.max_requests is not None and len(self.reservations) + 1 > limit.max_requests:
            raise BudgetExhaustedError(f"The budget of {limit.max_requests} requests is used up.")
        if limit.max_tokens is not None and sum(self.reservations) + tokens > limit.max_tokens:
            raise BudgetExhaustedError(f"The budget of {limit.max_tokens} tokens does not cover another request.")
        self.reservations.append(tokens)
        return len(self.reservations) - 1

    def settle(self, reservation: int, prompt_tokens: int, completion_tokens: int) -> None:
        """Replace the reservation by what was used."""
        self.reservations[reservation] = prompt_tokens + completion_tokens
