"""An OpenAI-compatible model server with bad weather: many connections, real socket, one process of its own.

``python -m tests.weather_server --port 0 --latency 0.01 --log FILE`` prints its port on the first line. The model name
is the weather. What a request gets depends on the request and on its try number only, so a job that was killed and went
on meets the same weather as one that was not. Faults of the line (429, 500, a connection closed in mid-body, no answer
at all) pass after one or two tries; faults of the reply (cut off, wrong shape, empty, English, refused, repeated)
stay. Each request is one JSON line in FILE: hash, try, what it got.

=================  ====================================================================================
``fair``           good replies (those of ``tests.scripted_server``)
``static``         the same small good reply to everything: costs the server nothing
``limited``        429 with Retry-After
``limited-mute``   429 without it
``broken``         500
``closing``        the connection closes in the middle of the body
``hanging``        no answer for longer than a client waits
``cut``            JSON that breaks off, ``finish_reason`` stop
``length``         JSON that breaks off, ``finish_reason`` length
``shape``          JSON of another shape
``empty``          no content
``english``        an English answer
``refusing``       a polite refusal in Korean
``same``           the same good reply to everything
``poison``         500 for ever to one request in fifty
``storm``          5 % of every fault above at once
=================  ====================================================================================
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from tests.scripted_server import completion

__all__ = ["LINE_FAULTS", "REPLY_FAULTS", "WEATHERS"]

WEATHERS = tuple(re.findall(r"^``([a-z-]+)``", __doc__ or "", re.MULTILINE))
#: Faults of the line, and the share of the requests that meet one under their own weather.
LINE_FAULTS = ("limited", "limited-mute", "broken", "closing", "hanging")
REPLY_FAULTS = ("cut", "length", "shape", "empty", "english", "refusing", "same")
SHARE = 30
STORM_SHARE = 5
POISON_EVERY = 50
#: Seconds that a hanging request is held; longer than any client of the tests waits.
HANG_S = 60.0

_SAME = {
    "pairs": [
        {
            "question": "냉장 창고의 온도는 몇 도로 유지하나요?",
            "answer": "섭씨 0도에서 10도 사이로 유지합니다.",
            "citations": [{"passage": 1, "quote": "섭씨 0도에서 10도 사이"}],
        }
    ],
    "tasks": [{"instruction": "입고 검수 순서를 설명해 주세요.", "input": "", "output": "수량을 먼저 확인합니다."}],
}
_TEXTS = {
    "shape": json.dumps({"결과": [{"질문": "무엇인가요?", "답": 3}]}, ensure_ascii=False),
    "empty": "",
    "english": "Sure! Here are some question and answer pairs about your warehouse document.",
    "refusing": "죄송하지만 AI 언어 모델로서 요청하신 내용은 도와드릴 수 없습니다.",
    "same": json.dumps(_SAME, ensure_ascii=False),
}
_STATIC = json.dumps({"pairs": [], "tasks": []})


def _percent(*parts: str) -> int:
    digest = hashlib.sha256(":".join(parts).encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") % 10_000


def fault_of(weather: str, request: str, attempt: int) -> str | None:
    """What happens to the ``attempt``-th try (from 1) of a request with this hash, or None."""
    if weather == "poison":
        return "broken" if _percent("poison", request) < 10_000 // POISON_EVERY else None
    for fault in (*LINE_FAULTS, *REPLY_FAULTS):
        share = STORM_SHARE if weather == "storm" else SHARE if weather == fault else 0
        if weather == fault == "same":
            share = 100
        drawn = _percent(fault, request)
        if drawn >= share * 100:
            continue
        # A fault of the line passes after one try, or after two for every second request that meets one.
        if fault in LINE_FAULTS and attempt > 1 + drawn % 2:
            continue
        return fault
    return None


class WeatherServer:
    """The server's state: how often each request was seen, and what it got."""

    def __init__(self, latency: float, log: Path | None) -> None:
        self.latency = latency
        self.tries: Counter[str] = Counter()
        self._log = log.open("a", encoding="utf-8", buffering=1) if log is not None else None

    def record(self, request: str, attempt: int, got: str) -> None:
        """One line of the log, before the answer leaves."""
        if self._log is not None:
            self._log.write(json.dumps({"hash": request, "try": attempt, "got": got}) + "\n")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                found = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
                raw = await reader.readexactly(int(found.group(1)) if found else 0)
                if not await self._answer(raw, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            # The client went away: what this server is for.
            return
        finally:
            writer.close()

    async def _answer(self, raw: bytes, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False where the connection is to be closed."""
        body = json.loads(raw)
        weather, request = body["model"], hashlib.sha256(raw).hexdigest()
        self.tries[request] += 1
        attempt = self.tries[request]
        fault = fault_of(weather, request, attempt)
        self.record(request, attempt, fault or "ok")
        await asyncio.sleep(HANG_S if fault == "hanging" else self.latency)
        if fault in ("limited", "limited-mute"):
            headers = "Retry-After: 0.05\r\n" if fault == "limited" else ""
            await self._send(writer, 429, _error("Rate limit reached.", "rate_limit_exceeded"), headers)
        elif fault == "broken":
            await self._send(writer, 500, _error("The server had an error.", None))
        elif fault == "hanging":
            return False
        else:
            answer = json.dumps(self._reply(body, weather, fault), ensure_ascii=False).encode("utf-8")
            if fault == "closing":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
                writer.write(f"Content-Length: {len(answer)}\r\n\r\n".encode() + answer[: len(answer) // 2])
                await writer.drain()
                return False
            await self._send(writer, 200, answer)
        return True

    def _reply(self, body: dict[str, Any], weather: str, fault: str | None) -> dict[str, Any]:
        prompt = "\n".join(str(message["content"]) for message in body["messages"])
        if weather == "static":
            reply = completion("static", "", 8)
            reply["choices"][0]["message"]["content"] = _STATIC
            return reply
        reply = completion(weather, prompt, int(body.get("max_tokens", 512)))
        choice = reply["choices"][0]
        if fault in ("cut", "length"):
            text = choice["message"]["content"]
            choice["message"]["content"] = text[: len(text) * 2 // 3]
            choice["finish_reason"] = "length" if fault == "length" else "stop"
        elif fault in _TEXTS:
            choice["message"]["content"] = _TEXTS[fault]
        return reply

    async def _send(self, writer: asyncio.StreamWriter, status: int, data: bytes, headers: str = "") -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        await writer.drain()


def _error(message: str, code: str | None) -> bytes:
    return json.dumps({"error": {"message": message, "type": "error", "param": None, "code": code}}).encode()


async def _main(port: int, latency: float, log: Path | None) -> None:
    state = WeatherServer(latency, log)
    server = await asyncio.start_server(state.serve, "127.0.0.1", port, backlog=1024, limit=1 << 24)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="A model server with bad weather, for tests and benchmarks.")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--latency", type=float, default=0.01, help="seconds before an answer leaves")
    parser.add_argument("--log", type=Path, default=None, help="file that gets one JSON line a request")
    options = parser.parse_args()
    asyncio.run(_main(options.port, options.latency, options.log))


if __name__ == "__main__":
    main()
