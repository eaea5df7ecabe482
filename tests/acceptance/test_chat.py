"""Chat completions on a started service, by the official client with strict response validation, sync and async."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from pydantic import TypeAdapter

from app.api.schemas.chat import ChatCompletion
from app.store.database import open_store
from app.store.tables import AdapterRow
from corpora.bundled import MANUAL_DIR
from tests.acceptance.conftest import Service, start
from tests.tiny_adapter import build_tiny_adapter
from tests.tiny_base import build_tiny_base

ADAPTER = "ft:tiny:malmoi:물류:abcdefgh"
#: The stop token of the tiny base; forbidding it makes answers as long as they are asked for.
ENDLESS = {"logit_bias": {"2": -100}}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    build_tiny_base(folder / "bases" / "tiny", MANUAL_DIR)
    build_tiny_adapter(folder / "bases" / "tiny", folder / "adapter", 1)
    return folder


@pytest.fixture(scope="module")
def service(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that knows a base and an adapter on it, as a finished training job would have left it."""
    data_dir = tmp_path_factory.mktemp("service") / "data"
    store = open_store(None, data_dir)
    base = str(models / "bases" / "tiny")
    with store.write() as session:
        session.add(
            AdapterRow(
                id=ADAPTER,
                job_id="ftjob-1",
                base_model="tiny",
                recipe="demo",
                base_path=base,
                path=str(models / "adapter"),
                created_at=1.0,
            )
        )
    store.dispose()
    running = start(data_dir, {"MALMOI_MODELS_DIR": str(models / "bases")})
    yield running
    running.close()


def asked(model: str = ADAPTER, question: str = "3번 도크는 어디에 있나요?", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": question}], "max_tokens": 24} | more


def streamed(service: Service, **request: Any) -> list[Any]:
    return list(service.client.chat.completions.create(stream=True, **request))


def texts(chunks: list[Any]) -> dict[int, str]:
    found: dict[int, str] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            found[choice.index] = found.get(choice.index, "") + (choice.delta.content or "")
    return found


@pytest.mark.parametrize(
    "how", [{"temperature": 0}, {"seed": 7, "n": 2}, {"seed": 1, "top_p": 0.5, "temperature": 1.5}]
)
def test_a_stream_says_what_the_whole_says(service: Service, how: dict[str, Any]) -> None:
    request = asked(**how)
    whole = service.client.chat.completions.create(**request)
    chunks = streamed(service, **request)
    assert texts(chunks) == {choice.index: choice.message.content for choice in whole.choices}
    assert len({choice.message.content for choice in whole.choices}) == how.get("n", 1)
    ends = {choice.index: choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason}
    assert ends == {choice.index: choice.finish_reason for choice in whole.choices}
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert chunks[0].choices[0].delta.role == "assistant"
    assert whole.usage is not None
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens


def test_base_and_adapter_answer_differently_and_seeds_differ(service: Service) -> None:
    create = service.client.chat.completions.create
    said = [
        create(**asked(model, seed=seed)).choices[0].message.content
        for model, seed in ((ADAPTER, 1), ("tiny", 1), (ADAPTER, 2), (ADAPTER, 1))
    ]
    assert said[0] == said[3]
    assert len(set(said)) == 3


def test_the_stream_on_the_wire(service: Service) -> None:
    body = asked(max_tokens=3, stream=True, stream_options={"include_usage": True}, seed=3) | ENDLESS
    with service.http.stream("POST", "/chat/completions", json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.read().decode().split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
    assert all(line.startswith("data: ") for line in lines[:-1])
    assert [chunk["usage"] is None for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
    assert chunks[-1]["choices"] == []
    assert chunks[-2]["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}
    assert chunks[-1]["usage"]["completion_tokens"] == 3


def test_stop_strings_lengths_and_log_probabilities(service: Service) -> None:
    create = service.client.chat.completions.create
    request = asked(seed=3, extra_body=ENDLESS)
    whole = create(**request).choices[0]
    assert whole.finish_reason == "length"
    text = whole.message.content or ""
    for stop in (text[5:7], [text[5:7], "없는 글"]):
        cut = create(**request, stop=stop).choices[0]
        assert (cut.finish_reason, cut.message.content) == ("stop", text[: text.index(text[5:7])])
    short = create(**request | {"max_tokens": 99}, max_completion_tokens=4)
    assert short.usage is not None
    assert (short.choices[0].finish_reason, short.usage.completion_tokens) == ("length", 4)
    told = create(**request, logprobs=True, top_logprobs=2).choices[0].logprobs
    chunks = streamed(service, **request, logprobs=True, top_logprobs=2)
    assert told is not None
    assert told.content is not None
    assert len(told.content) == 24
    assert all(len(entry.top_logprobs) == 2 for entry in told.content)
    pieces = [entry for c in chunks if c.choices[0].logprobs for entry in c.choices[0].logprobs.content]
    assert pieces == told.content


def test_async_requests_at_once(service: Service) -> None:
    async def ask() -> list[Any]:
        async with AsyncOpenAI(
            base_url=f"{service.address}/v1", api_key="unused", _strict_response_validation=True
        ) as client:
            create = client.chat.completions.create
            whole = [create(**asked(model, temperature=0)) for model in ("tiny", ADAPTER) * 3]
            stream = await create(**asked(temperature=0), stream=True)
            chunks = [chunk async for chunk in stream]
            return [*await asyncio.gather(*whole), chunks]

    *answers, chunks = asyncio.run(ask())
    said = [answer.choices[0].message.content for answer in answers]
    assert said == said[:2] * 3
    assert texts(chunks)[0] == said[1]


def test_messages_in_every_form(service: Service) -> None:
    create = service.client.chat.completions.create
    parts = [{"type": "text", "text": "3번 도크는 "}, {"type": "text", "text": "어디에 있나요?"}]
    question = "3번 도크는 어디에 있나요?"
    same: list[list[Any]] = [
        [{"role": "user", "content": question}],
        [{"role": "user", "content": parts, "name": "담당자"}],
        # As some keyboards send it.
        [{"role": "user", "content": unicodedata.normalize("NFD", question)}],
    ]
    answers = [create(**asked(temperature=0) | {"messages": messages}) for messages in same]
    assert len({(a.choices[0].message.content, a.usage.prompt_tokens if a.usage else 0) for a in answers}) == 1
    told = [{"role": role, "content": "짧게 답하세요."} for role in ("system", "developer")]
    answers = [create(**asked(temperature=0) | {"messages": [turn, *same[0]]}) for turn in told]
    assert answers[0].choices[0].message.content == answers[1].choices[0].message.content
    harmless = {"user": "u", "store": False, "metadata": {"팀": "물류"}, "parallel_tool_calls": True, "tools": []}
    create(**asked(max_tokens=1), extra_body=harmless | {"response_format": {"type": "text"}, "tool_choice": "none"})


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools", "unsupported_parameter"),
    ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format", "unsupported_parameter"),
    ({"audio": {"voice": "a"}}, "audio", "unsupported_parameter"),
    ({"temprature": 1}, "temprature", "invalid_value"),
    ({"top_logprobs": 2}, "top_logprobs", "invalid_value"),
    ({"stop": ["a"] * 5}, "stop", "invalid_value"),
    ({"n": 129}, "n", "invalid_value"),
    ({"n": 128, "max_completion_tokens": 20_000}, "n", "invalid_value"),
    ({"temperature": 3}, "temperature", "invalid_value"),
    ({"logit_bias": {"99999": 1}}, "logit_bias", "invalid_value"),
    ({"retrieval": {"k": 3}}, "retrieval", "invalid_value"),
    ({"messages": [{"role": "tool", "content": "답", "tool_call_id": "1"}]}, "messages.0.role", "unsupported_value"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
     "messages.0.content.0.type", "unsupported_value"),
    ({"messages": [{"role": "assistant", "content": "답"}]}, "messages", "invalid_value"),
    ({"messages": [{"role": "user", "content": "도크 " * 5000}]}, "messages", "context_length_exceeded"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "param", "code"), REFUSED)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_done_is_refused(
    service: Service, change: dict[str, Any], param: str, code: str, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        service.client.chat.completions.create(**asked(stream=stream), extra_body=change)
    assert (caught.value.param, caught.value.code) == (param, code)


def test_passages_of_a_corpus_and_citations(service: Service) -> None:
    corpus_id = service.corpus()
    request = asked(question="냉장 입고는 언제까지 확정하나요?", max_tokens=5)
    body = {"corpus_id": corpus_id, "retrieval": {"k": 2}}
    plain = service.client.chat.completions.create(**request)
    answer = service.client.chat.completions.create(**request, extra_body=body)
    raw = answer.model_dump()
    cited = raw["citations"]
    assert 1 <= len(cited) <= 2
    assert raw["retrieval"] == {"found": 2, "shown": len(cited)}
    for number, citation in enumerate(cited, start=1):
        text = service.http.get(f"/documents/{citation['document_id']}/text").text
        assert citation["index"] == number
        assert text[citation["start"] : citation["end"]] == citation["text"]
    assert answer.usage is not None
    assert plain.usage is not None
    assert answer.usage.prompt_tokens > plain.usage.prompt_tokens + 20
    chunks = streamed(service, **request, extra_body=body)
    assert chunks[-1].model_dump()["citations"] == cited
    assert chunks[-1].model_dump()["retrieval"] == raw["retrieval"]
    assert all("citations" not in chunk.model_dump() for chunk in chunks[:-1])
    raw_body = service.ok("POST", "/chat/completions", json=request | body | {"logprobs": True, "top_logprobs": 1})
    TypeAdapter(ChatCompletion).validate_json(json.dumps(raw_body), strict=True)
    turns = [request["messages"][0], {"role": "assistant", "content": "전날까지입니다."}]
    follow = request | {"messages": [*turns, {"role": "user", "content": "왜요?"}]}
    again = service.client.chat.completions.create(**follow, extra_body=body).model_dump()
    assert cited[0]["chunk_id"] in [citation["chunk_id"] for citation in again["citations"]]
    with pytest.raises(openai.NotFoundError) as caught:
        service.client.chat.completions.create(**request, extra_body={"corpus_id": "corpus_none"})
    assert caught.value.code == "corpus_not_found"
    empty = service.ok("POST", "/corpora", json={"name": "빈 창고"})["id"]
    with pytest.raises(openai.BadRequestError) as refused:
        service.client.chat.completions.create(**request, extra_body={"corpus_id": empty})
    assert (refused.value.code, refused.value.param) == ("index_missing", "corpus_id")


@pytest.mark.parametrize("temperature", [1e-40, 1e-6])
def test_hardly_any_temperature_is_none(service: Service, temperature: float) -> None:
    create = service.client.chat.completions.create
    said = [create(**asked(temperature=warm)).choices[0].message.content for warm in (0, temperature)]
    assert said[0] == said[1]


@pytest.mark.long
def test_langchains_client(service: Service) -> None:
    """``ChatOpenAI`` knows nothing of us: whole and streamed answers, and passages of a corpus by ``extra_body``."""
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
    from langchain_openai import ChatOpenAI

    def model(**more: Any) -> ChatOpenAI:
        settings = {"model": ADAPTER, "temperature": 0, "max_completion_tokens": 24, "stream_usage": True} | more
        return ChatOpenAI(base_url=f"{service.address}/v1", api_key="unused", max_retries=0, **settings)

    question = "냉장 입고는 언제까지 확정하나요?"
    turns = [SystemMessage("짧게 답하세요."), HumanMessage(question)]
    whole = model().invoke(turns)
    assert isinstance(whole, AIMessage)
    assert whole.content
    assert whole.response_metadata["model_name"] == ADAPTER
    assert whole.response_metadata["finish_reason"] in ("stop", "length")
    same = service.client.chat.completions.create(
        model=ADAPTER,
        messages=[{"role": "system", "content": "짧게 답하세요."}, {"role": "user", "content": question}],
        temperature=0,
        max_tokens=24,
    )
    assert whole.content == same.choices[0].message.content
    chunks = list(model().stream(turns))
    assert "".join(str(chunk.content) for chunk in chunks) == whole.content
    usage = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    assert usage == [whole.usage_metadata]
    body = {"corpus_id": service.corpus(), "retrieval": {"k": 2}}
    read = model(extra_body=body).invoke(turns)
    assert read.usage_metadata is not None
    assert whole.usage_metadata is not None
    assert read.usage_metadata["input_tokens"] > whole.usage_metadata["input_tokens"] + 20
    with pytest.raises(openai.NotFoundError) as caught:
        model(extra_body={"corpus_id": "corpus_none"}).invoke(turns)
    assert caught.value.code == "corpus_not_found"


def chat_child(service: Service) -> int:
    """The process that holds the model."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
            command = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended meanwhile
        if int(parent) == service.process.pid and b"training" in command and b"serve" in command:
            return int(entry.name)
    raise AssertionError("no chat process")


def killed_while_it_answers(service: Service) -> None:
    request = asked(max_tokens=900, n=8)
    chunks = service.client.chat.completions.create(**request, stream=True, extra_body=ENDLESS)
    for number, _ in enumerate(chunks):
        if number == 20:
            os.kill(chat_child(service), signal.SIGKILL)


@pytest.mark.long
def test_a_model_that_dies_in_mid_answer(service: Service) -> None:
    with pytest.raises(openai.APIError) as caught:
        killed_while_it_answers(service)
    assert caught.value.code == "chat_process_died"
    assert service.client.chat.completions.create(**asked(max_tokens=2)).choices


@pytest.mark.long
def test_a_killed_service_leaves_no_model_behind(start_service: Any, models: Path) -> None:
    service = start_service(MALMOI_MODELS_DIR=str(models / "bases"))
    chunks = service.client.chat.completions.create(
        **asked("tiny", max_tokens=900, n=8), stream=True, extra_body=ENDLESS
    )
    next(iter(chunks))
    child = Path(f"/proc/{chat_child(service)}")
    service.kill()
    deadline = time.monotonic() + 30
    while child.exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.long
def test_a_conversation_on_a_terminal(models: Path, tmp_path: Path) -> None:
    """Ctrl-C ends an answer and neither the conversation nor the model."""
    command = [sys.executable, "-m", "app.cli", "chat", str(models / "bases" / "tiny"), "--max-tokens", "900"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execv(sys.executable, command)

    def read_until(words: str) -> str:
        seen = b""
        deadline = time.monotonic() + 90
        while words.encode() not in seen:
            assert time.monotonic() < deadline, seen.decode(errors="replace")
            if select.select([terminal], [], [], 0.2)[0]:
                seen += os.read(terminal, 65_536)
        return seen.decode(errors="replace")

    assert "/끝" in read_until("나> ")
    os.write(terminal, "피킹이란?\n".encode())
    read_until("말모이> ")
    time.sleep(0.5)
    os.write(terminal, b"\x03")
    assert "(중단)" in read_until("나> ")
    os.write(terminal, "/새로\n".encode())
    read_until("나> ")
    os.write(terminal, "도크란?\n".encode())
    read_until("나> ")
    os.write(terminal, "/끝\n".encode())
    assert os.waitpid(pid, 0)[1] == 0


def malmoi_chat(*arguments: str, question: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", "chat", *arguments],
        input=question, capture_output=True, text=True, cwd=cwd, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.long
def test_chat_on_the_command_line(service: Service, models: Path, tmp_path: Path) -> None:
    """An adapter's folder is enough; what it says is what the service says."""
    said = service.client.chat.completions.create(**asked(temperature=0)).choices[0].message.content
    arguments = (str(models / "adapter"), "--recipe", "demo", "--temperature", "0", "--max-tokens", "24")
    ran = malmoi_chat(*arguments, question="3번 도크는 어디에 있나요?\n", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (0, f"{said}\n"), ran.stderr
    assert ran.stderr == "malmoi: 길이 제한에서 멈추었습니다 (--max-tokens).\n"


@pytest.mark.parametrize(
    ("arguments", "question", "words"),
    [
        (("없는-모델",), "안녕하세요?", "없는-모델"),
        ((".",), "안녕하세요?", "adapter_config.json"),
        ((".",), " \n", "no question"),
        ((".", "--temperature", "9"), "안녕하세요?", "from 0 to 2"),
    ],
)
def test_bad_input_on_the_command_line(tmp_path: Path, arguments: tuple[str, ...], question: str, words: str) -> None:
    ran = malmoi_chat(*arguments, question=question, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert words in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
