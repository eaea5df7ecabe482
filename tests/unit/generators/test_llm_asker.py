"""What becomes of failures, in virtual time, with a transport that follows a script."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.records import Message
from generators.llm.asker import Asker
from generators.llm.endpoint import Endpoint
from generators.llm.errors import (
    EndpointDownError,
    KeyRefusedError,
    NonsenseReplyError,
    RequestFailedError,
    RequestRefusedError,
)
from generators.llm.settings import EndpointSettings
from generators.llm.structured import Mode, StructuredSupport
from generators.llm.translate import Failure
from generators.llm.transport import Sent
from generators.llm.wire import claim_of, request_key
from generators.memory import MemoryLedger, MemoryReplyCache
from generators.ports import Budget, BudgetExhaustedError, Claim, ModelRequest, Reply
from tests.unit.generators.virtual_time import clock, play, virtual_timing

SETTINGS = EndpointSettings(base_url="http://h/v1", model="m", concurrency=8)
SCHEMA = {"type": "object", "properties": {"pairs": {"type": "array"}}, "required": ["pairs"]}


def ask(slot: int, text: str = "안녕하세요", **values: object) -> ModelRequest:
    request = ModelRequest(slot=slot, step="s", messages=(Message(role="user", content=text),), max_tokens=64)
    return replace(request, **values)  # type: ignore[arg-type]


def says(text: str = '{"pairs": []}', finish_reason: str = "stop") -> Reply:
    return Reply(text=text, finish_reason=finish_reason, model="m", prompt_tokens=5, completion_tokens=3)


def failure(status: int, **values: object) -> Failure:
    kinds = {401: KeyRefusedError, 400: RequestRefusedError, 404: RequestRefusedError, 200: NonsenseReplyError}
    busy = status in (429, 503)
    made = Failure(
        kind=kinds.get(status, EndpointDownError),
        message=f"The model endpoint answered {status}",
        outcome=f"http_{status}",
        again=status not in kinds or status == 200,
        overload=busy,
        busy=busy,
        status=status,
        maybe_billed=status == 200,
    )
    return replace(made, **values)  # type: ignore[arg-type]


class Script:
    """Answers by a function of (request, how often it has been asked); remembers what was sent when."""

    def __init__(self, answer: Callable[[ModelRequest, int], Reply | Failure], seconds: float = 1.0) -> None:
        self._answer = answer
        self._seconds = seconds
        self.tries: Counter[str] = Counter()
        self.sent: list[tuple[float, int, str]] = []
        self.modes: list[Mode] = []

    async def send(self, request: ModelRequest, claim: Claim, mode: Mode) -> Sent:
        key = f"{request.slot}/{request.step}"
        self.tries[key] += 1
        self.sent.append((clock(), request.slot, request.step))
        self.modes.append(mode)
        said = self._answer(request, self.tries[key])
        await asyncio.sleep(self._seconds)
        return Sent(reply=said) if isinstance(said, Reply) else Sent(failure=said)

    async def aclose(self) -> None:
        """Nothing to close."""


def asker(script: Script, ledger: MemoryLedger, config: EndpointSettings = SETTINGS) -> Asker:
    endpoint = Endpoint(config, virtual_timing(uniform=0.5))
    return Asker(config, script, cache=MemoryReplyCache(), ledger=ledger, endpoint=endpoint)


def run(script: Script, requests: list[ModelRequest], config: EndpointSettings = SETTINGS) -> list[object]:
    """Outcomes of requests that start together: a reply or an exception each; every send is settled."""

    async def scene() -> list[object]:
        ledger = MemoryLedger()
        client = asker(script, ledger, config)
        outcomes = await asyncio.gather(*(client.complete(one) for one in requests), return_exceptions=True)
        assert len(ledger.claims) == len(ledger.settlements) == len(script.sent) == client.stats().requests
        assert client.stats().in_flight == 0
        spent = [one[1] if isinstance(one, tuple) else getattr(one, "usage") for one in outcomes]  # noqa: B009
        assert sum(usage.requests for usage in spent) == len(script.sent)
        return [one[0] if isinstance(one, tuple) else one for one in outcomes]

    return play(scene())


def test_an_endpoint_that_comes_back_within_ten_minutes_costs_nothing_but_time() -> None:
    script = Script(lambda *_: says() if clock() > 500 else failure(500))
    outcomes = run(script, [ask(n) for n in range(6)])
    assert outcomes == [says()] * 6


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_endpoint_that_only_fails_is_down_after_ten_minutes_and_is_not_hammered(status: int) -> None:
    script = Script(lambda *_: failure(status))
    outcomes = run(script, [ask(n) for n in range(64)])
    assert all(isinstance(one, EndpointDownError) and one.retryable for one in outcomes)
    assert 600 <= script.sent[-1][0] <= 660
    # 64 first sends, 16 saved retries, one retry a second; a test question every ten seconds at most.
    assert len(script.sent) <= 64 + 16 + 660 + 66


def test_a_poisoned_request_fails_its_slot_while_others_are_answered() -> None:
    script = Script(lambda request, _: failure(500) if request.slot == 3 else says())
    outcomes = run(script, [ask(n) for n in range(200)])
    assert [n for n, one in enumerate(outcomes) if isinstance(one, RequestFailedError)] == [3]
    assert script.tries["3/s"] <= SETTINGS.retry.attempts + 1


def test_a_poisoned_request_that_is_alone_is_told_from_an_outage_by_a_harmless_question() -> None:
    script = Script(lambda request, _: says("네") if request.step == "s:alive" else failure(500))
    outcomes = run(script, [ask(0), ask(1)])
    assert all(isinstance(one, RequestFailedError) for one in outcomes)
    assert script.tries["0/s:alive"] + script.tries["1/s:alive"] <= 2
    assert script.sent[-1][0] < 120


def test_an_endpoint_that_answers_test_questions_and_nothing_else_is_down_and_not_every_slot_at_fault() -> None:
    script = Script(lambda request, _: says("네") if request.step == "s:alive" else failure(500))
    outcomes = run(script, [ask(n) for n in range(64)])
    kinds = Counter(type(one) for one in outcomes)
    assert kinds == {RequestFailedError: 16, EndpointDownError: 48}
    assert any("test question" in str(one) for one in outcomes)


def test_many_poisoned_requests_among_good_ones_never_stop_the_job() -> None:
    script = Script(lambda request, _: failure(500) if request.slot % 3 else says())
    outcomes = run(script, [ask(n) for n in range(24)])
    assert Counter(type(one) for one in outcomes) == {RequestFailedError: 16, Reply: 8}


def test_being_limited_is_never_a_requests_own_fault() -> None:
    script = Script(lambda request, tries: failure(429) if request.slot == 0 and tries < 20 else says())
    assert run(script, [ask(n) for n in range(40)]) == [says()] * 40


def test_a_request_that_is_limited_for_ever_while_others_are_not_ends_too() -> None:
    script = Script(lambda request, _: failure(429) if request.slot == 0 else says(), seconds=30.0)
    outcomes = run(script, [ask(n) for n in range(120)], replace(SETTINGS, concurrency=2))
    assert isinstance(outcomes[0], RequestFailedError)
    assert outcomes[1:] == [says()] * 119


def test_a_refused_key_stops_everything_at_once() -> None:
    script = Script(lambda *_: failure(401))
    outcomes = run(script, [ask(n) for n in range(300)])
    assert all(isinstance(one, KeyRefusedError) for one in outcomes)
    assert len(script.sent) == 8


def test_a_refusal_is_the_jobs_before_anything_worked_and_the_slots_after() -> None:
    script = Script(lambda *_: failure(400))
    assert isinstance(run(script, [ask(0)])[0], RequestRefusedError)
    late = Script(lambda request, _: failure(400) if request.slot == 9 else says())
    outcomes = run(late, [ask(n) for n in range(10)], replace(SETTINGS, concurrency=1))
    assert isinstance(outcomes[9], RequestFailedError)
    gone = Script(lambda request, _: failure(404) if request.slot == 9 else says())
    assert isinstance(run(gone, [ask(n) for n in range(10)], replace(SETTINGS, concurrency=1))[9], RequestRefusedError)


def test_nonsense_is_retried_and_is_the_jobs_only_where_nothing_ever_worked() -> None:
    passing = Script(lambda _, tries: failure(200) if tries < 4 else says())
    assert run(passing, [ask(0)]) == [says()]
    always = Script(lambda *_: failure(200))
    assert isinstance(run(always, [ask(0)])[0], NonsenseReplyError)
    assert len(always.sent) == SETTINGS.retry.attempts


def test_a_retry_after_of_hours_is_an_endpoint_that_is_down() -> None:
    script = Script(lambda *_: failure(429, retry_after_s=7200.0))
    (outcome,) = run(script, [ask(0)])
    assert isinstance(outcome, EndpointDownError)
    assert "7200 s" in outcome.message


def test_five_in_a_hundred_of_everything_loses_nothing() -> None:
    kinds = [failure(429), failure(500), failure(503, retry_after_s=2.0), failure(200)]
    script = Script(
        lambda request, tries: kinds[request.slot % 4] if (request.slot * 7 + tries * 13) % 20 == 0 else says()
    )
    assert run(script, [ask(n) for n in range(400)]) == [says()] * 400


@given(limit=st.integers(0, 40), concurrency=st.integers(1, 16), faulty=st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_the_budget_is_never_exceeded_by_one_request(limit: int, concurrency: int, faulty: int) -> None:
    script = Script(lambda request, tries: failure(500) if (request.slot + tries) % (faulty + 1) == 0 else says())

    async def scene() -> None:
        ledger = MemoryLedger(Budget(max_requests=limit))
        client = asker(script, ledger, replace(SETTINGS, concurrency=concurrency))
        outcomes = await asyncio.gather(*(client.complete(ask(n)) for n in range(30)), return_exceptions=True)
        assert len(script.sent) == len(ledger.claims) <= limit
        assert all(isinstance(one, tuple | BudgetExhaustedError) for one in outcomes)
        assert client.stats().in_flight == 0

    play(scene())


@given(limit=st.integers(0, 4000), concurrency=st.integers(1, 16), reported=st.integers(1, 200))
@settings(max_examples=40, deadline=None)
def test_a_budget_of_tokens_is_used_as_far_as_it_goes_whatever_is_on_the_wire(
    limit: int, concurrency: int, reported: int
) -> None:
    """Upper bounds of requests on the wire end nothing: refused is only what the settled budget does not cover."""
    # An endpoint that reports more than it was asked for goes beyond any bound, which is not the matter here.
    most_of = [
        min(getattr(claim_of(ask(n), "m"), side) for n in range(30)) for side in ("prompt_tokens", "completion_tokens")
    ]
    prompt, completion = (min(reported, most) for most in most_of)
    script = Script(lambda *_: replace(says(), prompt_tokens=prompt, completion_tokens=completion), seconds=1.0)

    async def scene() -> None:
        ledger = MemoryLedger(Budget(max_tokens=limit))
        client = asker(script, ledger, replace(SETTINGS, concurrency=concurrency))
        outcomes = await asyncio.gather(*(client.complete(ask(n)) for n in range(30)), return_exceptions=True)
        bound = [claim_of(ask(n), "m") for n in range(30)]
        most = max(one.prompt_tokens + one.completion_tokens for one in bound)
        spent = sum(one.prompt_tokens + one.completion_tokens for one in ledger.settlements.values())
        assert spent <= limit
        assert len(ledger.settlements) == len(ledger.claims)
        if any(isinstance(one, BudgetExhaustedError) for one in outcomes):
            assert spent + most > limit

    play(scene())


class SlowCache(MemoryReplyCache):
    """Takes a while to write, as a disk does."""

    async def put(self, slot: int, step: str, request_hash: str, reply: Reply) -> None:
        await asyncio.sleep(5)
        await super().put(slot, step, request_hash, reply)


def test_a_request_is_flying_until_its_reply_is_cached() -> None:
    """Off the wire and not cached yet it would be paid twice, were the job abandoned."""
    script = Script(lambda *_: says(), seconds=1.0)

    async def scene() -> None:
        endpoint = Endpoint(SETTINGS, virtual_timing(uniform=0.5))
        cache = SlowCache()
        client = Asker(SETTINGS, script, cache=cache, ledger=MemoryLedger(), endpoint=endpoint)
        asked = asyncio.create_task(client.complete(ask(0)))
        await asyncio.sleep(3)
        assert client.stats().in_flight == 0
        assert client.flying == 1
        assert not cache.replies
        await asked
        assert client.flying == 0
        assert cache.replies

    play(scene())


def test_nobody_waits_for_a_reservation_that_nobody_will_settle() -> None:
    script = Script(lambda *_: says(), seconds=50.0)

    async def scene() -> None:
        claim = claim_of(ask(0), "m")
        ledger = MemoryLedger(Budget(max_tokens=claim.prompt_tokens + claim.completion_tokens))
        client = asker(script, ledger)
        first = asyncio.create_task(client.complete(ask(0)))
        await asyncio.sleep(1)
        second = asyncio.create_task(client.complete(ask(1)))
        await asyncio.sleep(1)
        assert not second.done()
        first.cancel()
        with pytest.raises(BudgetExhaustedError):
            await second

    play(scene())


def test_a_cancelled_request_gives_its_place_back_and_stays_reserved() -> None:
    script = Script(lambda *_: says(), seconds=50.0)

    async def scene() -> None:
        ledger = MemoryLedger()
        client = asker(script, ledger, replace(SETTINGS, concurrency=1))
        first = asyncio.create_task(client.complete(ask(0)))
        await asyncio.sleep(1)
        first.cancel()
        await client.complete(ask(1))
        assert len(ledger.claims) == 2
        assert list(ledger.settlements) == [1]

    play(scene())


def test_a_refused_schema_goes_one_step_down_once_and_is_remembered() -> None:
    def answer(request: ModelRequest, tries: int) -> Reply | Failure:
        return says() if script.modes[-1] == "none" else failure(400, message="Unknown field: response_format")

    script = Script(answer)
    assert run(script, [ask(n, schema=SCHEMA) for n in range(50)]) == [says()] * 50
    assert Counter(script.modes) == {"json_schema": 1, "json_object": 1, "none": 50}


def test_an_endpoint_that_ignores_schemas_is_noticed_after_eight_replies() -> None:
    script = Script(lambda *_: says("네, 알겠습니다."))
    run(script, [ask(n, schema=SCHEMA) for n in range(20)], replace(SETTINGS, concurrency=1))
    assert Counter(script.modes) == {"json_schema": 8, "json_object": 8, "none": 4}


def test_a_verdict_about_schemas_holds_for_the_next_attempt() -> None:
    found = StructuredSupport("auto")
    assert found.verdict is None
    for _ in range(16):
        found.answered(found.mode, SCHEMA, "네, 알겠습니다.", "stop")
    assert found.verdict == "none"
    again = StructuredSupport("auto")
    again.recall("none")
    assert (again.mode, again.verdict) == ("none", "none")
    fixed = StructuredSupport("json_object")
    fixed.recall("none")
    assert fixed.mode == "json_object"


def test_one_bad_reply_does_not_decide_about_schemas() -> None:
    script = Script(lambda request, _: says("네?" if request.slot in (0, 5, 6, 7, 8) else '{"pairs": []}'))
    run(script, [ask(n, schema=SCHEMA) for n in range(20)], replace(SETTINGS, concurrency=1))
    assert set(script.modes) == {"json_schema"}


def test_a_schema_setting_is_taken_at_its_word() -> None:
    script = Script(lambda *_: says("네"))
    run(script, [ask(n, schema=SCHEMA) for n in range(9)], replace(SETTINGS, structured="json_object"))
    assert set(script.modes) == {"json_object"}
    refusing = Script(lambda *_: failure(400, message="no response_format here"))
    forced = replace(SETTINGS, structured="json_schema")
    assert isinstance(run(refusing, [ask(0, schema=SCHEMA)], forced)[0], RequestRefusedError)


def test_others_do_not_wait_for_ever_for_the_first_with_a_schema() -> None:
    script = Script(lambda *_: says(), seconds=100.0)
    run(script, [ask(n, schema=SCHEMA) for n in range(8)])
    assert [at for at, *_ in script.sent] == [0.0] + [10.0] * 7


def test_the_cache_key_is_what_is_asked_and_nothing_else() -> None:
    key = request_key("m", ask(0))
    assert key == request_key("m", ask(5, step="t"))
    others = [ask(0, "다른 질문"), ask(0, seed=1), ask(0, schema=SCHEMA), ask(0, stop=("\n",)), ask(0, top_p=0.5)]
    assert len({key, request_key("n", ask(0)), *(request_key("m", other) for other in others)}) == 7
    assert claim_of(ask(0, schema=SCHEMA), "m").prompt_tokens > claim_of(ask(0), "m").prompt_tokens
