"""The client on a real socket against a server that answers bytes: broken bodies, hanging, headers, schemas."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from corpora.records import Message
from generators.llm.client import OpenAIModelClient
from generators.llm.errors import EndpointDownError, RequestFailedError
from generators.llm.retry import RetryPolicy
from generators.llm.settings import EndpointSettings
from generators.memory import MemoryLedger, MemoryReplyCache
from generators.ports import ModelRequest, Reply

Json = dict[str, Any]
#: (body, how often this very body came) -> the bytes of the answer; None hangs up.
Answer = Callable[[Json, int], bytes | None]

SCHEMA = {"type": "object", "properties": {"a": {"type": "string", "minLength": 2}}, "$defs": {}}
FAST = RetryPolicy(attempts=3, base_s=0.01, max_wait_s=0.02)


def http(status: int, body: Json | bytes, headers: str = "", declared: int | None = None) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    length = len(data) if declared is None else declared
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n"
    return head.encode() + data


def completion(text: str = "네", headers: str = "") -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 1}
    return http(200, {"model": "m", "choices": [choice], "usage": usage}, headers)


class Server:
    """Answers by a function; keeps the bodies that came."""

    def __init__(self, answer: Answer, seconds: float = 0.0) -> None:
        self._answer = answer
        self._seconds = seconds
        self.bodies: list[Json] = []
        self.connections = 0
        self.most_at_once = 0
        self._at_once = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.split("content-length:")[1].split("\r\n")[0])
                body = json.loads(await reader.readexactly(length))
                self.bodies.append(body)
                self._at_once += 1
                self.most_at_once = max(self.most_at_once, self._at_once)
                await asyncio.sleep(self._seconds)
                self._at_once -= 1
                answer = self._answer(body, self.bodies.count(body))
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if b"Connection: close" in answer:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # The client went away.
        finally:
            writer.close()


def ask(slot: int = 0, **values: Any) -> ModelRequest:
    said = (Message(role="user", content=f"{slot}번 질문: 입고란 무엇인가요?"),)
    return ModelRequest(slot=slot, step="s", messages=said, max_tokens=16, **values)


def play(server: Server, scene: Callable[[OpenAIModelClient, MemoryLedger], Awaitable[None]], **values: Any) -> None:
    async def go() -> None:
        listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        settings = replace(EndpointSettings(base_url=url, model="m", concurrency=8, retry=FAST), **values)
        ledger = MemoryLedger()
        client = OpenAIModelClient(settings, cache=MemoryReplyCache(), ledger=ledger)
        try:
            await scene(client, ledger)
        finally:
            await client.aclose()
            listening.close()
            # The server's side sees the closed connections before the loop ends.
            await asyncio.sleep(0.05)

    asyncio.run(go())


@pytest.mark.parametrize(
    ("first", "outcome"),
    [
        (http(200, b'{"choices": [{"mess'), "nonsense"),
        (http(200, b'{"choices": [', headers="Connection: close\r\n", declared=500), "connection"),
        (None, "connection"),
        (http(500, b"<html>oops</html>"), "http_500"),
        (http(503, {"error": {"message": "busy"}}, headers="Retry-After: 0\r\n"), "http_503"),
        (http(408, {}), "http_408"),
    ],
)
def test_what_breaks_once_is_asked_again_and_accounted_for(first: bytes | None, outcome: str) -> None:
    server = Server(lambda _, tries: first if tries == 1 else completion())

    async def scene(client: OpenAIModelClient, ledger: MemoryLedger) -> None:
        reply, usage = await client.complete(ask())
        assert reply.text == "네"
        assert usage.requests == 2
        assert [one.outcome for one in ledger.settlements.values()] == [outcome, "ok"]

    play(server, scene)


def test_a_dripping_answer_is_a_time_out() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await asyncio.sleep(0.05)

    server = Server(lambda *_: None)
    server.handle = drip  # type: ignore[method-assign]

    async def scene(client: OpenAIModelClient, ledger: MemoryLedger) -> None:
        with pytest.raises(EndpointDownError, match="did not answer within"):
            await client.complete(ask())
        assert {one.outcome for one in ledger.settlements.values()} == {"timeout"}

    play(server, scene, timeout_s=0.3, down_after_s=0.2)


def test_a_poisoned_request_fails_alone() -> None:
    def answer(body: Json, _: int) -> bytes:
        return http(500, {}) if body["messages"][0]["content"].startswith("3번") else completion()

    async def scene(client: OpenAIModelClient, ledger: MemoryLedger) -> None:
        outcomes = await asyncio.gather(*(client.complete(ask(n)) for n in range(12)), return_exceptions=True)
        assert [n for n, one in enumerate(outcomes) if isinstance(one, RequestFailedError)] == [3]
        assert len(ledger.settlements) == client.stats().requests
        assert client.stats().circuit == "closed"

    play(Server(answer), scene)


def test_a_retry_after_that_is_a_date_is_obeyed_by_everybody() -> None:
    headers = "Date: Wed, 21 Oct 2026 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2026 07:28:01 GMT\r\n"
    server = Server(lambda *_: http(429, {}, headers) if len(server.bodies) == 1 else completion())

    async def scene(client: OpenAIModelClient, ledger: MemoryLedger) -> None:
        clock = asyncio.get_running_loop().time
        first = asyncio.create_task(client.complete(ask(0)))
        while not ledger.settlements:
            await asyncio.sleep(0.01)
        start = clock()
        await client.complete(ask(1))
        await first
        assert clock() - start >= 0.9
        assert client.stats().http_429s == 1
        assert client.stats().retries == 1

    play(server, scene)


def test_limits_in_headers_are_kept_to() -> None:
    headers = (
        "x-ratelimit-limit-requests: 60\r\nx-ratelimit-remaining-requests: 1\r\nx-ratelimit-reset-requests: 59s\r\n"
    )

    async def scene(client: OpenAIModelClient, ledger: MemoryLedger) -> None:
        await client.complete(ask(0))
        await client.complete(ask(1))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*(client.complete(ask(n)) for n in range(2, 9))), 0.5)

    play(Server(lambda *_: completion(headers=headers)), scene)


def test_a_schema_goes_out_strictly_and_a_refusal_is_remembered() -> None:
    def answer(body: Json, _: int) -> bytes:
        if body.get("response_format", {}).get("type") == "json_schema":
            return http(400, {"error": {"message": "response_format.type must be text or json_object"}})
        return completion('{"a": "나"}')

    server = Server(answer)

    async def scene(client: OpenAIModelClient, ledger: MemoryLedger) -> None:
        await asyncio.gather(*(client.complete(ask(n, schema=SCHEMA)) for n in range(6)))
        await client.complete(ask(9))
        formats = [body.get("response_format") for body in server.bodies]
        strict: Json = {"type": "object", "properties": {"a": {"type": "string"}}, "$defs": {}}
        strict |= {"required": ["a"], "additionalProperties": False}
        sent = {"type": "json_schema", "json_schema": {"name": "reply", "strict": True, "schema": strict}}
        assert formats == [sent, *[{"type": "json_object"}] * 6, None]
        assert client.stats().structured == "json_object"
        assert len(ledger.settlements) == 8

    play(server, scene)


def test_every_request_at_once_has_a_connection_and_keeps_it() -> None:
    server = Server(lambda *_: completion(), seconds=0.3)

    async def scene(client: OpenAIModelClient, ledger: MemoryLedger) -> None:
        outcomes = await asyncio.gather(*(client.complete(ask(n)) for n in range(480)))
        assert all(isinstance(reply, Reply) for reply, _ in outcomes)
        assert server.most_at_once == 160
        assert server.connections <= 160
        stats = client.stats()
        assert (stats.in_flight, stats.waiting, stats.requests) == (0, 0, 480)
        assert stats.latency_p50_s is not None

    play(server, scene, concurrency=160)
