"""Ledger and replies on SQL: hundreds of writes in few transactions, a budget nobody exceeds, a fence, a kill."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import event

from app.store.database import Store
from app.store.group_commit import GroupWriter
from app.store.jobs import JobStore, LostLeaseError
from app.store.ledger import SqlLedger
from app.store.queries import count, listed
from app.store.replies import SqlReplyCache
from app.store.tables import ReplyRow, ReservationRow
from app.store.usage import in_flight, recent_latency, request_totals
from generators.memory import MemoryLedger
from generators.ports import Budget, BudgetExhaustedError, Claim, Ledger, Price, Reply, Settlement
from tests.integration.conftest import OpenStore

T = TypeVar("T")
REPLY = Reply(text="네, 알겠습니다. 🙂", finish_reason="stop", model="m", prompt_tokens=1, completion_tokens=2)
PRICE = Price(prompt_usd=Decimal("0.15"), completion_usd=Decimal("0.60"))
IN_FLIGHT = 256


@pytest.fixture
def job_id(store: Store) -> str:
    """A running job, in its first attempt."""
    jobs = JobStore(store)
    jobs.submit("generate", {})
    row = jobs.claim("a", ["generate"])
    assert row is not None
    return row.id


def written(store: Store, job_id: str, work: Callable[[GroupWriter], Awaitable[T]], attempt: int = 1) -> T:
    """Run ``work`` with a writer, as a job does."""

    async def run() -> T:
        return await work(writer)

    with contextlib.closing(GroupWriter(store, job_id, attempt)) as writer:
        return asyncio.run(run())


def claim(slot: int = 0, prompt: int = 60, completion: int = 40, model: str = "m") -> Claim:
    return Claim(slot=slot, step="qa", model=model, prompt_tokens=prompt, completion_tokens=completion)


def used(prompt: int = 40, completion: int = 10, outcome: str = "ok", latency: float = 1.5) -> Settlement:
    return Settlement(prompt_tokens=prompt, completion_tokens=completion, outcome=outcome, latency_s=latency)


@contextlib.contextmanager
def counted_commits(store: Store) -> Iterator[list[int]]:
    """How many transactions the block commits."""
    commits = [0]

    def on_commit(_connection: object) -> None:
        commits[0] += 1

    event.listen(store.engine, "commit", on_commit)
    yield commits
    event.remove(store.engine, "commit", on_commit)


def rows(store: Store, job_id: str) -> list[ReservationRow]:
    with store.read() as session:
        mine = ReservationRow.job_id == job_id
        return listed(session, ReservationRow, mine, order_by=ReservationRow.number)


def test_hundreds_in_flight_share_transactions(store: Store, job_id: str) -> None:
    async def work(writer: GroupWriter) -> None:
        ledger, cache = SqlLedger(writer, Budget()), SqlReplyCache(writer)

        async def request(slot: int) -> None:
            number = await ledger.reserve(claim(slot))
            await ledger.settle(number, used())
            await cache.put(slot, "qa", "h", REPLY)

        await asyncio.gather(*(request(slot) for slot in range(2 * IN_FLIGHT)))

    with counted_commits(store) as commits:
        written(store, job_id, work)
    assert commits[0] < 2 * IN_FLIGHT / 8  # of three times as many writes
    with store.read() as session:
        totals = request_totals(session, job_id)
        assert count(session, ReplyRow) == 2 * IN_FLIGHT
    assert totals.by_outcome == {"ok": 2 * IN_FLIGHT}
    assert (totals.prompt_tokens, totals.completion_tokens) == (40 * 2 * IN_FLIGHT, 10 * 2 * IN_FLIGHT)
    assert sorted(row.slot for row in rows(store, job_id)) == list(range(2 * IN_FLIGHT))


def test_everything_about_a_request_is_stored(store: Store, job_id: str) -> None:
    async def work(writer: GroupWriter) -> None:
        ledger = SqlLedger(writer, Budget(), {"m": PRICE})
        await ledger.settle(await ledger.reserve(claim(7)), used(outcome="http_429", latency=0.25))
        await ledger.reserve(claim(8))

    written(store, job_id, work)
    settled, opened = rows(store, job_id)
    assert (settled.slot, settled.step, settled.model, settled.attempt) == (7, "qa", "m", 1)
    assert (settled.outcome, settled.latency) == ("http_429", 0.25)
    assert (settled.prompt_tokens, settled.completion_tokens) == (40, 10)
    assert settled.cost == 40 * 150_000 + 10 * 600_000  # picodollars
    assert settled.settled_at is not None
    assert settled.settled_at >= settled.created_at > 0
    assert (opened.outcome, opened.latency, opened.settled_at) == (None, None, None)
    assert (opened.prompt_tokens, opened.completion_tokens) == (60, 40)
    assert opened.cost == 60 * 150_000 + 40 * 600_000


@pytest.mark.parametrize(
    "budget",
    [
        Budget(max_requests=300),
        Budget(max_tokens=20_000),
        Budget(max_cost_usd=Decimal("0.005")),
        Budget(max_requests=310, max_tokens=21_000, max_cost_usd=Decimal("0.0049")),
    ],
)
def test_a_budget_is_never_exceeded_at_any_concurrency(store: Store, job_id: str, budget: Budget) -> None:
    """Not by one request, not at one moment: what is stored, upper bounds included, is within it after every commit."""
    seen: list[tuple[int, int, int]] = []

    def look() -> None:
        with store.read() as session:
            totals = request_totals(session, job_id)
        tokens = totals.prompt_tokens + totals.completion_tokens
        seen.append((totals.requests, tokens, int((totals.cost_usd or Decimal(0)).scaleb(12))))

    async def work(writer: GroupWriter) -> int:
        ledger, draw = SqlLedger(writer, budget, {"m": PRICE}), random.Random(7)
        refused = 0

        async def request(slot: int) -> None:
            nonlocal refused
            bound = claim(slot, draw.randint(1, 120), draw.randint(1, 80))
            try:
                number = await ledger.reserve(bound)
            except BudgetExhaustedError:
                refused += 1
                return
            await asyncio.sleep(draw.random() / 100)
            await ledger.settle(number, used(draw.randint(0, bound.prompt_tokens), draw.randint(0, 1)))

        async def watch() -> None:
            while True:
                await asyncio.to_thread(look)
                await asyncio.sleep(0)

        watching = asyncio.create_task(watch())
        for first in range(0, 4 * IN_FLIGHT, IN_FLIGHT):
            await asyncio.gather(*(request(slot) for slot in range(first, first + IN_FLIGHT)))
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        return refused

    refused = written(store, job_id, work)
    look()
    assert refused > 0
    assert seen[-1][0] + refused == 4 * IN_FLIGHT
    assert len(seen) > 3
    for requests, tokens, picodollars in seen:
        assert budget.max_requests is None or requests <= budget.max_requests
        assert budget.max_tokens is None or tokens <= budget.max_tokens
        assert budget.max_cost_usd is None or Decimal(picodollars).scaleb(-12) <= budget.max_cost_usd


def test_it_decides_as_the_ledger_in_memory_does(store: Store, job_id: str) -> None:
    """Any order of claims and settlements, the same answers; a new attempt in between changes none of them."""
    draw = random.Random(3)
    budget = Budget(max_requests=60, max_tokens=4_000, max_cost_usd=Decimal("0.0012"))
    steps = [(draw.random() < 0.6, draw.randint(1, 90), draw.randint(1, 90), draw.choice("mn")) for _ in range(160)]
    prices = {"m": PRICE, "n": Price(prompt_usd=Decimal("0.000001"), completion_usd=Decimal(3))}

    async def decide(make: Callable[[int], Ledger]) -> list[object]:
        ledger, found = make(0), list[object]()
        opened: list[tuple[int, int, int]] = []
        for at, (reserving, prompt, completion, model) in enumerate(steps):
            if at == len(steps) // 2:
                ledger = make(1)
            if reserving or not opened:
                try:
                    opened.append((await ledger.reserve(claim(at, prompt, completion, model)), prompt, completion))
                    found.append("granted")
                except BudgetExhaustedError as exc:
                    found.append(exc.message)
            else:
                number, sent, received = opened.pop(draw.randrange(len(opened)))
                await ledger.settle(number, used(sent // 2, received // 3))
        return found

    memory = MemoryLedger(budget, prices)
    draw.seed(5)
    expected = asyncio.run(decide(lambda _: memory))
    draw.seed(5)
    stored = written(
        store, job_id, lambda writer: decide(lambda _: SqlLedger(writer, budget, prices))
    )  # the second one knows only what the first has stored
    assert stored == expected
    assert {"granted"} < set(expected)


def test_a_reservation_unsettled_at_a_crash_counts_as_spent(store: Store, job_id: str) -> None:
    written(store, job_id, lambda writer: SqlLedger(writer, Budget()).reserve(claim(0, 500, 400)))
    jobs = JobStore(store)
    jobs.release(job_id, 1, crashed=True)
    assert jobs.claim("b", ["generate"])

    async def again(writer: GroupWriter) -> int:
        ledger = SqlLedger(writer, Budget(max_tokens=1000))
        with pytest.raises(BudgetExhaustedError, match="tokens"):
            await ledger.reserve(claim(1, 100, 1))
        number = await ledger.reserve(claim(1, 100, 0))
        # Its end may still become known (a batch that is collected later): then it costs what it cost.
        await ledger.settle(1, used(1, 1))
        await ledger.reserve(claim(2, 800, 0))
        return number

    assert written(store, job_id, again, attempt=2) == 2
    with store.read() as session:
        assert request_totals(session, job_id).by_outcome == {"unsettled": 2, "ok": 1}
        assert (in_flight(session, job_id, 2), in_flight(session, job_id, 1)) == (2, 0)


def test_an_attempt_that_was_overtaken_cannot_write(store: Store, job_id: str) -> None:
    jobs = JobStore(store)

    async def work(writer: GroupWriter) -> None:
        ledger, cache = SqlLedger(writer, Budget()), SqlReplyCache(writer)
        number = await ledger.reserve(claim())
        jobs.release(job_id, 1, crashed=True)
        assert jobs.claim("b", ["generate"])
        asked = [ledger.reserve(claim(slot)) for slot in range(8)]
        asked += [ledger.settle(number, used()), cache.put(0, "qa", "h", REPLY)]  # type: ignore[list-item]
        assert {type(each) for each in await asyncio.gather(*asked, return_exceptions=True)} == {LostLeaseError}
        with pytest.raises(LostLeaseError):
            await ledger.reserve(claim())

    written(store, job_id, work)
    assert [(row.number, row.outcome) for row in rows(store, job_id)] == [(1, None)]
    with store.read() as session:
        assert count(session, ReplyRow) == 0


def test_a_finished_job_writes_no_more(store: Store, job_id: str) -> None:
    """The attempt number alone is no fence: the same attempt may have ended its job."""

    async def work(writer: GroupWriter) -> None:
        ledger = SqlLedger(writer, Budget())
        number = await ledger.reserve(claim())
        JobStore(store).finish(job_id, 1, "cancelled")
        with pytest.raises(LostLeaseError):
            await ledger.settle(number, used())

    written(store, job_id, work)


def test_a_cancelled_reservation_is_taken_back_and_a_cancelled_settlement_is_not(store: Store, job_id: str) -> None:
    async def work(writer: GroupWriter) -> None:
        ledger = SqlLedger(writer, Budget(max_requests=300))
        for waited in (0.0, 0.0, 0.001, 0.003, 0.005, 0.01, 0.02):
            asked = [asyncio.create_task(ledger.reserve(claim(slot))) for slot in range(40)]
            await asyncio.sleep(waited)
            for task in asked:
                task.cancel()
            for number in await asyncio.gather(*asked, return_exceptions=True):
                if isinstance(number, int):  # it was done before it could be cancelled
                    settling = asyncio.create_task(ledger.settle(number, used()))
                    await asyncio.sleep(0)
                    settling.cancel()
                    await asyncio.gather(settling, return_exceptions=True)

    written(store, job_id, work)
    assert {row.outcome for row in rows(store, job_id)} <= {"ok"}


def test_what_fails_to_commit_ends_the_writer(store: Store, job_id: str) -> None:
    """Everybody who waits is told, and nothing is granted on sums that are no longer those of the store."""

    async def work(writer: GroupWriter) -> None:
        ledger, cache = SqlLedger(writer, Budget()), SqlReplyCache(writer)
        await ledger.reserve(claim())
        broken = claim(1, model=None)  # type: ignore[arg-type]  # a column that may not be NULL
        found = await asyncio.gather(
            ledger.reserve(broken), cache.put(0, "qa", "h", REPLY), ledger.reserve(claim(2)), return_exceptions=True
        )
        assert all(isinstance(each, Exception) for each in found)
        with pytest.raises(Exception, match=r"(?i)null"):
            await ledger.reserve(claim(3))

    written(store, job_id, work)
    assert len(rows(store, job_id)) == 1


def test_a_closed_writer_takes_nothing(store: Store, job_id: str) -> None:
    writer = GroupWriter(store, job_id, 1)
    writer.close()
    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run(SqlLedger(writer, Budget()).reserve(claim()))


def test_a_reservation_is_settled_once(store: Store, job_id: str) -> None:
    async def work(writer: GroupWriter) -> None:
        ledger = SqlLedger(writer, Budget())
        number = await ledger.reserve(claim())
        await ledger.settle(number, used())
        for wrong in (number, 99):
            with pytest.raises(ValueError, match="no unsettled"):
                await ledger.settle(wrong, used())
        await ledger.reserve(claim())  # the others' work goes on

    written(store, job_id, work)


def test_money_adds_up_to_the_last_fraction(store: Store, job_id: str) -> None:
    tiny = Price(prompt_usd=Decimal("0.000001"), completion_usd=Decimal("0.1"))

    async def work(writer: GroupWriter) -> None:
        ledger = SqlLedger(writer, Budget(max_cost_usd=Decimal("0.000001")), {"m": tiny})
        for _ in range(9):
            await ledger.settle(await ledger.reserve(claim(0, 3, 1)), used(3, 1))
        with pytest.raises(BudgetExhaustedError, match=r"\$0\.000001"):
            await ledger.reserve(claim(0, 99_976, 1))
        await ledger.reserve(claim(0, 99_973, 0))  # exactly what is left

    written(store, job_id, work)
    with store.read() as session:
        assert request_totals(session, job_id).cost_usd == Decimal("0.000001")


def test_a_model_without_a_price_has_no_cost_until_it_gets_one(store: Store, job_id: str) -> None:
    async def ask(ledger: SqlLedger) -> None:
        await ledger.settle(await ledger.reserve(claim()), used())

    written(store, job_id, lambda writer: ask(SqlLedger(writer, Budget())))
    with store.read() as session:
        assert request_totals(session, job_id).cost_usd is None
    limited = Budget(max_cost_usd=Decimal("0.0001"))
    with pytest.raises(BudgetExhaustedError, match="no price"):
        written(store, job_id, lambda writer: ask(SqlLedger(writer, limited)))
    written(store, job_id, lambda writer: ask(SqlLedger(writer, limited, {"m": PRICE})))
    with store.read() as session:
        assert request_totals(session, job_id).cost_usd == Decimal("0.000024")


def test_replies(store: Store, job_id: str) -> None:
    other = Reply(text="아니요.", finish_reason="stop", model="m", prompt_tokens=1, completion_tokens=2)

    async def work(writer: GroupWriter) -> None:
        cache = SqlReplyCache(writer)
        assert await cache.get(0, "qa", "h") is None
        await asyncio.gather(cache.put(0, "qa", "h", REPLY), cache.put(1, "qa", "h", REPLY))
        await cache.put(1, "qa", "h", other)
        assert await cache.get(0, "qa", "h") == REPLY
        assert await cache.get(0, "qa", "other") is None
        assert await cache.get(0, "judge.0", "h") is None
        assert await SqlReplyCache(writer).get(1, "qa", "h") == other

    written(store, job_id, work)


def test_latency_is_that_of_good_answers(store: Store, job_id: str) -> None:
    async def work(writer: GroupWriter) -> None:
        ledger = SqlLedger(writer, Budget())
        for second in range(1, 21):
            await ledger.settle(await ledger.reserve(claim()), used(latency=float(second)))
        await ledger.settle(await ledger.reserve(claim()), used(outcome="timeout", latency=120.0))

    with store.read() as session:
        assert recent_latency(session, job_id) is None
    written(store, job_id, work)
    with store.read() as session:
        found = recent_latency(session, job_id)
    assert found is not None
    assert (found.p50_s, found.p95_s) == (10.0, 19.0)


CHILD = """
import asyncio, sys
from pathlib import Path
from app.store.database import open_store
from app.store.group_commit import GroupWriter
from app.store.ledger import SqlLedger
from app.store.replies import SqlReplyCache
from generators.ports import Budget, Claim, Reply, Settlement

async def main(writer):
    ledger, cache = SqlLedger(writer, Budget(max_requests=100_000)), SqlReplyCache(writer)
    async def ask(slot):
        while True:
            claim = Claim(slot=slot, step="qa", model="m", prompt_tokens=60, completion_tokens=40)
            number = await ledger.reserve(claim)
            print("reserved", number, flush=True)
            done = Settlement(prompt_tokens=4, completion_tokens=1, outcome="ok", latency_s=1.0)
            await ledger.settle(number, done)
            print("settled", number, flush=True)
            reply = Reply(text="네.", finish_reason="stop", model="m", prompt_tokens=4, completion_tokens=1)
            await cache.put(slot, "qa", str(number), reply)
            print("stored", number, flush=True)
    await asyncio.gather(*(ask(slot) for slot in range(256)))

url, folder, job_id = sys.argv[1:]
asyncio.run(main(GroupWriter(open_store(url or None, Path(folder)), job_id, 1)))
"""


@pytest.mark.parametrize("lines", [1, 300, 2500])
def test_a_kill_loses_nothing_that_was_promised(
    opened: OpenStore, database_url: str | None, tmp_path: Path, lines: int
) -> None:
    """SIGKILL with 256 in flight: whatever a caller was told is stored, whatever was sent counts, nothing twice."""
    store = opened()
    jobs = JobStore(store)
    jobs.submit("generate", {})
    row = jobs.claim("a", ["generate"])
    assert row is not None
    told: list[tuple[str, int]] = []
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, database_url or "", str(tmp_path / "data"), row.id],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if not line.endswith("\n"):
                break  # the kill came in the middle of a word
            what, number = line.split()
            told.append((what, int(number)))
            if len(told) == lines:
                child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    stored = {each.number: each for each in rows(store, row.id)}
    with store.read() as session:
        replies = {int(reply.request_hash) for reply in listed(session, ReplyRow, order_by=ReplyRow.slot)}
    reserved = [number for what, number in told if what == "reserved"]
    assert len(set(reserved)) == len(reserved) > 0
    assert set(reserved) <= set(stored)
    assert all(stored[number].outcome == "ok" for what, number in told if what == "settled")
    assert {number for what, number in told if what == "stored"} <= replies
    # The next attempt goes on from what is there: unsettled at the upper bound of 100, settled at 5.
    spent = sum(100 if each.outcome is None else 5 for each in stored.values())
    jobs.release(row.id, 1, crashed=True)
    assert jobs.claim("b", ["generate"])

    async def again(writer: GroupWriter) -> None:
        ledger = SqlLedger(writer, Budget(max_requests=len(stored) + 1, max_tokens=spent + 100))
        with pytest.raises(BudgetExhaustedError, match="tokens"):
            await ledger.reserve(claim(0, 60, 41))
        assert await ledger.reserve(claim(0, 60, 40)) == max(stored) + 1
        with pytest.raises(BudgetExhaustedError, match="requests"):
            await ledger.reserve(claim(0, 0, 0))

    written(store, row.id, again, attempt=2)


def test_other_jobs_are_another_matter(store: Store, job_id: str) -> None:
    jobs = JobStore(store)
    jobs.submit("generate", {})
    other = jobs.claim("c", ["generate"])
    assert other is not None
    for each in (job_id, other.id):
        limited = Budget(max_requests=1)
        number = written(store, each, lambda writer, limited=limited: SqlLedger(writer, limited).reserve(claim()))  # type: ignore[misc]
        assert number == 1
    assert len(rows(store, job_id)) == len(rows(store, other.id)) == 1
