"""A ledger that tells "used up" from "reserved by others just now".

A reservation is an upper bound and mostly several times what a request then costs. With many requests on the wire a
budget looks used up long before it is; whoever is refused meanwhile waits until one of them is settled and asks again.
Only where nothing is on the wire any more, or where settling frees nothing, is the budget exhausted. Knows no requests.

Use::

    ledger = PatientLedger(SqlLedger(writer, budget, prices))     # one for all clients of a job
    number = await ledger.reserve_when_free(claim)
    await ledger.settle(number, settlement)                       # or, where that will never be: ledger.let_go(number)
"""

from __future__ import annotations

import asyncio

from generators.ports import BudgetExhaustedError, Claim, Ledger, Settlement

__all__ = ["PatientLedger"]


class PatientLedger:
    """Another ledger, with the reservations of this process counted; for one event loop."""

    def __init__(self, inner: Ledger) -> None:
        self._inner = inner
        self._open: set[int] = set()
        self._freed = asyncio.Event()

    async def reserve(self, claim: Claim) -> int:
        """Reserve at once or not at all, as a batch must, whose lines free nothing before the last is reserved.

        Raises:
            BudgetExhaustedError: the budget does not cover it beside what is reserved.
        """
        number = await self._inner.reserve(claim)
        self._open.add(number)
        return number

    async def reserve_when_free(self, claim: Claim) -> int:
        """Reserve, waiting for requests on the wire where only their upper bounds stand in the way.

        Raises:
            BudgetExhaustedError: the budget does not cover it.
        """
        while True:
            freed = self._freed
            try:
                return await self.reserve(claim)
            except BudgetExhaustedError as exc:
                # Whether something was settled while the ledger answered shows in the event, taken before.
                if not exc.reserved_counts or (not self._open and freed is self._freed):
                    raise
            await freed.wait()

    async def settle(self, reservation: int, settlement: Settlement) -> None:
        """Replace the reservation by what the request really used, and wake those who wait."""
        try:
            await self._inner.settle(reservation, settlement)
        finally:
            self.let_go(reservation)

    def let_go(self, reservation: int) -> None:
        """Wait for this reservation no more: it is settled, or nobody will settle it and it stays at its bound."""
        if reservation in self._open:
            self._open.remove(reservation)
            self._freed.set()
            self._freed = asyncio.Event()
