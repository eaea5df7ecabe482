"""Batches over a real socket: gathered, collected, also by another attempt, every line paid once and accounted for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from corpora.records import Message
from generators.llm.batch import BatchModelClient
from generators.llm.errors import (
    ContextTooSmallError,
    EndpointDownError,
    KeyRefusedError,
    RequestFailedError,
    RequestRefusedError,
)
from generators.llm.retry import RetryPolicy
from generators.llm.settings import EndpointSettings
from generators.llm.timing import Timing
from generators.memory import MemoryBatchLog, MemoryLedger, MemoryReplyCache
from generators.ports import BatchRecord, Budget, BudgetExhaustedError, ModelRequest, Reply
from tests.integration.generators.batch_server import BatchServer, Json, answered, refused

SCHEMA = {"type": "object", "properties": {"pairs": {"type": "array"}}, "required": ["pairs"]}


async def hurry(seconds: float) -> None:
    await asyncio.sleep(min(seconds, 0.01))


@dataclass
class Job:
    """What outlives an attempt, and a way to run one."""

    server: BatchServer
    cache: MemoryReplyCache = field(default_factory=MemoryReplyCache)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    log: MemoryBatchLog = field(default_factory=MemoryBatchLog)
    down_after_s: float = 600.0

    def client(self, beside: BatchModelClient | None = None) -> BatchModelClient:
        settings = EndpointSettings(
            base_url=self.server.url,
            model="batch:m",
            down_after_s=self.down_after_s,
            retry=RetryPolicy(attempts=3, base_s=0.01, max_wait_s=0.02),
        )
        timing = Timing(sleep=hurry)
        return BatchModelClient(
            settings,
            cache=self.cache,
            ledger=self.ledger,
            batches=self.log,
            endpoint=beside.endpoint if beside else None,
            gather_s=0.05,
            timing=timing,
        )

    def run(self, requests: list[ModelRequest], stop_after_s: float | None = None) -> list[Reply | BaseException]:
        """Ask for all at once; ``stop_after_s`` kills the attempt."""

        async def go() -> list[Reply | BaseException]:
            client = self.client()
            tasks = [asyncio.create_task(client.complete(request)) for request in requests]
            if stop_after_s is not None:
                await asyncio.sleep(stop_after_s)
                await client.aclose()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            if stop_after_s is None:
                await client.aclose()
                assert client.stats().in_flight == 0
                assert client.stats().waiting == 0
            return [one[0] if isinstance(one, tuple) else one for one in outcomes]

        return asyncio.run(go())

    def settled(self) -> dict[str, int]:
        outcomes = [one.outcome for one in self.ledger.settlements.values()]
        return {name: outcomes.count(name) for name in set(outcomes)}


def ask(slot: int, schema: Json | None = None, text: str = "입고란 무엇인가요?") -> ModelRequest:
    return ModelRequest(
        slot=slot, step="쌍/1", messages=(Message(role="user", content=text),), max_tokens=64, schema=schema
    )


@pytest.fixture
def job() -> Iterator[Job]:
    with BatchServer() as server:
        yield Job(server)
        server.shutdown()


def texts(outcomes: list[Reply | BaseException]) -> list[str]:
    for one in outcomes:
        if isinstance(one, BaseException):
            raise one
    return [one.text for one in outcomes if isinstance(one, Reply)]


def test_requests_are_gathered_into_one_batch_and_paid_once(job: Job) -> None:
    job.server.answer = lambda name, _body, _tries: answered(name, f"답 {name.split('/')[0]}")
    assert texts(job.run([ask(n) for n in range(40)])) == [f"답 {n}" for n in range(40)]
    assert len(job.server.batches) == 1
    assert job.settled() == {"ok": 40}
    assert {one.latency_s for one in job.ledger.settlements.values()} == {600.0}
    assert {claim.model for claim in job.ledger.claims} == {"batch:m"}
    assert {line["body"]["model"] for line in job.server.lines(job.server.batches[0])} == {"m"}
    assert job.log.records == {}
    job.run([ask(n) for n in range(40)])
    assert len(job.server.batches) == 1


def test_the_same_question_twice_is_one_line(job: Job) -> None:
    assert texts(job.run([ask(0), ask(0)])) == ["네", "네"]
    assert len(job.ledger.claims) == 1


def test_a_batch_of_a_killed_attempt_is_collected_and_not_sent_again(job: Job) -> None:
    job.server.polls = 10**9
    killed = job.run([ask(n) for n in range(5)], stop_after_s=0.5)
    assert all(isinstance(one, asyncio.CancelledError) for one in killed)
    assert [record.batch_id for record in job.log.records.values()] == ["batch_0"]
    job.server.polls = 1
    assert texts(job.run([ask(n) for n in range(7)])) == ["네"] * 7
    assert [len(job.server.lines(batch)) for batch in job.server.batches] == [5, 2]
    assert job.settled() == {"ok": 7}
    assert job.log.records == {}


def test_a_batch_whose_id_never_arrived_is_found_by_its_token(job: Job) -> None:
    job.server.polls = 10**9
    job.run([ask(0)], stop_after_s=0.5)
    ((token, record),) = job.log.records.items()
    job.log.records[token] = replace(record, batch_id=None)
    job.server.polls = 1
    assert texts(job.run([ask(0)])) == ["네"]
    assert len(job.server.batches) == 1


def test_a_batch_that_was_never_started_gives_its_money_back(job: Job) -> None:
    job.server.polls = 10**9
    job.run([ask(0)], stop_after_s=0.5)
    ((token, record),) = job.log.records.items()
    job.log.records = {"other": BatchRecord(**{**_fields(record), "token": "other", "batch_id": None})}
    job.server.polls = 1
    assert texts(job.run([ask(0)])) == ["네"]
    assert job.settled() == {"not_sent": 1, "ok": 1}
    assert token not in job.log.records


def _fields(record: BatchRecord) -> Json:
    return {name: getattr(record, name) for name in ("token", "batch_id", "model", "created_at", "lines")}


def test_a_line_that_was_settled_before_the_attempt_died_is_not_settled_twice(job: Job) -> None:
    job.server.polls = 10**9
    job.run([ask(0), ask(1)], stop_after_s=0.5)
    (record,) = job.log.records.values()
    asyncio.run(
        job.ledger.settle(record.lines[0].reservation, next(iter(_settlements(job, record))))  # type: ignore[arg-type]
    )
    job.server.polls = 1
    assert texts(job.run([ask(0), ask(1)])) == ["네", "네"]
    assert len(job.ledger.settlements) == 2


def _settlements(job: Job, record: BatchRecord) -> Iterator[object]:
    from generators.llm.batch_lines import Gone, settlement_of

    yield settlement_of(record.lines[0], Gone(outcome="ok"), 0.0)


def test_a_lost_answer_does_not_start_a_batch_twice(job: Job) -> None:
    job.server.lost = ["/v1/batches"]
    assert texts(job.run([ask(0)])) == ["네"]
    assert len(job.server.batches) == 1


def test_passing_failures_of_every_call_are_waited_out(job: Job) -> None:
    job.server.failing = [("/v1/files", 500), ("/v1/batches", 429), ("/v1/batches/batch_0", 503)]
    job.server.failing += [("/v1/files/file_output_batch_0/content", 502)]
    assert texts(job.run([ask(0)])) == ["네"]
    assert len(job.server.batches) == 1


def test_lines_that_failed_are_sent_again_and_become_failures_by_cause(job: Job) -> None:
    def answer(name: str, body: Json, tries: int) -> Json | None:
        slot = int(name.split("/", maxsplit=1)[0])
        if slot == 1:
            return refused(name, 500, "oops") if tries == 1 else answered(name)
        if slot == 2:
            return refused(name, 400, "maximum context length is 64", "context_length_exceeded")
        if slot == 3:
            return refused(name, 500, "oops")
        if slot == 4:
            return None
        return answered(name)

    job.server.answer = answer
    outcomes = job.run([ask(n) for n in range(5)])
    assert [type(one) for one in outcomes] == [
        Reply,
        Reply,
        ContextTooSmallError,
        RequestFailedError,
        RequestFailedError,
    ]
    assert job.settled() == {"ok": 2, "http_500": 4, "http_400": 1, "batch_no_result": 3}
    # What nobody answered may have been run all the same.
    assert sum(s.prompt_tokens > 7 for s in job.ledger.settlements.values()) == 3
    assert job.log.records == {}


def test_what_an_expired_batch_did_not_run_goes_into_the_next(job: Job) -> None:
    job.server.ends = ["expired"]
    assert texts(job.run([ask(n) for n in range(6)])) == ["네"] * 6
    assert [len(job.server.lines(batch)) for batch in job.server.batches] == [6, 3]
    assert job.settled() == {"ok": 6, "batch_expired": 3}


def test_a_cancelled_batch_stops_the_job_and_keeps_what_was_run(job: Job) -> None:
    job.server.ends = ["cancelled"]
    outcomes = job.run([ask(n) for n in range(4)])
    assert [type(one) for one in outcomes] == [Reply, Reply, EndpointDownError, EndpointDownError]
    assert job.settled() == {"ok": 2, "batch_cancelled": 2}
    assert len(job.server.batches) == 1


def test_a_batch_that_is_refused_as_a_whole_costs_nothing(job: Job) -> None:
    job.server.ends = ["failed"]
    (outcome,) = job.run([ask(0)])
    assert isinstance(outcome, RequestRefusedError)
    assert "Invalid file" in outcome.message
    assert job.settled() == {"batch_failed": 1}


def test_a_refused_key_costs_nothing(job: Job) -> None:
    job.server.failing = [("/v1/files", 401)]
    (outcome,) = job.run([ask(0)])
    assert isinstance(outcome, KeyRefusedError)
    assert job.settled() == {"not_sent": 1}
    assert job.log.records == {}


def test_an_endpoint_that_goes_down_keeps_the_batch_for_the_next_attempt(job: Job) -> None:
    job.down_after_s = 0.1
    job.server.failing = [("/v1/batches/batch_0", 503)] * 500
    (outcome,) = job.run([ask(0)])
    assert isinstance(outcome, EndpointDownError)
    job.server.failing = []
    assert texts(job.run([ask(0)])) == ["네"]
    assert len(job.server.batches) == 1


def test_two_clients_of_one_model_on_one_log_do_not_collect_the_same_batch(job: Job) -> None:
    job.server.polls = 10**9
    job.run([ask(n) for n in range(3)], stop_after_s=0.5)
    job.server.polls = 2

    async def scene() -> None:
        first = job.client()
        second = job.client(first)
        replies = await asyncio.gather(
            *(first.complete(ask(n)) for n in (0, 1)), second.complete(ask(2)), second.complete(ask(3))
        )
        # A batch of the first is under way when the second asks for the first time after it.
        more = await asyncio.gather(first.complete(ask(10)), second.complete(ask(11)))
        assert [reply.text for reply, _ in (*replies, *more)] == ["네"] * 6
        await first.aclose()
        await second.aclose()

    asyncio.run(scene())
    sent = [line["custom_id"] for batch in job.server.batches for line in job.server.lines(batch)]
    assert len(sent) == len(set(sent)) == 6
    assert job.settled() == {"ok": 6}
    assert job.log.records == {}


def test_a_batch_that_is_too_large_is_halved(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generators.llm.batch._ROOM_S", 0.05)
    job.server.most_lines = 3
    assert texts(job.run([ask(n) for n in range(10)])) == ["네"] * 10
    assert max(len(job.server.lines(batch)) for batch in job.server.batches[3:]) <= 3
    assert job.settled()["ok"] == 10


def test_the_budget_covers_the_first_lines_only(job: Job) -> None:
    job.ledger = MemoryLedger(Budget(max_requests=3))
    outcomes = job.run([ask(n) for n in range(5)])
    assert [type(one) for one in outcomes] == [Reply] * 3 + [BudgetExhaustedError] * 2
    assert len(job.server.lines(job.server.batches[0])) == 3


def test_the_same_client_collects_after_an_outage_before_it_sends_again(job: Job) -> None:
    job.down_after_s = 0.1
    job.server.failing = [("/v1/batches/batch_0", 503)] * 500

    async def scene() -> None:
        client = job.client()
        with pytest.raises(EndpointDownError):
            await client.complete(ask(0))
        job.server.failing = []
        reply, _ = await client.complete(ask(0))
        assert reply.text == "네"
        await client.aclose()

    asyncio.run(scene())
    assert len(job.server.batches) == 1
    assert job.settled() == {"ok": 1}


def test_a_refused_schema_is_left_out_of_the_next_batch(job: Job) -> None:
    def answer(name: str, body: Json, tries: int) -> Json:
        return refused(name, 400, "Unknown parameter: response_format") if "response_format" in body else answered(name)

    job.server.answer = answer
    assert texts(job.run([ask(n, SCHEMA) for n in range(3)])) == ["네"] * 3
    formats = [line["body"].get("response_format", {}).get("type") for line in job.server.lines(job.server.batches[-1])]
    assert formats == [None] * 3
    assert len(job.server.batches) == 3
