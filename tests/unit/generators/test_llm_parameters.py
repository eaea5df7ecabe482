"""Refusals that name a parameter: what is learned from them, and what a request looks like afterwards."""

from __future__ import annotations

import asyncio

import pytest

from corpora.records import Message
from generators.llm.asker import Asker
from generators.llm.endpoint import Endpoint
from generators.llm.errors import RequestRefusedError
from generators.llm.parameters import ParameterSupport
from generators.llm.settings import EndpointSettings
from generators.llm.structured import Mode
from generators.llm.translate import Failure
from generators.llm.transport import Sent
from generators.memory import MemoryLedger, MemoryReplyCache
from generators.ports import Claim, ModelRequest, Reply

BODY = {"model": "m", "max_tokens": 64, "temperature": 0.7, "top_p": 0.9, "seed": 3, "stop": ["끝"], "messages": []}
NOTHING: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    ("message", "left_out"),
    [
        (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead",
            {"max_tokens"},
        ),
        (
            "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) is supported",
            {"temperature"},
        ),
        ("Unsupported parameter: 'top_p' is not supported with this model", {"top_p"}),
        ("Unrecognized request argument supplied: 'seed'", {"seed"}),
        ("presence_penalty is not supported by this backend", {"presence_penalty"}),
        ("Extra inputs are not permitted: `stop`", {"stop"}),
        ("max_tokens is too large: 100000. This model supports at most 4096 completion tokens", set()),
        ("This model does not support more tokens; please stop here", set()),
        ("invalid temperature: only 1 is allowed for this model", set()),
        ("Invalid schema for response_format", set()),
    ],
)
def test_what_a_refusal_teaches(message: str, left_out: set[str]) -> None:
    support = ParameterSupport()
    assert support.learn(message, NOTHING) is bool(left_out)
    assert support.left_out == left_out


def test_the_limit_is_renamed_and_never_left_out() -> None:
    support = ParameterSupport()
    assert support.learn("'max_tokens' is not supported, use 'max_completion_tokens'", NOTHING)
    adapted = support.adapted(BODY)
    assert adapted == {name: value for name, value in BODY.items() if name != "max_tokens"} | {
        "max_completion_tokens": 64
    }


def test_what_was_left_out_already_is_no_reason_to_ask_again() -> None:
    support = ParameterSupport()
    assert support.learn("'seed' is not supported", NOTHING)
    # On its way before the first refusal came: asked again. Sent without it and refused all the same: final.
    assert support.learn("'seed' is not supported", NOTHING)
    assert not support.learn("'seed' is not supported", frozenset({"seed"}))


class Reasoner:
    """A transport that refuses as OpenAI's reasoning models do, one parameter at a time."""

    def __init__(self) -> None:
        self.parameters = ParameterSupport()
        self.bodies: list[dict[str, object]] = []

    async def send(self, request: ModelRequest, claim: Claim, mode: Mode) -> Sent:
        body = self.parameters.adapted(BODY)
        self.bodies.append(body)
        await asyncio.sleep(0)
        for name in ("max_tokens", "temperature", "top_p"):
            if name in body:
                instead = " Use 'max_completion_tokens' instead" if name == "max_tokens" else ""
                words = f"refused the request (HTTP 400): Unsupported parameter: '{name}' is not supported.{instead}"
                return Sent(
                    failure=Failure(
                        kind=RequestRefusedError, message=words, outcome="http_400", again=False, status=400
                    )
                )
        return Sent(
            reply=Reply(text="네", finish_reason="stop", model="o", prompt_tokens=claim.prompt_tokens,
                        completion_tokens=1)
        )  # fmt: skip

    async def aclose(self) -> None:
        return


def test_a_model_that_refuses_three_parameters_is_asked_in_the_end_and_then_at_once() -> None:
    async def scene() -> None:
        transport, ledger = Reasoner(), MemoryLedger()
        settings = EndpointSettings(base_url="http://h/v1", model="o", concurrency=4)
        endpoint = Endpoint(settings)
        endpoint.parameters = transport.parameters
        client = Asker(settings, transport, cache=MemoryReplyCache(), ledger=ledger, endpoint=endpoint)
        messages = (Message(role="user", content="입고란 무엇인가요?"),)
        first = await asyncio.gather(
            *(client.complete(ModelRequest(slot=n, step="s", messages=messages, max_tokens=64)) for n in range(4))
        )
        assert [reply.text for reply, _ in first] == ["네"] * 4
        before = len(transport.bodies)
        reply, usage = await client.complete(ModelRequest(slot=9, step="s", messages=messages, max_tokens=64))
        assert (reply.text, usage.requests) == ("네", 1)
        assert len(transport.bodies) == before + 1
        assert transport.bodies[-1]["max_completion_tokens"] == 64
        assert len(ledger.claims) == len(ledger.settlements) == len(transport.bodies)

    asyncio.run(scene())
