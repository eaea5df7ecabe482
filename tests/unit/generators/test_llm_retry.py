from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generators.llm.retry import Pauses, RetryPolicy, parse_retry_after


def test_waits_are_full_jitter_under_a_doubling_ceiling() -> None:
    policy = RetryPolicy(attempts=10, base_s=0.5, max_wait_s=3.0)
    assert [policy.wait_s(n, 1.0, None) for n in (1, 2, 3, 4, 5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert policy.wait_s(3, 0.0, None) == 0.0


def test_gives_up_after_the_last_attempt_and_on_a_long_retry_after() -> None:
    policy = RetryPolicy(attempts=3, max_retry_after_s=60.0)
    assert policy.wait_s(2, 0.5, None) is not None
    assert policy.wait_s(3, 0.5, None) is None
    assert policy.wait_s(1, 0.5, 61.0) is None


@given(
    failures=st.integers(1, 10**6),
    uniform=st.floats(0, 1, exclude_max=True),
    asked=st.none() | st.floats(0, 120),
)
def test_a_wait_is_bounded_and_never_shorter_than_asked(failures: int, uniform: float, asked: float | None) -> None:
    policy = RetryPolicy(attempts=10**9)
    wait = policy.wait_s(failures, uniform, asked)
    assert wait is not None
    assert (asked or 0.0) <= wait <= max(policy.max_wait_s, asked or 0.0)


@pytest.mark.parametrize(
    ("milliseconds", "seconds", "expected"),
    [
        (None, None, None),
        ("250", "9", 0.25),
        (None, "7", 7.0),
        ("soon", "2", 2.0),
        (None, "Wed, 21 Oct 2026 07:28:00 GMT", None),
        (None, "-1", None),
        (None, "nan", None),
        (None, "inf", None),
    ],
)
def test_retry_after_headers(milliseconds: str | None, seconds: str | None, expected: float | None) -> None:
    assert parse_retry_after(milliseconds, seconds) == expected


def test_a_hold_keeps_back_every_caller_and_never_shortens() -> None:
    now = 100.0
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += seconds

    pauses = Pauses(sleep=sleep, clock=lambda: now, uniform=lambda: 0.5)
    pauses.hold(5.0)
    pauses.hold(1.0)
    asyncio.run(pauses.pass_gate())
    assert slept == [5.0]
    asyncio.run(pauses.pass_gate())
    assert slept == [5.0]
