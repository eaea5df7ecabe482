"""The four ports in memory: for tests and for runs that need not outlive their process."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal

from generators.budget import check_budget, cost_usd
from generators.ports import BatchRecord, Budget, Claim, Price, Reply, Settlement, SlotOutcome

__all__ = ["MemoryBatchLog", "MemoryLedger", "MemoryReplyCache", "MemorySink"]


class MemoryReplyCache:
    """Replies in a dictionary."""

    def __init__(self) -> None:
        self.replies: dict[tuple[int, str, str], Reply] = {}

    async def get(self, slot: int, step: str, request_hash: str) -> Reply | None:
        """The stored reply, or None."""
        return self.replies.get((slot, step, request_hash))

    async def put(self, slot: int, step: str, request_hash: str, reply: Reply) -> None:
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

    def __init__(self, budget: Budget | None = None, prices: Mapping[str, Price] | None = None) -> None:
        self.budget = budget or Budget()
        self.prices = dict(prices or {})
        self.claims: list[Claim] = []
        self.settlements: dict[int, Settlement] = {}
        self._tokens = 0
        self._cost = Decimal(0)

    async def reserve(self, claim: Claim) -> int:
        """Reserve one request."""
        tokens = claim.prompt_tokens + claim.completion_tokens
        cost = cost_usd(self.prices.get(claim.model), claim.prompt_tokens, claim.completion_tokens)
        check_budget(
            self.budget,
            requests=len(self.claims) + 1,
            tokens=self._tokens + tokens,
            claim=claim,
            cost=None if cost is None else self._cost + cost,
        )
        self._tokens += tokens
        self._cost += cost or 0
        self.claims.append(claim)
        return len(self.claims) - 1

    async def settle(self, reservation: int, settlement: Settlement) -> None:
        """Replace the reservation by what was used.

        Raises:
            ValueError: there is no such reservation, or it is settled.
        """
        if reservation in self.settlements or not 0 <= reservation < len(self.claims):
            raise ValueError(f"There is no unsettled reservation {reservation}.")
        claim = self.claims[reservation]
        price = self.prices.get(claim.model)
        self._tokens += settlement.prompt_tokens + settlement.completion_tokens
        self._tokens -= claim.prompt_tokens + claim.completion_tokens
        self._cost += cost_usd(price, settlement.prompt_tokens, settlement.completion_tokens) or 0
        self._cost -= cost_usd(price, claim.prompt_tokens, claim.completion_tokens) or 0
        self.settlements[reservation] = settlement


class MemoryBatchLog:
    """Batches in a dictionary."""

    def __init__(self) -> None:
        self.records: dict[str, BatchRecord] = {}

    async def uncollected(self) -> list[BatchRecord]:
        """Every record, oldest first."""
        return list(self.records.values())

    async def put(self, record: BatchRecord) -> None:
        """Store or replace a record."""
        self.records[record.token] = record

    async def remove(self, token: str) -> None:
        """Forget a record, if there is one."""
        self.records.pop(token, None)
