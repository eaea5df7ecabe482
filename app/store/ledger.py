"""A job's budget on SQL: every request is reserved durably before it is sent and settled after it.

What is spent is read once, at the first reservation of an attempt, and counted in memory from then on: the lease makes
this attempt the only one that spends, and the writer fences it in every transaction. A reservation that nobody settled
(its attempt died) counts as spent at its upper bound. Money is counted in picodollars, integers, so sums are exact.

Use::

    ledger = SqlLedger(writer, Budget(max_requests=2000), prices)
    number = await ledger.reserve(claim)
    await ledger.settle(number, settlement)
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from functools import partial
from typing import cast

from sqlalchemy import Table, bindparam, delete, func, insert, select, update

from app.store.group_commit import Batch, GroupWriter
from app.store.tables import ReservationRow
from generators.budget import check_budget, cost_usd
from generators.ports import Budget, Claim, Price, Settlement

__all__ = ["SqlLedger", "dollars"]

_TABLE = cast(Table, ReservationRow.__table__)
_THIS = (_TABLE.c.job_id == bindparam("of_job"), _TABLE.c.number == bindparam("of_number"))
_RESERVE = insert(_TABLE)
_SETTLE = update(_TABLE).where(*_THIS)
_WITHDRAW = delete(_TABLE).where(*_THIS)
_PRICE = update(_TABLE).where(*_THIS).values(cost=bindparam("cost"))


def dollars(picodollars: int) -> Decimal:
    """US dollars, exactly."""
    return Decimal(picodollars).scaleb(-12)


@dataclass(slots=True)
class _Open:
    """A reservation that is not settled."""

    model: str
    tokens: int
    cost: int | None


@dataclass(slots=True)
class _Spent:
    """What the job has spent or reserved."""

    requests: int
    last: int  #: Highest number given.
    tokens: int
    cost: int
    open: dict[int, _Open]


class SqlLedger:
    """One job attempt's budget; only one may write for the attempt, or their sums drift apart."""

    def __init__(self, writer: GroupWriter, budget: Budget, prices: Mapping[str, Price] | None = None) -> None:
        self._writer = writer
        self._budget = budget
        self._prices = dict(prices or {})
        # Touched by the writer's thread alone.
        self._spent: _Spent | None = None

    async def reserve(self, claim: Claim) -> int:
        """Reserve one request durably and return its number.

        Raises:
            BudgetExhaustedError: the budget does not cover it; nothing is reserved.
            LostLeaseError: another attempt has taken over; it alone may spend.
        """
        return await self._writer.run(partial(self._reserve, claim), self._withdraw)

    async def settle(self, reservation: int, settlement: Settlement) -> None:
        """Replace the reservation by what the request really used.

        Raises:
            LostLeaseError: another attempt has taken over.
            ValueError: there is no such reservation, or it is settled.
        """
        await self._writer.run(partial(self._settle, reservation, settlement))

    def _reserve(self, claim: Claim, batch: Batch) -> int:
        spent = self._spent or self._read(batch)
        tokens = claim.prompt_tokens + claim.completion_tokens
        cost = self._cost(claim.model, claim.prompt_tokens, claim.completion_tokens)
        check_budget(
            self._budget,
            requests=spent.requests + 1,
            tokens=spent.tokens + tokens,
            cost=None if cost is None else dollars(spent.cost + cost),
            claim=claim,
        )
        spent.requests += 1
        spent.last += 1
        spent.tokens += tokens
        spent.cost += cost or 0
        spent.open[spent.last] = _Open(claim.model, tokens, cost)
        row = {
            "job_id": self._writer.job_id,
            "number": spent.last,
            "attempt": self._writer.attempt,
            "slot": claim.slot,
            "step": claim.step,
            "model": claim.model,
            "prompt_tokens": claim.prompt_tokens,
            "completion_tokens": claim.completion_tokens,
            "cost": cost,
            "outcome": None,
            "latency": None,
            "created_at": time.time(),
            "settled_at": None,
        }
        batch.add(_RESERVE, row)
        return spent.last

    def _settle(self, number: int, settlement: Settlement, batch: Batch) -> None:
        spent = self._spent or self._read(batch)
        reserved = self._release(spent, number)
        cost = self._cost(reserved.model, settlement.prompt_tokens, settlement.completion_tokens)
        spent.tokens += settlement.prompt_tokens + settlement.completion_tokens
        spent.cost += cost or 0
        row = {
            **self._key(number),
            "prompt_tokens": settlement.prompt_tokens,
            "completion_tokens": settlement.completion_tokens,
            "cost": cost,
            "outcome": settlement.outcome,
            "latency": settlement.latency_s,
            "settled_at": time.time(),
        }
        batch.add(_SETTLE, row)

    def _withdraw(self, batch: Batch, number: int) -> None:
        """Take a reservation back whose caller was cancelled before it could send anything."""
        spent = self._spent or self._read(batch)
        self._release(spent, number)
        spent.requests -= 1
        batch.add(_WITHDRAW, self._key(number))

    def _key(self, number: int) -> dict[str, str | int]:
        return {"of_job": self._writer.job_id, "of_number": number}

    @staticmethod
    def _release(spent: _Spent, number: int) -> _Open:
        reserved = spent.open.pop(number, None)
        if reserved is None:
            raise ValueError(f"There is no unsettled reservation {number}.")
        spent.tokens -= reserved.tokens
        spent.cost -= reserved.cost or 0
        return reserved

    def _cost(self, model: str, prompt_tokens: int, completion_tokens: int) -> int | None:
        """Picodollars, rounded up where a price has more than six decimals; None where the model has no price."""
        cost = cost_usd(self._prices.get(model), prompt_tokens, completion_tokens)
        return None if cost is None else int(cost.scaleb(12).to_integral_value(ROUND_CEILING))

    def _read(self, batch: Batch) -> _Spent:
        """What earlier attempts left; requests that had no price are given the one that their model has now."""
        mine = _TABLE.c.job_id == self._writer.job_id
        self._price_earlier(batch)
        requests, last, tokens, cost = batch.session.execute(
            select(
                func.count(),
                func.max(_TABLE.c.number),
                func.sum(_TABLE.c.prompt_tokens + _TABLE.c.completion_tokens),
                func.sum(_TABLE.c.cost),
            ).where(mine)
        ).one()
        columns = (_TABLE.c.number, _TABLE.c.model, _TABLE.c.prompt_tokens, _TABLE.c.completion_tokens, _TABLE.c.cost)
        rows = batch.session.execute(select(*columns).where(mine, _TABLE.c.settled_at.is_(None)))
        self._spent = _Spent(
            requests=requests,
            last=last or 0,
            tokens=int(tokens or 0),
            cost=int(cost or 0),
            open={number: _Open(model, prompt + completion, paid) for number, model, prompt, completion, paid in rows},
        )
        return self._spent

    def _price_earlier(self, batch: Batch) -> None:
        columns = (_TABLE.c.number, _TABLE.c.model, _TABLE.c.prompt_tokens, _TABLE.c.completion_tokens)
        unpriced = batch.session.execute(
            select(*columns).where(
                _TABLE.c.job_id == self._writer.job_id, _TABLE.c.cost.is_(None), _TABLE.c.model.in_(self._prices)
            )
        )
        rows = [
            {**self._key(number), "cost": self._cost(model, prompt, completion)}
            for number, model, prompt, completion in unpriced
        ]
        if rows:
            batch.session.execute(_PRICE, rows)
