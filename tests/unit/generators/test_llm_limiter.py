from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.llm.limiter import Ending, Limiter, Permit
from generators.llm.rates import Bucket, RateHints, Window
from tests.unit.generators.virtual_time import clock, play, virtual_timing

OK = Ending(ok=True)


@dataclass
class Log:
    """What left, when, and how many were out at once."""

    sent: list[tuple[float, int, float]] = field(default_factory=list)
    most: int = 0


async def run_requests(
    limiter: Limiter, requests: list[tuple[float, float, float, Ending]], log: Log, cancel: frozenset[int] = frozenset()
) -> None:
    """Requests of (start, seconds on the wire, tokens, ending); those in ``cancel`` are cancelled half a second in."""

    async def one(number: int, start: float, seconds: float, tokens: float, ending: Ending) -> None:
        await asyncio.sleep(start)
        permit = await limiter.acquire(tokens)
        try:
            log.sent.append((clock(), number, tokens))
            log.most = max(log.most, limiter.in_flight)
            assert limiter.in_flight <= limiter.ceiling
            await asyncio.sleep(seconds)
        finally:
            limiter.release(permit, ending)

    tasks = [asyncio.create_task(one(number, *request)) for number, request in enumerate(requests)]
    for number in cancel:
        asyncio.get_running_loop().call_later(requests[number][0] + 0.5, tasks[number].cancel)
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task


endings = st.sampled_from(
    [OK, Ending(), Ending(overload=True), Ending(overload=True, retry_after_s=7.0), Ending(ok=True, used_tokens=3.0)]
)
requests = st.lists(
    st.tuples(st.floats(0, 30), st.floats(0.01, 20), st.floats(0, 500), endings), min_size=1, max_size=60
)


@given(
    requests=requests,
    ceiling=st.integers(1, 20),
    rpm=st.none() | st.integers(5, 200),
    tpm=st.none() | st.integers(50, 5_000),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_everybody_gets_a_turn_and_every_permit_comes_back(
    requests: list[tuple[float, float, float, Ending]],
    ceiling: int,
    rpm: int | None,
    tpm: int | None,
    data: st.DataObject,
) -> None:
    cancel = data.draw(st.frozensets(st.integers(0, len(requests) - 1)))

    async def scene() -> None:
        limiter = Limiter(ceiling=ceiling, requests_per_minute=rpm, tokens_per_minute=tpm, timing=virtual_timing())
        log = Log()
        await run_requests(limiter, requests, log, cancel)
        assert limiter.in_flight == 0
        assert limiter.waiting == 0
        assert log.most <= ceiling
        assert {number for _, number, _ in log.sent} >= set(range(len(requests))) - cancel

    play(scene())


@given(amount=st.integers(1, 300), arrivals=st.lists(st.floats(0, 300), min_size=1, max_size=400))
@settings(max_examples=60, deadline=None)
def test_no_minute_holds_more_requests_than_the_limit(amount: int, arrivals: list[float]) -> None:
    async def scene() -> Log:
        limiter = Limiter(ceiling=1000, requests_per_minute=amount, timing=virtual_timing())
        log = Log()
        await run_requests(limiter, [(at, 0.01, 0.0, OK) for at in arrivals], log)
        return log

    times = [at for at, _, _ in play(scene()).sent]
    for index, start in enumerate(times):
        # The slack of a microsecond is the bucket's own for sums of floats.
        assert sum(start <= at < start + 60.0 - 1e-3 for at in times[index:]) <= amount


@given(
    amount=st.integers(100, 5_000),
    sizes=st.lists(st.floats(1, 400), min_size=1, max_size=120),
)
@settings(max_examples=60, deadline=None)
def test_no_minute_holds_more_tokens_than_the_limit_and_one_request(amount: int, sizes: list[float]) -> None:
    async def scene() -> Log:
        limiter = Limiter(ceiling=1000, tokens_per_minute=amount, timing=virtual_timing())
        log = Log()
        await run_requests(limiter, [(0.0, 0.01, size, OK) for size in sizes], log)
        return log

    sent = play(scene()).sent
    assert len(sent) == len(sizes)
    for index, (start, _, _) in enumerate(sent):
        inside = [tokens for at, _, tokens in sent[index:] if at < start + 60.0 - 1e-3]
        assert sum(inside) <= amount + max(inside) + 1e-3


@given(count=st.integers(1, 80), ceiling=st.integers(1, 10), rpm=st.none() | st.integers(10, 200))
@settings(max_examples=40, deadline=None)
def test_first_come_is_first_served(count: int, ceiling: int, rpm: int | None) -> None:
    async def scene() -> Log:
        limiter = Limiter(ceiling=ceiling, requests_per_minute=rpm, timing=virtual_timing())
        log = Log()
        await run_requests(limiter, [(0.0, 1.0, 0.0, OK)] * count, log)
        return log

    assert [number for _, number, _ in play(scene()).sent] == list(range(count))


def test_one_burst_of_refusals_halves_once_and_a_later_one_again() -> None:
    async def scene() -> None:
        limiter = Limiter(ceiling=64, timing=virtual_timing())
        first = [await limiter.acquire() for _ in range(64)]
        for permit in first:
            limiter.release(permit, Ending(overload=True))
        assert limiter.limit == 32
        second = [await limiter.acquire() for _ in range(32)]
        for permit in second:
            limiter.release(permit, Ending(overload=True))
        assert limiter.limit == 16

    play(scene())


def test_a_halving_counts_from_what_was_really_out() -> None:
    async def scene() -> None:
        limiter = Limiter(ceiling=256, timing=virtual_timing())
        permits = [await limiter.acquire() for _ in range(10)]
        limiter.release(permits[0], Ending(overload=True))
        assert limiter.limit == 5

    play(scene())


@given(ceiling=st.integers(1, 300))
@settings(deadline=None, max_examples=30)
def test_the_limit_falls_to_one_at_least_and_comes_back_to_the_ceiling(ceiling: int) -> None:
    async def scene() -> None:
        limiter = Limiter(ceiling=ceiling, timing=virtual_timing())
        for _ in range(12):
            limiter.release(await limiter.acquire(), Ending(overload=True))
        assert limiter.limit == 1
        waves = 0
        while limiter.limit < ceiling:
            for permit in [await limiter.acquire() for _ in range(limiter.limit)]:
                limiter.release(permit, OK)
            waves += 1
        assert waves <= 40

    play(scene())


def test_idle_successes_do_not_raise_the_limit() -> None:
    async def scene() -> None:
        limiter = Limiter(ceiling=64, timing=virtual_timing())
        for permit in [await limiter.acquire() for _ in range(64)]:
            limiter.release(permit, Ending(overload=True))
        for _ in range(500):
            limiter.release(await limiter.acquire(), OK)
        assert limiter.limit == 32

    play(scene())


def test_a_retry_after_holds_everybody_and_is_never_shortened() -> None:
    async def scene() -> Log:
        limiter = Limiter(ceiling=8, timing=virtual_timing())
        one, two = await limiter.acquire(), await limiter.acquire()
        limiter.release(one, Ending(overload=True, retry_after_s=30.0))
        limiter.release(two, Ending(overload=True, retry_after_s=5.0))
        log = Log()
        await run_requests(limiter, [(0.0, 1.0, 0.0, OK)] * 4, log)
        return log

    assert min(at for at, _, _ in play(scene()).sent) == pytest.approx(30.0)


def test_a_cancelled_head_lets_the_next_one_through() -> None:
    async def scene() -> float:
        limiter = Limiter(ceiling=8, tokens_per_minute=1000, timing=virtual_timing())
        limiter.release(await limiter.acquire(1000.0), Ending())
        big = asyncio.create_task(limiter.acquire(5000.0))
        small = asyncio.create_task(limiter.acquire(1.0))
        await asyncio.sleep(0)
        big.cancel()
        await small
        return clock()

    assert play(scene()) < 65.0


def test_a_grant_in_the_moment_of_cancellation_is_passed_on() -> None:
    async def scene() -> None:
        limiter = Limiter(ceiling=1, timing=virtual_timing())
        out = await limiter.acquire()
        first, second = (asyncio.create_task(limiter.acquire()) for _ in range(2))
        await asyncio.sleep(0)
        limiter.release(out, OK)  # Grants the first, whose task has not run yet.
        first.cancel()
        assert isinstance(await second, Permit)
        assert limiter.in_flight == 1

    play(scene())


def test_a_permit_counts_once_however_often_it_is_given_back() -> None:
    async def scene() -> None:
        limiter = Limiter(ceiling=2, timing=virtual_timing())
        permit, _ = await limiter.acquire(), await limiter.acquire()
        limiter.release(permit, OK)
        limiter.release(permit, OK)
        assert limiter.in_flight == 1

    play(scene())


def test_tokens_that_were_not_used_are_given_back() -> None:
    async def scene() -> float:
        limiter = Limiter(ceiling=1, tokens_per_minute=6000, timing=virtual_timing())
        for _ in range(100):
            limiter.release(await limiter.acquire(6000.0), Ending(ok=True, used_tokens=3.0))
        return clock()

    # At the upper bounds it would take 100 minutes; 300 tokens used are 3 s of 6,000 a minute.
    assert play(scene()) < 5.0


def test_limits_are_learnt_from_an_answer_and_never_above_the_settings() -> None:
    async def scene(setting: float | None) -> float:
        limiter = Limiter(ceiling=500, requests_per_minute=setting, timing=virtual_timing())
        hints = RateHints(requests=Window(limit=60, remaining=59, reset_s=1.0))
        limiter.release(await limiter.acquire(), Ending(ok=True, hints=hints))
        await run_requests(limiter, [(0.0, 0.01, 0.0, OK)] * 61, Log())
        return clock()

    assert play(scene(None)) == pytest.approx(60.0, abs=6.0)
    assert play(scene(30.0)) == pytest.approx(120.0, abs=6.0)
    assert play(scene(600.0)) == pytest.approx(60.0, abs=6.0)


def test_what_the_endpoint_has_left_counts_more_than_our_own_sum() -> None:
    bucket = Bucket(None, now=0.0, whole_units=True)
    assert bucket.wait_s(1.0, 0.0) == 0.0
    bucket.learn(Window(limit=600, remaining=0, reset_s=12.0), 0.0)
    assert 0.0 < bucket.wait_s(1.0, 0.0) < 1.0


def test_a_limit_by_the_day_is_recognised_by_its_reset() -> None:
    # 200 a day, one used: whole again after 7 min 12 s.
    assert Window(limit=200, remaining=199, reset_s=432.0).period_s == pytest.approx(86_400.0)
    assert Window(limit=200, remaining=199, reset_s=0.3).period_s == 60.0


@given(rpm=st.integers(4, 240), jobs=st.integers(2, 4), ceiling=st.integers(1, 64))
@settings(max_examples=20, deadline=None)
def test_jobs_that_share_an_endpoint_keep_its_minute_together(rpm: int, jobs: int, ceiling: int) -> None:
    """Each job's limiter lives in a process of its own and knows of the others by their number alone."""

    async def scene() -> None:
        limiters = [Limiter(ceiling=ceiling, requests_per_minute=rpm, timing=virtual_timing()) for _ in range(jobs)]
        for limiter in limiters:
            limiter.share(jobs)
            assert limiter.ceiling == max(1, ceiling // jobs)
        logs = [Log() for _ in limiters]
        wanted = [(0.0, 0.01, 0.0, OK)] * rpm
        await asyncio.gather(*(run_requests(one, wanted, log) for one, log in zip(limiters, logs, strict=True)))
        sent = sorted(at for log in logs for at, _, _ in log.sent)
        assert len(sent) == jobs * rpm
        for start in sent:
            # A first request of a minute costs no wait, in each of the jobs.
            assert sum(start <= at < start + 60 for at in sent) <= rpm + jobs
        limiters[0].share(1)
        assert limiters[0].ceiling == ceiling

    play(scene())
