from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.llm.circuit import Circuit
from generators.llm.errors import KeyRefusedError
from generators.llm.rates import RateHints, Window, parse_duration, parse_retry_after, read_hints
from generators.llm.retry import RetryBudget, RetryPolicy
from tests.unit.generators.virtual_time import clock, play, virtual_timing


def test_waits_are_full_jitter_under_a_doubling_ceiling() -> None:
    policy = RetryPolicy(base_s=0.5, max_wait_s=3.0)
    assert [policy.wait_s(n, 1.0) for n in (1, 2, 3, 4, 5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert policy.wait_s(3, 0.0) == 0.0


@given(failures=st.integers(1, 10**6), uniform=st.floats(0, 1, exclude_max=True))
def test_a_wait_is_bounded(failures: int, uniform: float) -> None:
    policy = RetryPolicy()
    assert 0.0 <= policy.wait_s(failures, uniform) <= policy.max_wait_s


@given(callers=st.integers(1, 200), seconds=st.integers(1, 300))
@settings(max_examples=20, deadline=None)
def test_an_outage_is_answered_with_a_trickle(callers: int, seconds: int) -> None:
    async def scene() -> int:
        budget = RetryBudget(per_second=1.0, reserve=16.0, timing=virtual_timing())
        sent = 0

        async def caller() -> None:
            nonlocal sent
            while clock() < seconds:
                await budget.spend()
                sent += 1

        await asyncio.gather(*(caller() for _ in range(callers)))
        return sent

    # Those who were waiting when it ended still get their turn.
    assert play(scene()) <= 16 + seconds + callers + 1


def test_successes_pay_for_retries_and_an_endpoint_that_is_back_is_caught_up_with_fast() -> None:
    async def scene() -> float:
        budget = RetryBudget(per_second=1.0, reserve=256.0, timing=virtual_timing())
        for _ in range(256):
            await budget.spend()
        start = clock()

        async def caller() -> None:
            await budget.spend()
            await asyncio.sleep(1.0)
            budget.earn(retried=True)

        await asyncio.gather(*(caller() for _ in range(256)))
        return clock() - start

    # At one a second it would take 256 s.
    assert play(scene()) < 30.0


def test_a_share_of_first_attempts_pays() -> None:
    async def scene() -> float:
        budget = RetryBudget(share=0.2, per_second=0.001, reserve=10.0, timing=virtual_timing())
        for _ in range(10):
            await budget.spend()
        for _ in range(5):
            budget.earn(retried=False)
        start = clock()
        await budget.spend()
        return clock() - start

    assert play(scene()) == 0.0


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 80.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "Wed, 21 Oct 2026 07:27:30 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:20:00 GMT"}, 0.0),
        ({"retry-after": "내일"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
    ],
)
def test_retry_after_headers(headers: dict[str, str], expected: float | None) -> None:
    # 80 s before 2026-10-21 07:28:00 UTC.
    assert parse_retry_after(headers, 1_792_567_600.0) == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("6m0s", 360.0), ("1.5s", 1.5), ("20ms", 0.02), ("1d2h", 93_600.0), ("12", 12.0)]
    + [(text, None) for text in ("", "soon", "3x", "s", "-1", "nan", "1s!")],
)
def test_durations_of_reset_headers(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds


def test_rate_headers_as_openai_sends_them() -> None:
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    assert read_hints(headers) == RateHints(
        requests=Window(limit=60, remaining=59, reset_s=1.0),
        tokens=Window(limit=150_000, remaining=149_984, reset_s=360.0),
    )
    assert read_hints({}) is None
    assert read_hints({"x-ratelimit-limit-requests": "-1", "x-ratelimit-limit-tokens": "many"}) is None


def test_a_used_up_window_says_how_long_to_wait_at_most_a_minute() -> None:
    used = Window(limit=10, remaining=0, reset_s=12.0)
    assert RateHints(requests=used).wait_s() == 12.0
    assert RateHints(requests=used, tokens=Window(limit=10, remaining=0, reset_s=900.0)).wait_s() == 60.0
    assert RateHints(requests=Window(limit=10, remaining=1, reset_s=12.0)).wait_s() is None


def test_an_endpoint_is_down_after_ten_minutes_without_a_success_while_requests_fail() -> None:
    circuit = Circuit(down_after_s=600.0)
    assert not circuit.is_down(10_000.0)
    circuit.failed(100.0)
    circuit.failed(650.0)
    assert circuit.state != "closed"
    assert not circuit.is_down(699.0)
    assert circuit.is_down(700.0)
    circuit.succeeded(701.0)
    assert not circuit.is_down(702.0)
    assert not circuit.is_down(5_000.0)
    assert circuit.answered_since(701.0)
    assert not circuit.answered_since(702.0)


def test_a_refused_key_opens_the_circuit_for_good() -> None:
    circuit = Circuit(down_after_s=600.0)
    first = KeyRefusedError("no")
    circuit.open(first)
    circuit.open(KeyRefusedError("again"))
    circuit.succeeded(1.0)
    assert circuit.state == "open"
    assert circuit.opened is first
