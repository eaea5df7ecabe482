"""What models cost: bundled, overridden, by decimal digits; a limit in dollars that cannot be kept is refused."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.services.context import worker_config
from app.services.generation import BudgetRequest
from app.services.generation_prices import bundled_prices, check_money_limit, price_of, prices_of
from app.settings import Settings, explain_settings, load_settings
from app.store.ledger import dollars
from corpora.errors import InvalidInputError
from generators.ports import Price


def environment(table: Any) -> dict[str, str]:
    return {"MALMOI_MODEL_PRICES": table if isinstance(table, str) else json.dumps(table)}


def test_bundled_prices_are_usable() -> None:
    for model, price in bundled_prices().items():
        checked = Settings(model_prices={model: (price.prompt_usd, price.completion_usd)})
        assert 0 < price.prompt_usd < price.completion_usd
        assert price_of(checked, model) == price


def test_the_setting_comes_before_the_table(tmp_path: Path) -> None:
    settings = load_settings(
        environ=environment({"gpt-4o-mini": ["0.1", "0.2"], "우리-모델": ["0", 0], "langchain:x:y": ["1", "2"]})
    )
    assert price_of(settings, "gpt-4o-mini") == Price(prompt_usd=Decimal("0.1"), completion_usd=Decimal("0.2"))
    assert price_of(settings, "우리-모델") == Price(prompt_usd=Decimal(0), completion_usd=Decimal(0))
    assert price_of(settings, "gpt-4o") == bundled_prices()["gpt-4o"]
    assert price_of(settings, "langchain:openai:gpt-4o") == bundled_prices()["gpt-4o"]
    assert price_of(settings, "langchain:x:y") == Price(prompt_usd=Decimal(1), completion_usd=Decimal(2))
    assert price_of(settings, "langchain:x:z") is None
    assert set(prices_of(settings, ["gpt-4o", None, "z"])) == {"gpt-4o"}
    config = tmp_path / "malmoi.toml"
    config.write_text('[model_prices]\n"gpt-4o-mini" = ["0.11", 0.7]\n', encoding="utf-8")
    from_file = load_settings(environ={}, config=config)
    assert from_file.model_prices == {"gpt-4o-mini": (Decimal("0.11"), Decimal("0.7"))}


def test_a_worker_gets_the_same_prices() -> None:
    settings = load_settings(environ=environment('{"m": [0.1, "0.000001"]}'))
    assert Settings.model_validate(worker_config(settings)["settings"]).model_prices == settings.model_prices
    shown = {line.name: line.value for line in explain_settings(environ=environment('{"m": [0.1, "0.000001"]}'))}
    assert shown["MODEL_PRICES"] == '{"m": ["0.1", "0.000001"]}'


@pytest.mark.parametrize(
    "table",
    [
        "m=0.1",
        "[1, 2]",
        {"m": "0.1"},
        {"m": ["0.1"]},
        {"m": ["0.1", "0.2", "0.3"]},
        {"m": ["-0.1", "0"]},
        {"m": ["0.0000001", "0"]},
        {"m": ["NaN", "0"]},
        {"m": ["Infinity", "0"]},
        {"m": ["100001", "0"]},
        {"m": ["싸다", "0"]},
    ],
)
def test_prices_that_are_none_are_refused(table: Any) -> None:
    with pytest.raises(InvalidInputError, match="MODEL_PRICES"):
        load_settings(environ=environment(table))


def test_a_limit_in_dollars_needs_the_price_of_every_model_asked() -> None:
    settings = Settings(model_prices={"m": (Decimal("0.1"), Decimal("0.2"))})
    check_money_limit(settings, None, ["nobody knows"])
    check_money_limit(settings, Decimal(1), ["m", None])
    check_money_limit(settings, Decimal(1), [None, None])
    for models in (["nobody knows", None], ["m", "nobody knows"]):
        with pytest.raises(InvalidInputError, match="'nobody knows' has no price") as caught:
            check_money_limit(settings, Decimal(1), models)
        assert caught.value.param == "budget.max_cost_usd"
        assert "MALMOI_MODEL_PRICES" in caught.value.message


@pytest.mark.parametrize(
    ("sent", "exact"),
    [
        ("5.0", "5"),
        ("0.0005", "0.0005"),
        ("0.1", "0.1"),
        ("1e-9", "0.000000001"),
        ("999999.999999999", "999999.999999999"),
        ("123456.123456789", "123456.123456789"),
        ('"0.3"', "0.3"),
        ("0", "0"),
    ],
)
def test_a_limit_is_its_decimal_digits(sent: str, exact: str) -> None:
    """Read as a route reads a body, and kept as a job row keeps it."""
    request = BudgetRequest.model_validate(json.loads(f'{{"max_cost_usd": {sent}}}'))
    assert request.max_cost_usd == Decimal(exact)
    stored = json.loads(json.dumps(request.model_dump(mode="json")))
    assert BudgetRequest.model_validate(stored).max_cost_usd == Decimal(exact)


@given(st.decimals(0, "999999.999999999", places=9))
def test_no_limit_changes_on_its_way(limit: Decimal) -> None:
    request = BudgetRequest.model_validate(json.loads(f'{{"max_cost_usd": {limit}}}'))
    assert request.max_cost_usd == limit


@pytest.mark.parametrize("sent", ["-0.1", "NaN", "Infinity", "1e6", "0.0000000001", "true", '"많이"', "[1]"])
def test_limits_that_are_none_are_refused(sent: str) -> None:
    with pytest.raises(ValidationError):
        BudgetRequest.model_validate(json.loads(f'{{"max_cost_usd": {sent}}}'))


@given(st.lists(st.integers(0, 10**15), max_size=50))
def test_picodollars_add_up_exactly(parts: list[int]) -> None:
    assert sum((dollars(part) for part in parts), Decimal(0)) == dollars(sum(parts))
