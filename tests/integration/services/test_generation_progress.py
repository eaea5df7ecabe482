"""A generation job's body: every request and candidate accounted for, money, pace; limits refused when asked for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.api.schemas.generation import GenerationJob
from app.services import datasets, generation
from app.services.context import Services
from app.services.generating import run_generate
from app.services.generation import BudgetRequest, GenerationParams, GenerationRequest
from app.services.generation_progress import account_faults, job_body
from app.settings import Settings
from app.store.generation import SqlPlan, SqlSampleSink
from app.store.group_commit import GroupWriter
from app.store.ledger import SqlLedger
from app.store.queries import change, find
from app.store.tables import JobRow, ReservationRow, SampleRow, SlotRow
from corpora.errors import InvalidInputError
from corpora.records import Candidate, Message, Provenance, Sample, Verdict
from generators.ports import Budget, Claim, Price, Settlement, SlotOutcome, Usage
from tests.integration.services.conftest import context_of

MakeCorpus = Callable[..., tuple[str, list[str]]]
SERVER = Path(__file__).parents[2] / "scripted_server.py"
PRICE = Price(prompt_usd=Decimal("0.15"), completion_usd=Decimal("0.60"))
PAGE = (
    "# 반품 업무\n\n반품이란 고객이 돌려보낸 물건을 창고로 다시 받아 검사하는 업무를 말합니다.\n\n"
    "## 반품 등록\n\n반품을 등록하려면 반품 화면에서 송장 번호를 입력하고 확인 버튼을 눌러 주십시오. "
    "송장 번호가 없으면 고객의 전화번호 뒤 네 자리로 찾을 수 있습니다.\n"
)


def with_settings(services: Services, **fields: Any) -> Services:
    return replace(services, settings=Settings.model_validate(services.settings.model_dump() | fields))


def row_of(services: Services, job_id: str) -> JobRow:
    return services.jobs.get(job_id)


def faults(services: Services, job_id: str, **options: int) -> list[str]:
    with services.store.snapshot() as session:
        return account_faults(session, row_of(services, job_id), services.now(), **options)


def body_at(services: Services, job_id: str, now: float) -> dict[str, Any]:
    with services.store.snapshot() as session:
        body = job_body(session, row_of(services, job_id), now)
    GenerationJob.model_validate(body)
    return json.loads(json.dumps(body))


def sample(slot: int, position: int, *, accepted: bool) -> Sample:
    messages = (Message(role="user", content=f"{slot}번은?"), Message(role="assistant", content="받는 일입니다."))
    provenance = Provenance(generator="rag_qa", slot=slot, model="m", prompt="p@1#a")
    verdict = Verdict(stage="accepted" if accepted else "filter", reason="ok" if accepted else "answer_too_short")
    candidate = Candidate(messages=messages, provenance=provenance)
    return Sample(
        id=f"sample_{slot}_{position}", candidate=candidate, accepted=accepted, verdict=verdict, split="train"
    )


@pytest.fixture
def job_id(services: Services) -> str:
    """A running job with a plan of ten slots, four of them decided: three accepted samples, two rejected, a failure."""
    made = generation.create_job(
        with_settings(services, model_base_url="http://127.0.0.1:9/v1", model="m"),
        GenerationRequest(generators=[{"type": "self_instruct"}]),
    )
    assert services.jobs.claim("a", ["generate"])
    SqlPlan(services.store, made["id"], 1).put([("self_instruct", False, None)] * 10)
    sink = SqlSampleSink(services.store, made["id"], 1, made["dataset_id"])
    for slot, verdicts in enumerate(((True, False), (True,), (), (True, False))):
        samples = tuple(sample(slot, position, accepted=entry) for position, entry in enumerate(verdicts))
        failed = None if verdicts else "context_too_small"
        sink.commit(
            SlotOutcome(
                slot=slot, generator="self_instruct", samples=samples, failed=failed, usage=Usage(cached_requests=1)
            )
        )
    return str(made["id"])


def send(services: Services, job_id: str, *outcomes: str | None, price: Price | None = PRICE) -> None:
    """Requests that ended so; None is one that is still in flight."""

    async def work(writer: GroupWriter) -> None:
        ledger = SqlLedger(writer, Budget(), {"m": price} if price else {})
        for slot, outcome in enumerate(outcomes):
            claim = Claim(slot=slot, step="tasks", model="m", prompt_tokens=1000, completion_tokens=500)
            number = await ledger.reserve(claim)
            if outcome is not None:
                tokens = (800, 200) if outcome == "ok" else (0, 0)
                ended = Settlement(
                    prompt_tokens=tokens[0], completion_tokens=tokens[1], outcome=outcome, latency_s=slot + 0.5
                )
                await ledger.settle(number, ended)

    with contextlib.closing(GroupWriter(services.store, job_id, 1)) as writer:
        asyncio.run(work(writer))


def test_every_request_is_accounted_for(services: Services, job_id: str) -> None:
    send(services, job_id, "ok", "http_429", "ok", "http_429", "ok", "timeout", None, None)
    body = body_at(services, job_id, services.now())
    assert body["requests_by_outcome"] == {"ok": 3, "http_429": 2, "unsettled": 2, "timeout": 1}
    assert body["usage"] == {
        "requests": 8,
        "cached_requests": 4,
        "prompt_tokens": 3 * 800 + 2 * 1000,
        "completion_tokens": 3 * 200 + 2 * 500,
        "cost_usd": 0.00162,  # 4400 x 0.15 + 1600 x 0.60 dollars a million
    }
    assert body["in_flight"] == 2
    assert body["latency"] == {"p50_s": 2.5, "p95_s": 4.5}
    assert body["failures"] == {"context_too_small": 1}
    assert body["progress"] == {
        "target": None, "planned": 10, "done": 3, "empty": 0, "failed": 1, "pending": 6, "accepted": 3, "rejected": 2,
    }  # fmt: skip
    assert faults(services, job_id) == []
    # Nothing is in flight once the attempt is over, but nobody knows how these two ended.
    services.jobs.finish(job_id, 1, "paused")
    body = body_at(services, job_id, services.now())
    assert (body["in_flight"], body["requests_by_outcome"]["unsettled"]) == (0, 2)
    assert (body["rate"], body["estimated_finish_at"]) == (None, None)
    assert faults(services, job_id) == []


def test_what_does_not_add_up_is_found(services: Services, job_id: str) -> None:
    assert faults(services, job_id) == []
    assert [fault.split(":")[0] for fault in faults(services, job_id, removed=1)] == [
        "candidates of the slots = samples + removed"
    ]
    with services.store.write() as session:
        change(session, SlotRow, SlotRow.job_id == job_id, SlotRow.slot == 1, slot=5)
        change(session, SampleRow, SampleRow.job_id == job_id, SampleRow.slot == 1, status="lost")
        change(session, SlotRow, SlotRow.job_id == job_id, SlotRow.slot == 0, requests=1)
    assert [fault.split(":")[0] for fault in faults(services, job_id)] == [
        "stored slots without a gap",
        "samples = accepted + rejected",
        "requests of the slots",
    ]


def test_money_is_unknown_where_a_model_has_no_price(services: Services, job_id: str) -> None:
    assert body_at(services, job_id, services.now())["usage"]["cost_usd"] == 0  # nothing was sent
    send(services, job_id, "ok", price=None)
    assert body_at(services, job_id, services.now())["usage"]["cost_usd"] is None


def test_rates_and_the_end_follow_from_what_is_stored(services: Services, job_id: str) -> None:
    began = 1_000_000.0
    send(services, job_id, *["ok"] * 30)
    with services.store.write() as session:
        change(session, JobRow, JobRow.id == job_id, started_at=began)
        for slot in range(4):  # one slot every ten seconds
            mine = (SlotRow.job_id == job_id, SlotRow.slot == slot)
            change(session, SlotRow, *mine, created_at=began + 10 * (slot + 1))
        for number in range(1, 31):
            mine = (ReservationRow.job_id == job_id, ReservationRow.number == number)
            change(session, ReservationRow, *mine, settled_at=began + number)
    body = body_at(services, job_id, began + 40)
    assert body["rate"] == {"requests_per_second": 0.75, "accepted_per_minute": 4.5}
    assert body["estimated_finish_at"] == began + 40 + 60  # six slots are left
    body = body_at(services, job_id, began + 85)  # half of the requests and the last two slots are in the last minute
    assert body["rate"] == {"requests_per_second": 0.1, "accepted_per_minute": 1.0}
    # A target may come before the plan is used up: 2 accepted in 30 s after the first slot, 1 wanted.
    with services.store.write() as session:
        params = row_of(services, job_id).params | {"target": 4}
        change(session, JobRow, JobRow.id == job_id, params=params)
    assert body_at(services, job_id, began + 40)["estimated_finish_at"] == began + 40 + 15
    # Long silence: nobody knows.
    late = body_at(services, job_id, began + 10_000)
    assert (late["estimated_finish_at"], late["rate"]["requests_per_second"]) == (None, 0.0)


def test_the_end_is_unknown_before_two_slots(services: Services) -> None:
    made = generation.create_job(
        with_settings(services, model_base_url="http://127.0.0.1:9/v1", model="m"),
        GenerationRequest(generators=[{"type": "self_instruct"}]),
    )
    assert (made["estimated_finish_at"], made["latency"], made["rate"], made["in_flight"]) == (None, None, None, 0)
    services.jobs.claim("a", ["generate"])
    body = body_at(services, made["id"], services.now())
    assert body["estimated_finish_at"] is None
    assert body["rate"] == {"requests_per_second": 0.0, "accepted_per_minute": 0.0}
    assert faults(services, made["id"]) == []


def test_limits_in_dollars_need_prices(services: Services, corpus: MakeCorpus) -> None:
    corpus_id, _ = corpus(PAGE)
    modelled = with_settings(
        services,
        model_base_url="http://127.0.0.1:9/v1",
        model="gpt-4o-mini",
        model_prices={"싼-심판": ["0.01", "0.02"]},
    )

    def create(**fields: Any) -> dict[str, Any]:
        request = {"corpus_id": corpus_id, "budget": {"max_cost_usd": 0.0005}} | fields
        return generation.create_job(modelled, GenerationRequest.model_validate(request))

    job = create(judge_model="싼-심판")
    assert (job["model"], job["judge_model"]) == ("gpt-4o-mini", "싼-심판")
    assert row_of(services, job["id"]).params["budget"]["max_cost_usd"] == "0.0005"
    create(generators=[{"type": "extractive_qa"}], model="no-price")  # which is not asked
    for fields in ({"model": "no-price"}, {"judge_model": "no-price"}):
        with pytest.raises(InvalidInputError, match="'no-price' has no price") as caught:
            create(**fields)
        assert (caught.value.param, caught.value.status) == ("budget.max_cost_usd", 400)
    # Neither can a limit come later.
    job = create(model="no-price", budget={})
    generation.stop_job(modelled, job["id"], "pause")
    with pytest.raises(InvalidInputError, match="'no-price' has no price"):
        generation.resume_job(modelled, job["id"], budget=BudgetRequest(max_cost_usd=Decimal(1)))
    assert generation.get_job(modelled, job["id"])["status"] == "paused"
    generation.resume_job(modelled, job["id"], budget=BudgetRequest(max_requests=1))


def test_a_judge_needs_an_endpoint(services: Services, corpus: MakeCorpus) -> None:
    corpus_id, _ = corpus(PAGE)
    request = GenerationRequest(corpus_id=corpus_id, judge_model="m")
    with pytest.raises(InvalidInputError, match="MALMOI_MODEL_BASE_URL") as caught:
        generation.create_job(services, request)
    assert caught.value.param == "judge_model"
    named = with_settings(services, model_base_url="http://127.0.0.1:9/v1", model="m", judge_model="심판")
    assert generation.create_job(named, GenerationRequest(corpus_id=corpus_id))["judge_model"] == "심판"


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    log = tmp_path / "requests.jsonl"
    log.touch()
    command = [sys.executable, str(SERVER), "--port", "0", "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        process.kill()


def test_a_job_with_a_limit_in_dollars_keeps_it(services: Services, corpus: MakeCorpus, endpoint: str) -> None:
    """A real job against a scripted endpoint: it ends short of its plan, what it has stays, and it all adds up."""
    corpus_id, _ = corpus(*(PAGE.replace("반품", name) for name in ("반품", "보충", "상차", "하차", "실사", "검품")))
    prices = {"scripted-429-then-ok": ["1", "2"]}
    modelled = with_settings(services, model_base_url=endpoint, model="scripted-429-then-ok", model_prices=prices)
    job = generation.create_job(
        modelled,
        GenerationRequest.model_validate({"corpus_id": corpus_id, "budget": {"max_cost_usd": 0.02}}),
    )
    row = services.jobs.claim("test", ["generate"])
    assert row is not None
    context = context_of(modelled, row.id, row.attempt)
    outcome = run_generate(modelled, context, GenerationParams.model_validate(row.params))
    services.jobs.finish(row.id, row.attempt, outcome.status, outcome.result, outcome.error)
    body = body_at(services, job["id"], services.now())
    assert faults(services, job["id"]) == []
    assert (outcome.status, body["error"]["code"]) == ("incomplete", "budget_exhausted")
    assert 0 < body["usage"]["cost_usd"] <= 0.02
    assert body["requests_by_outcome"]["http_429"] > 0
    assert body["requests_by_outcome"]["ok"] > 0
    assert body["progress"]["pending"] > 0
    with services.store.read() as session:
        mine = (ReservationRow.job_id == job["id"], ReservationRow.outcome == "ok", ReservationRow.number == 1)
        assert find(session, ReservationRow, *mine) is None  # the first answer of this model is always a 429
    assert datasets.get_dataset(services, job["dataset_id"])["sample_count"] == body["progress"]["accepted"]
