"""The model client against a scripted endpoint: its own process, a real socket."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from corpora.errors import InvalidInputError
from corpora.records import Message
from generators.llm.client import EndpointSettings, OpenAIModelClient, token_upper_bound
from generators.llm.errors import (
    ContextTooSmallError,
    EndpointDownError,
    EndpointError,
    KeyRefusedError,
    NonsenseReplyError,
    QuotaExhaustedError,
    RequestRefusedError,
)
from generators.llm.retry import RetryPolicy
from generators.memory import MemoryLedger, MemoryReplyCache
from generators.ports import Budget, BudgetExhaustedError, ModelRequest, Reply, Settlement, Usage

SERVER = Path(__file__).parents[2] / "scripted_server.py"
KEY = "sk-test-0123456789"
FAST = RetryPolicy(attempts=3, base_s=0.01, max_wait_s=0.02)
ASK = (Message(role="user", content="안녕하세요. 입고 검수는 언제 하나요?"),)


def question(slot: int = 0) -> ModelRequest:
    return ModelRequest(slot=slot, step="s", messages=ASK, max_tokens=64, temperature=0.5, seed=7)


@dataclass(frozen=True)
class Endpoint:
    url: str
    log: Path

    def requests(self, model: str) -> list[tuple[str, int]]:
        lines = [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]
        return [(line["hash"], line["status"]) for line in lines if line["model"] == model]


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    log = tmp_path / "requests.jsonl"
    log.touch()
    command = [sys.executable, str(SERVER), "--port", "0", "--log", str(log), "--slow-seconds", "1.5"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Endpoint(url=f"http://127.0.0.1:{int(process.stdout.readline())}/v1", log=log)
    finally:
        process.kill()
        process.wait(timeout=10)
        if process.stdout is not None:
            process.stdout.close()


class CountingLedger(MemoryLedger):
    """The in-memory ledger, remembering how each reservation was settled."""

    def __init__(self, budget: Budget) -> None:
        super().__init__(budget)
        self.settled: list[tuple[int, int]] = []

    async def settle(self, reservation: int, settlement: Settlement) -> None:
        self.settled.append((settlement.prompt_tokens, settlement.completion_tokens))
        await super().settle(reservation, settlement)


@dataclass
class Desk:
    """One job's cache and ledger at one endpoint."""

    url: str
    cache: MemoryReplyCache
    ledger: CountingLedger

    def ask(
        self, model: str, *, slot: int = 0, timeout_s: float = 10.0, down_after_s: float = 600.0
    ) -> tuple[Reply, Usage]:
        async def go() -> tuple[Reply, Usage]:
            settings = EndpointSettings(
                base_url=self.url,
                api_key=KEY,
                model=model,
                timeout_s=timeout_s,
                concurrency=4,
                down_after_s=down_after_s,
                retry=FAST,
            )
            client = OpenAIModelClient(settings, cache=self.cache, ledger=self.ledger)
            try:
                return await client.complete(question(slot))
            finally:
                await client.aclose()

        return asyncio.run(go())


def desk(url: str, budget: Budget | None = None) -> Desk:
    return Desk(url=url, cache=MemoryReplyCache(), ledger=CountingLedger(budget or Budget()))


def test_a_reply_is_paid_once_and_then_comes_from_the_cache(endpoint: Endpoint) -> None:
    job = desk(endpoint.url)
    reply, usage = job.ask("scripted")
    assert (reply.model, reply.finish_reason) == ("scripted", "stop")
    assert usage == Usage(requests=1, prompt_tokens=reply.prompt_tokens, completion_tokens=reply.completion_tokens)
    assert job.ledger.settled == [(reply.prompt_tokens, reply.completion_tokens)]
    assert job.ask("scripted") == (reply, Usage(cached_requests=1))
    job.ask("scripted", slot=1)
    assert [status for _, status in endpoint.requests("scripted")] == [200, 200]
    assert len(job.ledger.settled) == 2


def test_a_cached_reply_needs_no_budget(endpoint: Endpoint) -> None:
    job = desk(endpoint.url, Budget(max_requests=1))
    reply, _ = job.ask("scripted")
    assert job.ask("scripted")[0] == reply
    with pytest.raises(BudgetExhaustedError):
        job.ask("scripted", slot=1)
    assert len(endpoint.requests("scripted")) == 1


def test_a_budget_of_tokens_refuses_before_sending(endpoint: Endpoint) -> None:
    job = desk(endpoint.url, Budget(max_tokens=token_upper_bound(ASK, 64) - 1))
    with pytest.raises(BudgetExhaustedError):
        job.ask("scripted")
    assert endpoint.requests("scripted") == []


@pytest.mark.parametrize(("model", "first"), [("scripted-429-then-ok", 429), ("scripted-500-then-ok", 500)])
def test_a_passing_failure_is_retried_and_each_send_is_counted(endpoint: Endpoint, model: str, first: int) -> None:
    job = desk(endpoint.url)
    reply, usage = job.ask(model)
    assert [status for _, status in endpoint.requests(model)] == [first, 200]
    assert usage == Usage(requests=2, prompt_tokens=reply.prompt_tokens, completion_tokens=reply.completion_tokens)
    assert job.ledger.settled == [(0, 0), (reply.prompt_tokens, reply.completion_tokens)]


def test_a_retry_is_a_request_of_the_budget(endpoint: Endpoint) -> None:
    job = desk(endpoint.url, Budget(max_requests=1))
    with pytest.raises(BudgetExhaustedError):
        job.ask("scripted-429-then-ok")
    assert len(endpoint.requests("scripted-429-then-ok")) == 1


@pytest.mark.parametrize(
    ("model", "kind", "code", "sends"),
    [
        ("scripted-refuse-key", KeyRefusedError, "key_refused", 1),
        ("scripted-quota", QuotaExhaustedError, "quota_exhausted", 1),
        ("scripted-unknown", RequestRefusedError, "request_refused", 1),
        ("scripted-small", ContextTooSmallError, "context_too_small", 1),
        ("scripted-nonsense", NonsenseReplyError, "nonsense_reply", 1),
        ("scripted-no-choices", NonsenseReplyError, "nonsense_reply", 3),
    ],
)
def test_each_refusal_is_its_own_error(
    endpoint: Endpoint, model: str, kind: type[EndpointError], code: str, sends: int
) -> None:
    job = desk(endpoint.url)
    with pytest.raises(kind) as caught:
        job.ask(model)
    error = caught.value
    assert type(error) is kind
    assert error.code == code
    assert not error.retryable
    assert endpoint.url in error.message
    assert error.hint
    assert KEY not in error.message
    assert len(endpoint.requests(model)) == sends == error.usage.requests == len(job.ledger.settled)
    # Only a 200 may have been charged for.
    billed = sum(prompt + completion for prompt, completion in job.ledger.settled)
    assert billed == (sends * token_upper_bound(ASK, 64) if kind is NonsenseReplyError else 0)
    with pytest.raises(kind):
        job.ask(model)
    assert len(endpoint.requests(model)) == 2 * sends


def test_an_endpoint_that_only_fails_is_asked_for_as_long_as_the_settings_say(endpoint: Endpoint) -> None:
    job = desk(endpoint.url)
    with pytest.raises(EndpointDownError, match=r"nothing else has worked for 0\.3 s") as caught:
        job.ask("scripted-down", down_after_s=0.3)
    assert caught.value.retryable
    assert KEY not in caught.value.message
    sends = len(endpoint.requests("scripted-down"))
    assert sends > FAST.attempts
    assert sends == caught.value.usage.requests == len(job.ledger.settled)
    assert set(job.ledger.settled) == {(0, 0)}


def test_an_endpoint_that_is_not_there_bills_nothing() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        job = desk(f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        with pytest.raises(EndpointDownError, match="can't be reached") as caught:
            job.ask("scripted", down_after_s=0.2)
    assert caught.value.usage == Usage(requests=len(job.ledger.settled))
    assert set(job.ledger.settled) == {(0, 0)}


def test_a_time_out_counts_the_reservation_as_spent(endpoint: Endpoint) -> None:
    job = desk(endpoint.url)
    with pytest.raises(EndpointDownError, match=r"within 0\.2 s"):
        job.ask("scripted-slow", timeout_s=0.2, down_after_s=0.15)
    assert {sum(pair) for pair in job.ledger.settled} == {token_upper_bound(ASK, 64)}


def test_an_endpoint_without_usage_is_charged_its_upper_bound(endpoint: Endpoint) -> None:
    job = desk(endpoint.url)
    reply, _ = job.ask("scripted-no-usage")
    assert reply.prompt_tokens + reply.completion_tokens == token_upper_bound(ASK, 64)
    assert job.ledger.settled == [(reply.prompt_tokens, reply.completion_tokens)]


def test_the_concurrency_limit_holds_on_the_wire(endpoint: Endpoint) -> None:
    async def go() -> float:
        settings = EndpointSettings(base_url=endpoint.url, model="scripted-slow", concurrency=2)
        client = OpenAIModelClient(settings, cache=MemoryReplyCache(), ledger=CountingLedger(Budget()))
        clock = asyncio.get_running_loop().time
        start = clock()
        await asyncio.gather(*(client.complete(question(n)) for n in range(4)))
        await client.aclose()
        return clock() - start

    # Four replies of 1.5 s each, two at a time.
    assert asyncio.run(go()) >= 2.9


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_url", "localhost:8000"),
        ("model", " "),
        ("api_key", "키"),
        ("api_key", "sk\n"),
        ("timeout_s", 0),
        ("concurrency", 0),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(field: str, value: object) -> None:
    values = {"base_url": "http://127.0.0.1:1/v1", "model": "m", field: value}
    with pytest.raises(InvalidInputError, match=field) as caught:
        EndpointSettings(**values)  # type: ignore[arg-type]
    assert caught.value.param == field


def test_the_key_is_in_no_repr() -> None:
    assert "geheim" not in repr(EndpointSettings(base_url="http://h/v1", model="m", api_key="geheim"))
