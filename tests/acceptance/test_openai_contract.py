"""OpenAI's contract, by the official client with strict validation of every answer, sync and async, on one service.

Only a paused job is read without it: OpenAI's own type lacks that status.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from app.api.schemas import chat, common, embeddings
from app.api.schemas import openai as shapes
from app.store.database import open_store
from app.store.leases import Leases, ResourceHeldError
from corpora.bundled import MANUAL_DIR
from tests.acceptance.conftest import Service, start
from tests.acceptance.test_bad_input import error_of
from tests.acceptance.test_openapi import answers
from tests.tiny_base import build_tiny_base

#: Long enough to be paused in the middle, and seconds on the tiny base.
STEPS = 120
RECIPE = {"recipe": "demo"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service with a tiny base, and folders that are no bases."""
    models = tmp_path_factory.mktemp("contract") / "models"
    build_tiny_base(models / "회사" / "tiny", MANUAL_DIR)
    evil = models / "evil"
    evil.mkdir()
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "auto_map": {"AutoModel": "m.Evil"}}
    (evil / "config.json").write_text(json.dumps(config))
    (evil / "model.safetensors").write_bytes(b"")
    running = start(models.parent / "data", {"MALMOI_MODELS_DIR": str(models)})
    yield running
    running.close()


@pytest.fixture(scope="module")
def client(service: Service) -> OpenAI:
    return service.client


def rows(count: int = 24, start: int = 0) -> bytes:
    lines = [
        {"messages": [{"role": "user", "content": f"{n}번 도크는?"}, {"role": "assistant", "content": f"{n}층입니다."}]}
        for n in range(start, start + count)
    ]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()


#: Three answers, of which the first is not to be learned.
TURNS = [
    {"role": "user", "content": "3번 도크는?"},
    {"role": "assistant", "content": "모르겠습니다.", "weight": 0},
    {"role": "user", "content": "그럼 4번 도크는?"},
    {"role": "assistant", "content": "4층입니다.", "weight": 1},
    {"role": "user", "content": "고맙습니다."},
    {"role": "assistant", "content": "천만에요."},
]


@pytest.fixture(scope="module")
def file_id(client: OpenAI) -> str:
    return client.files.create(file=("학습.jsonl", rows()), purpose="fine-tune").id


def until(what: Callable[[], Any], seconds: float = 120) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def asynchronous(service: Service) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{service.address}/v1", api_key="unused", _strict_response_validation=True)


@contextmanager
def gpu_held(service: Service) -> Iterator[None]:
    """Jobs made meanwhile stay in the queue: no trainer is started for what is cancelled at once."""
    store = open_store(None, service.data_dir)
    leases, taken = Leases(store, "gpu"), list[str]()

    def take() -> bool:
        with suppress(ResourceHeldError):
            taken.append(leases.take("test", lease_s=600))
        return bool(taken)

    until(take)
    try:
        yield
    finally:
        leases.give_back(taken[0])
        store.dispose()


# -- the whole life ----------------------------------------------------------------------------------------------------


def test_a_model_from_file_to_deletion(service: Service, client: OpenAI) -> None:
    jobs = client.fine_tuning.jobs
    turns = (json.dumps({"messages": TURNS}, ensure_ascii=False) + "\n").encode()
    file = client.files.create(file=("학습.jsonl", rows(23) + turns), purpose="fine-tune")
    assert client.files.wait_for_processing(file.id).status == "processed"
    valid = client.files.create(file=("검증.jsonl", rows(6, 100)), purpose="fine-tune")
    job = jobs.create(
        model="회사/tiny",
        training_file=file.id,
        validation_file=valid.id,
        suffix="물류 v1",
        seed=7,
        metadata={"팀": "물류"},
        method={"type": "supervised", "supervised": {"hyperparameters": {"batch_size": 4}}},
        extra_body=RECIPE | {"max_steps": STEPS, "early_stopping_patience": 0},
    )
    assert (job.status, job.model, job.seed, job.result_files) == ("queued", "회사/tiny", 7, [])
    assert (job.validation_file, job.metadata) == (valid.id, {"팀": "물류"})
    assert job.hyperparameters.batch_size == 4
    pause_in_the_middle(service, client, job.id)
    ended = service.wait(f"/fine_tuning/jobs/{job.id}")
    assert ended["status"] == "succeeded", ended
    done = jobs.retrieve(job.id)
    model = f"ft:회사/tiny:malmoi:물류-v1:{job.id[-8:]}"
    assert (done.fine_tuned_model, done.error, done.estimated_finish) == (model, None, None)
    assert done.finished_at is not None
    assert (done.trained_tokens or 0) > 0
    assert ended["losses"]["train_loss_after"] < ended["losses"]["train_loss_before"]
    assert ended["steps"] == STEPS
    look_at_events(client, job.id)
    asyncio.run(walk_events_and_checkpoints(service, client, job.id))
    look_at_results(client, done.result_files)
    look_at_raw_answers(service, job.id, model)
    look_at_checkpoints_and_models(service, client, job.id, model)


def pause_in_the_middle(service: Service, client: OpenAI, job_id: str) -> None:
    lax = OpenAI(base_url=f"{service.address}/v1", api_key="unused")
    events = client.fine_tuning.jobs.list_events
    until(lambda: [event for event in events(job_id, limit=100).data if event.type == "metrics"])
    lax.fine_tuning.jobs.pause(job_id)
    until(lambda: str(lax.fine_tuning.jobs.retrieve(job_id).status) == "paused")
    # What it has learned is kept, and is a model already.
    kept = client.fine_tuning.jobs.checkpoints.list(job_id).data
    assert kept
    assert 0 < kept[0].step_number < STEPS
    assert client.models.retrieve(kept[0].fine_tuned_model_checkpoint).id == kept[0].fine_tuned_model_checkpoint
    with pytest.raises(openai.BadRequestError) as caught:
        client.models.delete(kept[0].fine_tuned_model_checkpoint)
    assert caught.value.code == "model_in_use"
    with pytest.raises(openai.BadRequestError):
        lax.fine_tuning.jobs.pause(job_id)
    assert client.fine_tuning.jobs.resume(job_id).status == "queued"
    lax.close()


def look_at_events(client: OpenAI, job_id: str) -> None:
    page = client.fine_tuning.jobs.list_events(job_id)
    assert len(page.data) == 20
    assert page.has_more
    # Page after page by the client's own iterator: each event once, the newest first.
    events = list(client.fine_tuning.jobs.list_events(job_id, limit=7))
    numbers = [int(event.id.removeprefix("ftevent-")) for event in events]
    assert numbers == sorted(set(numbers), reverse=True)
    metrics = [event.data for event in events if event.type == "metrics"]
    steps = [data["step"] for data in metrics if isinstance(data, dict)]
    assert max(steps) == STEPS
    assert any("train_loss" in data for data in metrics if isinstance(data, dict))
    assert any("이어서" in event.message for event in events)


async def walk_events_and_checkpoints(service: Service, client: OpenAI, job_id: str) -> None:
    """The async client's own iterators turn pages of one as the sync one turns its own."""
    jobs = client.fine_tuning.jobs
    events = [event.id for event in jobs.list_events(job_id, limit=1000)]
    checkpoints = [checkpoint.id for checkpoint in jobs.checkpoints.list(job_id, limit=1000)]
    assert len(checkpoints) > 1
    async with asynchronous(service) as same:
        walked = [entry.id async for entry in same.fine_tuning.jobs.checkpoints.list(job_id, limit=1)]
        assert walked == checkpoints
        # A run has hundreds of events: twenty pages of one, and the rest in large ones.
        seen: list[str] = []
        async for event in same.fine_tuning.jobs.list_events(job_id, limit=1):
            seen.append(event.id)
            if len(seen) == 20:
                break
        assert seen == events[:20]
        rest = same.fine_tuning.jobs.list_events(job_id, after=seen[-1], limit=100)
        assert [event.id async for event in rest] == events[20:]


def look_at_results(client: OpenAI, result_files: list[str]) -> None:
    files = [client.files.retrieve(result) for result in result_files]
    assert {file.purpose for file in files} == {"fine-tune-results"}
    assert files[0].filename == "step_metrics.csv"
    header, *lines = client.files.content(files[0].id).text.splitlines()
    assert header.startswith("step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy")
    assert lines[-1].startswith(f"{STEPS},")
    for plot in files[1:]:
        assert client.files.content(plot.id).read().startswith(b"\x89PNG")
    assert result_files[0] in [file.id for file in client.files.list(purpose="fine-tune-results")]


def look_at_raw_answers(service: Service, job_id: str, model: str) -> None:
    """What is ours is in the answers too, and everything is as the API describes it."""
    ok, path = service.ok, f"/fine_tuning/jobs/{job_id}"
    job = answers(shapes.FineTuningJob, ok("GET", path))
    assert job["preflight"]["train"]["rows"] == 24
    # What is trained is marked: answers with their stop tokens, but for the one of weight 0.
    first, *_, last = job["preflight"]["samples"]
    assert (first["line"], last["line"]) == (1, 24)
    assert first["text"] == "<s>[질문]\n0번 도크는?\n[답변]\n⟦0층입니다.</s>⟧\n"
    assert last["text"] == (
        "<s>[질문]\n3번 도크는?\n[답변]\n모르겠습니다.</s>\n[질문]\n그럼 4번 도크는?\n[답변]\n⟦4층입니다.</s>⟧\n"
        "[질문]\n고맙습니다.\n[답변]\n⟦천만에요.</s>⟧\n"
    )
    assert 0 < last["trained_tokens"] < last["tokens"]
    answers(common.ListOf[shapes.FineTuningJob], ok("GET", "/fine_tuning/jobs"))
    plot = service.http.get(f"{path}/plot")
    assert (plot.status_code, plot.headers["content-type"]) == (200, "image/png")
    assert plot.content.startswith(b"\x89PNG")
    events = answers(common.ListOf[common.Event], ok("GET", f"{path}/events?limit=1000"))["data"]
    assert any("preflight" in (event["data"] or {}) for event in events)
    checkpoints = answers(common.ListOf[shapes.Checkpoint], ok("GET", f"{path}/checkpoints"))
    assert checkpoints["first_id"] == checkpoints["data"][0]["id"]
    answers(common.ListOf[shapes.File], ok("GET", "/files"))
    answers(shapes.ModelList, ok("GET", "/models"))
    for name in (model, checkpoints["data"][0]["fine_tuned_model_checkpoint"], "회사/tiny"):
        answers(shapes.Model, ok("GET", f"/models/{name}"))
    asked = {"model": model, "messages": [{"role": "user", "content": "3번 도크는?"}], "max_tokens": 3}
    answers(chat.ChatCompletion, ok("POST", "/chat/completions", json=asked))
    for encoding in ("float", "base64"):
        body = {"model": "hashed", "input": "도크", "encoding_format": encoding}
        answers(embeddings.Embeddings, ok("POST", "/embeddings", json=body))


def look_at_checkpoints_and_models(service: Service, client: OpenAI, job_id: str, model: str) -> None:
    checkpoints = list(client.fine_tuning.jobs.checkpoints.list(job_id, limit=1))
    steps = [checkpoint.step_number for checkpoint in checkpoints]
    assert steps == sorted(set(steps), reverse=True)
    names = [checkpoint.fine_tuned_model_checkpoint for checkpoint in checkpoints]
    assert names == [f"{model}:ckpt-step-{step}" for step in steps]
    assert {checkpoint.fine_tuning_job_id for checkpoint in checkpoints} == {job_id}
    listed = [entry.id for entry in client.models.list()]
    assert {model, "회사/tiny", "malmoi-demo"} <= set(listed)
    assert not set(names) & set(listed)
    for name in (model, names[-1], "회사/tiny"):
        assert client.models.retrieve(name).id == name
        reply = client.chat.completions.create(
            model=name, messages=[{"role": "user", "content": "3번 도크는?"}], max_tokens=3, temperature=0
        )
        assert reply.model == name
        assert reply.choices[0].finish_reason in ("stop", "length")
    assert client.models.delete(names[-1]).deleted
    answers(shapes.ModelDeleted, service.ok("DELETE", f"/models/{model}"))
    for name in (model, *names):
        with pytest.raises(openai.NotFoundError) as caught:
            client.models.retrieve(name)
        assert caught.value.code == "model_not_found"
    assert error_of(service.http.get(f"/fine_tuning/jobs/{job_id}/plot"), 404)["code"] == "plot_not_ready"
    run = service.data_dir / "runs" / job_id / "out"
    assert not (run / "adapter").exists()
    assert not list((run / "checkpoints").glob("checkpoint-*"))


# -- pages, sync and async ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def idle_jobs(service: Service, client: OpenAI, file_id: str) -> list[str]:
    """Jobs that ended before they began, the newest first."""
    made = []
    with gpu_held(service):
        for number in range(5):
            job = client.fine_tuning.jobs.create(
                model="회사/tiny", training_file=file_id, seed=number, metadata={"묶음": "쪽", "번호": str(number)}
            )
            client.fine_tuning.jobs.cancel(job.id)
            made.append(job.id)
    return made[::-1]


def test_pages_by_the_clients_own_iterators(service: Service, client: OpenAI, idle_jobs: list[str]) -> None:
    assert [job.id for job in client.fine_tuning.jobs.list(limit=2, metadata={"묶음": "쪽"})] == idle_jobs
    one = client.fine_tuning.jobs.list(metadata={"묶음": "쪽", "번호": "3"})
    assert [job.id for job in one] == [idle_jobs[1]]
    assert not list(client.fine_tuning.jobs.list(metadata={"묶음": ""}))
    without = service.ok("GET", "/fine_tuning/jobs?metadata=null&limit=1000")["data"]
    assert not {job["id"] for job in without} & set(idle_jobs)
    error_of(service.http.get("/fine_tuning/jobs?metadata=kr"))
    error_of(service.http.get("/fine_tuning/jobs?limit=0"))
    error_of(service.http.get("/fine_tuning/jobs?after=ftjob-none"))

    async def walk() -> tuple[list[str], list[str]]:
        async with asynchronous(service) as same:
            jobs = [job.id async for job in same.fine_tuning.jobs.list(limit=2, metadata={"묶음": "쪽"})]
            job = await same.fine_tuning.jobs.retrieve(jobs[0])
            assert job.status == "cancelled"
            made = [(await same.files.create(file=(f"쪽-{n}.jsonl", rows()), purpose="user_data")).id for n in range(3)]
            files = [file.id async for file in same.files.list(limit=1, purpose="user_data", order="asc")]
            assert [file for file in files if file in made] == made
            for file in made:
                assert (await same.files.delete(file)).deleted
            with pytest.raises(openai.NotFoundError) as caught:
                await same.files.retrieve(made[0])
            assert caught.value.code == "file_not_found"
            models = [model.id async for model in same.models.list()]
            return jobs, models

    jobs, models = asyncio.run(walk())
    assert jobs == idle_jobs
    assert "회사/tiny" in models


def test_the_async_client_creates_cancels_and_embeds(service: Service, client: OpenAI, file_id: str) -> None:
    texts: Any = {"model": "hashed", "input": ["냉장 창고", "도크"], "encoding_format": "float"}

    async def ask() -> None:
        async with asynchronous(service) as same:
            made = await same.fine_tuning.jobs.create(model="회사/tiny", training_file=file_id, extra_body=RECIPE)
            assert (made.status, made.error) == ("queued", None)
            assert (await same.fine_tuning.jobs.cancel(made.id)).status == "cancelled"
            with pytest.raises(openai.BadRequestError) as caught:
                await same.fine_tuning.jobs.cancel(made.id)
            assert caught.value.code == "invalid_state"
            found = await same.embeddings.create(**texts)
            assert found.data == client.embeddings.create(**texts).data

    with gpu_held(service):
        asyncio.run(ask())


# -- files -------------------------------------------------------------------------------------------------------------


def test_files_may_expire(service: Service, client: OpenAI) -> None:
    file = client.files.create(
        file=("잠깐.jsonl", rows()), purpose="fine-tune", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert file.expires_at == file.created_at + 3600
    assert client.files.content(file.id).read() == rows()
    for seconds, field in ((3599, "seconds"), (2_592_001, "seconds")):
        with pytest.raises(openai.BadRequestError) as caught:
            client.files.create(
                file=("a", b"x"), purpose="fine-tune", expires_after={"anchor": "created_at", "seconds": seconds}
            )
        assert caught.value.param == f"expires_after[{field}]"
    form: Any = {"files": {"file": ("a", b"x")}, "data": {"purpose": "fine-tune", "expires_after[seconds]": "3600"}}
    assert error_of(service.http.post("/files", **form))["param"] == "expires_after[anchor]"
    with pytest.raises(openai.BadRequestError) as caught:
        client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
    assert (caught.value.code, caught.value.param) == ("invalid_purpose", "purpose")
    assert "Batch API" in caught.value.message


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "param", "words"),
    [
        ({"suffix": "가" * 65}, "suffix", "at most 64 characters, not 65"),
        ({"suffix": ""}, "suffix", ""),
        ({"hyperparameters": {"n_epochs": 10_001}}, "hyperparameters.n_epochs", "less than or equal to 50"),
        (
            {"method": {"type": "supervised", "supervised": {"hyperparameters": {"batch_size": 257}}}},
            "method.supervised.hyperparameters.batch_size",
            "256",
        ),
        (
            {"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 2.5}}}},
            "method.dpo.hyperparameters.beta",
            "less than or equal to 2",
        ),
        ({"method": {"type": "reinforcement"}}, "method.type", "'dpo'"),
        ({"method": {"type": "dpo", "supervised": {}}}, "method", "'supervised' is given"),
        ({"seed": -1}, "seed", "0"),
        ({"seed": 2**31}, "seed", "2147483647"),
        ({"metadata": {f"k{n}": "v" for n in range(17)}}, "metadata", "16"),
        ({"metadata": {"팀": "가" * 513}}, "metadata.팀", "512"),
        ({"integrations": [{"type": "wandb", "wandb": {}}]}, "integrations.0.wandb.project", "required"),
        ({"integrations": [{"type": "wandb", "wandb": {"project": "p"}}] * 6}, "integrations", "5"),
        ({"integrations": [{"type": "wandb", "wandb": {"project": "p"}}] * 2}, "integrations", "one integration"),
        ({"training_file": "file-none"}, "training_file", "file-none"),
        ({"training_file": "dataset_none"}, "training_file", "dataset_none"),
        ({"validation_file": "<same>"}, "validation_file", "same rows"),
        ({"model": "evil"}, "model", "auto_map"),
        ({"model": "none"}, "model", "GET /v1/models"),
        ({"model": "ft:회사/tiny:malmoi::12345678"}, "model", "fine-tuned"),
        ({"recipe": "none"}, "recipe", "auto"),
        ({"packing": "maybe"}, "packing", "boolean"),
        ({"max_length": 1}, "max_length", "16"),
        ({"allow_truncated": 1.5}, "allow_truncated", "1"),
        ({"validation_fraction": 0}, "validation_fraction", "greater than 0"),
        ({"validation_fraction": 0.51}, "validation_fraction", "0.5"),
        ({"validation_fraction": 0.1, "validation_file": "<same>"}, "validation_fraction", "one of the two"),
        ({"lora": {"rank": 4}}, "lora.rank", "not permitted"),
        ({"learning_rate": 1}, "learning_rate", "not permitted"),
    ],
)
def test_requests_that_are_refused(service: Service, file_id: str, change: Any, param: str, words: str) -> None:
    body = {"model": "회사/tiny", "training_file": file_id} | change
    if body.get("validation_file") == "<same>":
        body["validation_file"] = file_id
    error = error_of(service.http.post("/fine_tuning/jobs", json=body))
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert words in error["message"]


def test_what_has_ended_is_not_asked_again(service: Service, idle_jobs: list[str]) -> None:
    """The client sends a 409 three times; a 400 once."""
    sent: list[str] = []
    http = openai.DefaultHttpxClient(event_hooks={"request": [lambda request: sent.append(request.url.path)]})
    with OpenAI(base_url=f"{service.address}/v1", api_key="unused", http_client=http) as counting:
        for ask in (
            counting.fine_tuning.jobs.cancel,
            counting.fine_tuning.jobs.pause,
            counting.fine_tuning.jobs.resume,
        ):
            with pytest.raises(openai.BadRequestError) as caught:
                ask(idle_jobs[0])
            assert (caught.value.code, caught.value.type) == ("invalid_state", "invalid_request_error")
        assert len(sent) == 3
        with pytest.raises(openai.NotFoundError) as missing:
            counting.fine_tuning.jobs.retrieve("ftjob-none")
        assert missing.value.code == "fine_tune_not_found"
        assert missing.value.request_id


def test_a_wrong_file_fails_the_job_and_not_the_request(service: Service, client: OpenAI) -> None:
    file = client.files.create(file=("짧은.jsonl", rows(7)), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(model="회사/tiny", training_file=file.id)
    service.wait(f"/fine_tuning/jobs/{job.id}")
    failed = client.fine_tuning.jobs.retrieve(job.id)
    assert failed.status == "failed"
    assert failed.error is not None
    assert (failed.error.code, failed.error.param) == ("invalid_n_examples", "training_file")
    # OpenAI's words, and behind them what to do.
    assert failed.error.message.startswith("Training file has 7 example(s), but must have at least 10 examples (add 3 ")
    # Ours beside OpenAI's three: whether a resume has a chance.
    assert failed.error.model_extra == {"retryable": False}


@pytest.mark.long
def test_preferences_are_learned_too(service: Service, client: OpenAI) -> None:
    pairs = [
        {
            "input": {"messages": [{"role": "user", "content": f"{n}번 도크는?"}]},
            "preferred_output": [{"role": "assistant", "content": f"{n}층입니다."}],
            "non_preferred_output": [{"role": "assistant", "content": "몰라요."}],
        }
        for n in range(12)
    ]
    data = "".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs).encode()
    dpo: Any = {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.2}}}
    jobs = []
    # Conversations are no pairs: the job says so, and its line.
    for content in (data, rows()):
        file = client.files.create(file=("선호.jsonl", content), purpose="fine-tune")
        made = client.fine_tuning.jobs.create(
            model="회사/tiny", training_file=file.id, method=dpo, extra_body=RECIPE | {"max_steps": 4}
        )
        service.wait(f"/fine_tuning/jobs/{made.id}")
        jobs.append(client.fine_tuning.jobs.retrieve(made.id))
    learned, failed = jobs
    assert (learned.status, learned.error) == ("succeeded", None)
    assert learned.method is not None
    assert learned.method.dpo is not None
    hyper = learned.method.dpo.hyperparameters
    assert hyper is not None
    assert (hyper.beta, type(hyper.n_epochs)) == (0.2, int)
    answers(shapes.FineTuningJob, service.ok("GET", f"/fine_tuning/jobs/{learned.id}"))
    assert failed.error is not None
    assert (failed.error.code, failed.error.param) == ("invalid_training_file", "training_file")
    assert failed.error.message.startswith("line 1:")


# -- retries -----------------------------------------------------------------------------------------------------------


class Forgetful(httpx2.HTTPTransport):
    """Sends the request and loses the first answer on its way back."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        if request.method == "POST" and not self.lost:
            response.read()
            self.lost += 1
            raise httpx2.ReadTimeout("nothing came back", request=request)
        return response


def jobs_of(client: OpenAI, group: str) -> list[str]:
    return [job.id for job in client.fine_tuning.jobs.list(metadata={"묶음": group})]


def test_a_retry_of_the_client_makes_no_second_job(service: Service, client: OpenAI, file_id: str) -> None:
    transport = Forgetful()
    http = openai.DefaultHttpxClient(transport=transport)
    address = f"{service.address}/v1"
    with (
        gpu_held(service),
        OpenAI(base_url=address, api_key="unused", http_client=http, _strict_response_validation=True) as unlucky,
    ):
        job = unlucky.fine_tuning.jobs.create(
            model="회사/tiny", training_file=file_id, metadata={"묶음": "재시도"}, extra_body=RECIPE
        )
        assert transport.lost == 1
        assert jobs_of(client, "재시도") == [job.id]
        # Asked twice on purpose: two jobs.
        second = unlucky.fine_tuning.jobs.create(
            model="회사/tiny", training_file=file_id, metadata={"묶음": "재시도"}, extra_body=RECIPE
        )
        assert jobs_of(client, "재시도") == [second.id, job.id]
        for made in (job, second):
            client.fine_tuning.jobs.cancel(made.id)


def test_a_retry_of_the_client_makes_no_second_file(service: Service, client: OpenAI) -> None:
    transport = Forgetful()
    http = openai.DefaultHttpxClient(transport=transport)

    def named(name: str) -> list[str]:
        return [file.id for file in client.files.list(purpose="user_data") if file.filename == name]

    with OpenAI(
        base_url=f"{service.address}/v1", api_key="unused", http_client=http, _strict_response_validation=True
    ) as unlucky:
        file = unlucky.files.create(file=("재시도.jsonl", rows()), purpose="user_data")
        assert transport.lost == 1
        assert named("재시도.jsonl") == [file.id]
        # Sent twice on purpose: two files. Other bytes, or another name, are another request.
        second = unlucky.files.create(file=("재시도.jsonl", rows()), purpose="user_data")
        assert named("재시도.jsonl") == [second.id, file.id]
    made = {file.id, second.id}
    for name, data in (("재시도.jsonl", rows(3)), ("다른 이름.jsonl", rows()), ("재시도.jsonl", rows())):
        response = service.http.post(
            "/files",
            files={"file": (name, data)},
            data={"purpose": "user_data"},
            headers={"x-stainless-retry-count": "1", "Authorization": "Bearer unused"},
        )
        assert response.status_code == 200, response.text
        replayed = (name, data) == ("재시도.jsonl", rows())
        assert ("Idempotent-Replayed" in response.headers) == replayed
        assert (response.json()["id"] in made) == replayed
        made.add(response.json()["id"])


def test_retries_are_told_by_body_and_key(service: Service, client: OpenAI, file_id: str) -> None:
    body = {"model": "회사/tiny", "training_file": file_id, "metadata": {"묶음": "머리글"}}

    def send(retries: int, key: str = "one", **change: Any) -> tuple[str, bool]:
        headers = {"x-stainless-retry-count": str(retries), "Authorization": f"Bearer {key}"}
        response = service.http.post("/fine_tuning/jobs", json=body | change, headers=headers)
        assert response.status_code == 200, response.text
        return response.json()["id"], "Idempotent-Replayed" in response.headers

    with gpu_held(service):
        first, _ = send(0)
        assert send(1) == (first, True)
        assert send(2) == (first, True)
        assert send(1, key="two")[0] != first
        assert send(1, seed=3)[0] != first
        made = jobs_of(client, "머리글")
        assert len(made) == 3
        for job in made:
            client.fine_tuning.jobs.cancel(job)


# -- embeddings --------------------------------------------------------------------------------------------------------


def test_embeddings(service: Service, client: OpenAI) -> None:
    texts = ["냉장 창고의 온도를 확인합니다.", "냉장 창고 온도 확인", "점심은 비빔밥입니다."]
    # The client asks for base64 unless told otherwise, and reads it; its strict validation comes before its reading.
    with OpenAI(base_url=f"{service.address}/v1", api_key="unused") as lax:
        found = lax.embeddings.create(model="hashed", input=texts)
    vectors = [entry.embedding for entry in found.data]
    assert [entry.index for entry in found.data] == [0, 1, 2]
    assert found.usage.prompt_tokens == found.usage.total_tokens > 0
    numbers = client.embeddings.create(model="hashed", input=texts, encoding_format="float")
    assert [entry.embedding for entry in numbers.data] == vectors

    def cosine(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert cosine(vectors[0], vectors[0]) == pytest.approx(1, abs=1e-5)
    assert cosine(vectors[0], vectors[1]) > 0.5 > cosine(vectors[0], vectors[2])
    plain: Any = {"model": "hashed", "encoding_format": "float"}
    one = client.embeddings.create(input=texts[0], dimensions=len(vectors[0]), **plain)
    assert one.data[0].embedding == pytest.approx(vectors[0])
    weighted = client.embeddings.create(input=texts, extra_body={"corpus_id": service.corpus()}, **plain)
    assert weighted.data[0].embedding != vectors[0]


@pytest.mark.parametrize(
    ("change", "param", "words"),
    [
        ({"model": "text-embedding-3-small"}, "model", "hashed"),
        ({"input": ""}, "input", "empty"),
        ({"input": ["가", " "]}, "input", "item 1"),
        ({"input": []}, "input", ""),
        ({"input": [1, 2, 3]}, "input", "token arrays"),
        ({"input": [[1, 2], [3]]}, "input", "token arrays"),
        ({"input": ["가"] * 2049}, "input", "2048"),
        ({"dimensions": 256}, "dimensions", "1024"),
        ({"encoding_format": "int8"}, "encoding_format", "base64"),
    ],
)
def test_embeddings_that_are_refused(service: Service, change: Any, param: str, words: str) -> None:
    error = error_of(service.http.post("/embeddings", json={"model": "hashed", "input": "가"} | change))
    assert error["param"] == param
    assert words in error["message"]


def test_models_of_names_with_slashes(service: Service, client: OpenAI) -> None:
    assert client.models.retrieve("회사/tiny").id == "회사/tiny"
    assert service.ok("GET", "/models/%ED%9A%8C%EC%82%AC%2Ftiny")["recipe"] == "auto"
    evil = service.ok("GET", "/models/evil")
    assert (evil["ready"], "auto_map" in evil["problem"]) == (False, True)
    for name in ("회사/tiny", "malmoi-demo"):
        with pytest.raises(openai.BadRequestError) as caught:
            client.models.delete(name)
        assert caught.value.code == "model_not_deletable"
    assert not list(Path(service.data_dir).glob("models/*"))
