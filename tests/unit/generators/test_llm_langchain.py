"""LangChain's models behind the same client, with LangChain's own fake models."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from corpora.errors import InvalidInputError, MissingExtraError
from corpora.records import Message
from generators.llm.asker import Asker
from generators.llm.batch import BatchModelClient
from generators.llm.client import OpenAIModelClient
from generators.llm.endpoint import Endpoint, Endpoints
from generators.llm.errors import EndpointError, KeyRefusedError, RequestFailedError, RequestRefusedError
from generators.llm.factory import make_client
from generators.llm.langchain_chat import LangChainTransport
from generators.llm.settings import EndpointSettings
from generators.memory import MemoryBatchLog, MemoryLedger, MemoryReplyCache
from generators.ports import ModelRequest, Reply, Usage
from tests.unit.generators.virtual_time import play, virtual_timing

fakes = pytest.importorskip("langchain_core.language_models.fake_chat_models")
messages = pytest.importorskip("langchain_core.messages")

SETTINGS = EndpointSettings(model="langchain:fake:말모이", structured="none", api_key="sk-1")


class Provider:
    """Makes LangChain's fake models and remembers how; ``fails`` come before the messages."""

    def __init__(self, *said: Any, fails: tuple[Exception, ...] = (), takes: tuple[str, ...] | None = None) -> None:
        self._said = said
        self._fails = list(fails)
        self._takes = takes
        self.made: list[dict[str, Any]] = []
        self.asked: list[tuple[Any, Any]] = []

    def __call__(self, model: str, provider: str, arguments: Mapping[str, Any]) -> Any:
        assert (model, provider) == ("말모이", "fake")
        if self._takes is not None and set(arguments) - set(self._takes):
            raise TypeError("unexpected keyword argument")
        self.made.append(dict(arguments))
        owner = self

        class Recording(fakes.GenericFakeChatModel):  # type: ignore[name-defined]
            async def _agenerate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
                # The fake's own goes through a thread, which knows nothing of virtual time.
                return self._generate(messages, stop, None, **kwargs)

            def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
                owner.asked.append(([(m.type, m.content) for m in messages], stop))
                if owner._fails:
                    raise owner._fails.pop(0)
                return super()._generate(messages, stop, run_manager, **kwargs)

        return Recording(messages=self._messages())

    def _messages(self) -> Iterator[Any]:
        return iter(self._said)


def client(provider: Provider, ledger: MemoryLedger, settings: EndpointSettings = SETTINGS) -> Asker:
    endpoint = Endpoint(settings, virtual_timing())
    transport = LangChainTransport(settings, endpoint.timing, provider)
    return Asker(settings, transport, cache=MemoryReplyCache(), ledger=ledger, endpoint=endpoint)


def ask(**values: Any) -> ModelRequest:
    said = (Message(role="system", content="존댓말로"), Message(role="user", content="입고란?"))
    return ModelRequest(slot=0, step="s", messages=said, max_tokens=64, temperature=0.5, **values)


def run(provider: Provider, ledger: MemoryLedger | None = None) -> tuple[Reply, Usage]:
    async def scene() -> tuple[Reply, Usage]:
        return await client(provider, ledger or MemoryLedger()).complete(ask(stop=("\n20",), top_p=0.9))

    return play(scene())


def said(text: Any = "들어오는 것입니다.", **meta: Any) -> Any:
    usage = {"input_tokens": 12, "output_tokens": 5, "total_tokens": 17}
    return messages.AIMessage(content=text, response_metadata=meta, usage_metadata=usage)


class ProviderError(Exception):
    """As the packages of providers raise it."""

    def __init__(self, status: int, message: str = "no", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status_code = status
        self.response = type("Response", (), {"headers": headers or {}, "status_code": status})()


def test_a_reply_comes_through_with_its_usage_and_without_the_providers_retries() -> None:
    provider, ledger = Provider(said(stop_reason="end_turn", model_name="claude")), MemoryLedger()
    reply, usage = run(provider, ledger)
    assert reply == Reply(
        text="들어오는 것입니다.", finish_reason="stop", model="claude", prompt_tokens=12, completion_tokens=5
    )
    assert usage == Usage(requests=1, prompt_tokens=12, completion_tokens=5)
    assert provider.asked == [([("system", "존댓말로"), ("human", "입고란?")], ["\n20"])]
    assert provider.made[-1] == {
        "temperature": 0.5,
        "max_tokens": 64,
        "top_p": 0.9,
        "api_key": "sk-1",
        "max_retries": 0,
        "timeout": 120.0,
    }
    assert ledger.claims[0].model == "langchain:fake:말모이"
    assert ledger.settlements[0].outcome == "ok"


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ({"finish_reason": "length"}, "length"),
        ({"stop_reason": "max_tokens"}, "length"),
        ({"finish_reason": "MAX_TOKENS"}, "length"),
        ({"finish_reason": "SAFETY"}, "content_filter"),
        ({"done_reason": "stop"}, "stop"),
        ({}, "stop"),
    ],
)
def test_ends_of_replies_are_told_in_one_language(meta: dict[str, str], expected: str) -> None:
    assert run(Provider(said(**meta)))[0].finish_reason == expected


def test_content_in_parts_is_one_text_and_missing_usage_is_the_upper_bound() -> None:
    parts = [{"type": "text", "text": "입고는 "}, {"type": "text", "text": "들어오는 것입니다."}]
    ledger = MemoryLedger()
    reply, _ = run(Provider(messages.AIMessage(content=parts)), ledger)
    assert reply.text == "입고는 들어오는 것입니다."
    assert reply.prompt_tokens == ledger.claims[0].prompt_tokens


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ProviderError(429, headers={"retry-after": "5"}), "http_429"),
        (ProviderError(529, "overloaded"), "http_529"),
        (TimeoutError("slow"), "timeout"),
        (ConnectionError("refused"), "connection"),
        (ValueError("what is this"), "nonsense"),
    ],
)
def test_what_may_pass_is_retried_and_accounted_for(error: Exception, outcome: str) -> None:
    ledger = MemoryLedger()
    reply, usage = run(Provider(said(), fails=(error,)), ledger)
    assert reply.text == "들어오는 것입니다."
    assert usage.requests == 2
    assert [one.outcome for one in ledger.settlements.values()] == [outcome, "ok"]


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (401, "bad key sk-1", KeyRefusedError),
        (404, "no such model", RequestRefusedError),
        (400, "maximum context length exceeded", EndpointError),
    ],
)
def test_what_does_not_pass_is_raised_at_once_and_without_the_key(
    status: int, message: str, kind: type[EndpointError]
) -> None:
    provider = Provider(fails=(ProviderError(status, message),))
    with pytest.raises(kind) as caught:
        run(provider)
    assert "sk-1" not in caught.value.message
    assert len(provider.asked) == 1


def test_a_provider_that_takes_no_retries_argument_is_asked_all_the_same() -> None:
    provider = Provider(said(), takes=("temperature", "max_tokens", "top_p", "api_key"))
    assert run(provider)[0].text == "들어오는 것입니다."


def test_a_request_that_always_breaks_a_provider_fails_its_slot_once_others_worked() -> None:
    provider = Provider(said(), said(), fails=())

    async def scene() -> None:
        asking = client(provider, MemoryLedger())
        await asking.complete(ask())
        provider._fails = [ValueError("what is this")] * 50
        with pytest.raises(RequestFailedError):
            await asyncio.gather(asking.complete(ask(seed=1)), _later(asking, provider))

    async def _later(asking: Asker, provider: Provider) -> None:
        await asyncio.sleep(300)
        provider._fails = []
        await asking.complete(ask(seed=2))

    play(scene())


@pytest.mark.parametrize("name", ["langchain:", "langchain:anthropic", "langchain::m"])
def test_a_name_without_provider_or_model_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="langchain:<provider>:<model>"):
        make_client(EndpointSettings(model=name), cache=MemoryReplyCache(), ledger=MemoryLedger())


@pytest.mark.parametrize(
    ("name", "said"), [("langchain:anthropic:claude", "pip install langchain-anthropic"), ("langchain:없음:m", "없음")]
)
def test_a_missing_package_or_provider_is_said_before_a_job_starts(name: str, said: str) -> None:
    pytest.importorskip("langchain")
    with pytest.raises(InvalidInputError, match=said):
        make_client(EndpointSettings(model=name), cache=MemoryReplyCache(), ledger=MemoryLedger())


def test_without_langchain_the_error_names_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("langchain"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtraError, match=r"pip install 'malmoi\[langchain\]'"):
        make_client(EndpointSettings(model="langchain:x:y"), cache=MemoryReplyCache(), ledger=MemoryLedger())


def test_the_prefix_picks_the_transport_and_equal_models_share_their_limits() -> None:
    cache, ledger, endpoints = MemoryReplyCache(), MemoryLedger(), Endpoints()
    plain = EndpointSettings(base_url="http://h/v1", model="m", concurrency=3)
    one, two = (make_client(plain, cache=cache, ledger=ledger, endpoints=endpoints) for _ in range(2))
    assert isinstance(one, OpenAIModelClient)
    assert isinstance(two, OpenAIModelClient)
    assert one.endpoint is two.endpoint
    batched = EndpointSettings(base_url="http://h/v1", model="batch:m")
    assert isinstance(make_client(batched, cache=cache, ledger=ledger, batches=MemoryBatchLog()), BatchModelClient)
    with pytest.raises(InvalidInputError, match="Batches"):
        make_client(batched, cache=cache, ledger=ledger)
