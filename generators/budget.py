"""The arithmetic of a budget, shared by every ledger: what a request costs, and whether the limits cover it.

Pure; knows no store. Money is ``Decimal`` US dollars, never a float, so that sums of many small prices stay exact.
"""

from __future__ import annotations

from decimal import Decimal

from generators.ports import Budget, BudgetExhaustedError, Claim, Price

__all__ = ["check_budget", "cost_usd"]

_MILLION = Decimal(1_000_000)


def cost_usd(price: Price | None, prompt_tokens: int, completion_tokens: int) -> Decimal | None:
    """US dollars of so many tokens; None where the model has no price."""
    if price is None:
        return None
    return (price.prompt_usd * prompt_tokens + price.completion_usd * completion_tokens) / _MILLION


def check_budget(budget: Budget, *, requests: int, tokens: int, cost: Decimal | None, claim: Claim) -> None:
    """Refuse what would exceed a limit.

    Args:
        budget: The limits.
        requests: Requests sent so far, this one included.
        tokens: Tokens spent or reserved so far, this request's upper bound included.
        cost: US dollars spent or reserved so far, this request's upper bound included; None where no price is known.
        claim: The request, for the message.

    Raises:
        BudgetExhaustedError: a limit does not cover the request.
    """
    if budget.max_requests is not None and requests > budget.max_requests:
        raise BudgetExhaustedError(f"The budget of {budget.max_requests} requests is used up.")
    if budget.max_tokens is not None and tokens > budget.max_tokens:
        wanted = claim.prompt_tokens + claim.completion_tokens
        message = f"The budget of {budget.max_tokens} tokens does not cover another request of up to {wanted}."
        raise _beside_reserved(message)
    if budget.max_cost_usd is None:
        return
    if cost is None:
        raise BudgetExhaustedError(f"Model '{claim.model}' has no price, so a budget in dollars does not cover it.")
    if cost > budget.max_cost_usd:
        raise _beside_reserved(f"The budget of ${budget.max_cost_usd} does not cover another request.")


def _beside_reserved(message: str) -> BudgetExhaustedError:
    error = BudgetExhaustedError(message)
    error.reserved_counts = True
    return error
