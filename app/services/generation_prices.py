"""What models cost: the setting ``model_prices`` on top of a small bundled table with its source and date.

A model without a price can be asked, but not under a limit in dollars: a limit that nobody can check is none. Prices
are decimals, read from their digits and never from a float's bits.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from decimal import Decimal
from importlib.resources import files

from app.settings import Settings
from corpora.errors import InvalidInputError
from generators.llm.settings import BATCH_PREFIX
from generators.ports import Price

__all__ = ["bundled_prices", "check_money_limit", "price_of", "prices_of"]

TABLE = "model_prices.toml"
#: How a model of another provider is named: ``langchain:<provider>:<model>``.
PREFIX = "langchain:"


def bundled_prices() -> dict[str, Price]:
    """The table that came with the service."""
    table = tomllib.loads(files(__package__).joinpath(TABLE).read_text(encoding="utf-8"))
    return {
        model: Price(prompt_usd=Decimal(prompt), completion_usd=Decimal(completion))
        for model, (prompt, completion) in table.items()
    }


def price_of(settings: Settings, model: str) -> Price | None:
    """The price of ``model``: the setting's, else the bundled one, else None.

    ``langchain:openai:gpt-4o`` is found under its whole name first, then as ``gpt-4o``. A batch counts at the full
    price, which providers halve: an upper bound.
    """
    model = model.removeprefix(BATCH_PREFIX)
    names = [model]
    if model.startswith(PREFIX):
        names.append(model.removeprefix(PREFIX).partition(":")[2])
    bundled = bundled_prices()
    for name in names:
        if name in settings.model_prices:
            prompt, completion = settings.model_prices[name]
            return Price(prompt_usd=prompt, completion_usd=completion)
        if name in bundled:
            return bundled[name]
    return None


def prices_of(settings: Settings, models: Iterable[str | None]) -> dict[str, Price]:
    """Prices of the models that are named and have one, by the name that claims carry: prefixes included."""
    found = {model: price_of(settings, model) for model in models if model is not None}
    return {model: price for model, price in found.items() if price is not None}


def check_money_limit(settings: Settings, limit: Decimal | None, models: Iterable[str | None]) -> None:
    """Refuse a limit in dollars that could not be kept.

    Args:
        settings: With the user's own prices.
        limit: The limit, or None for none.
        models: The models that the job will ask, its judge included; None is one that is not asked.

    Raises:
        InvalidInputError: one of the models has no price.
    """
    if limit is None:
        return
    for model in models:
        if model is not None and price_of(settings, model) is None:
            raise InvalidInputError(
                f"Model '{model}' has no price, so a limit in dollars could not be kept; give its prices per million "
                f'tokens in MALMOI_MODEL_PRICES={{"{model}": ["0.15", "0.60"]}} (prompt, completion; "0" for a model '
                "of your own), or limit requests or tokens.",
                param="budget.max_cost_usd",
                code="model_without_price",
            )
