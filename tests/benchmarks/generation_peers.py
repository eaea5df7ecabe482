"""One tool asks a model server many questions; run in a fresh process by ``generation_speed``.

``python generation_peers.py TOOL URL REQUESTS CONCURRENCY ANSWER`` writes seconds, CPU seconds and memory as JSON. Ours
and the bare ``openai`` client need the project's environment, the peers one of their own; nothing is imported that a
tool does not need. Start-up (imports, environments) is left out: time runs from the first request to the last reply.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: (url, requests, concurrency) -> replies that arrived.
Tool = Callable[[str, int, int], int]
MODEL = "static"


def question(number: int) -> str:
    """A prompt of the length of a short passage."""
    return f"{number}번 지문을 읽고 질문과 답을 만들어 주세요. " + "입고 검수는 도착 후 24시간 이내에 끝냅니다. " * 20


def ours(url: str, requests: int, concurrency: int) -> int:
    """Our client with cache, ledger and limiter in memory."""
    from corpora.records import Message
    from generators.llm.client import EndpointSettings, OpenAIModelClient
    from generators.memory import MemoryLedger, MemoryReplyCache
    from generators.ports import ModelRequest, Reply

    class Forgetful(MemoryReplyCache):
        """Keeps nothing: memory is then the client's own."""

        async def put(self, slot: int, step: str, request_hash: str, reply: Reply) -> None:
            """Forget the reply."""

    async def go() -> int:
        settings = EndpointSettings(base_url=url, model=MODEL, concurrency=concurrency, timeout_s=60)
        client = OpenAIModelClient(settings, cache=Forgetful(), ledger=MemoryLedger())
        numbers = iter(range(requests))
        arrived = 0

        async def worker() -> None:
            nonlocal arrived
            for number in numbers:
                messages = (Message(role="user", content=question(number)),)
                await client.complete(ModelRequest(slot=number, step="s", messages=messages, max_tokens=64))
                arrived += 1

        await asyncio.gather(*(worker() for _ in range(concurrency)))
        await client.aclose()
        return arrived

    return asyncio.run(go())


def bare(url: str, requests: int, concurrency: int) -> int:
    """The ``openai`` client alone, as its documentation shows it, with enough connections."""
    import openai

    async def go() -> int:
        client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=60)
        numbers = iter(range(requests))
        arrived = 0

        async def worker() -> None:
            nonlocal arrived
            for number in numbers:
                messages: Any = [{"role": "user", "content": question(number)}]
                await client.chat.completions.create(model=MODEL, messages=messages, max_tokens=64)
                arrived += 1

        await asyncio.gather(*(worker() for _ in range(concurrency)))
        return arrived

    return asyncio.run(go())


def curator(url: str, requests: int, concurrency: int) -> int:
    """bespokelabs-curator, its limits set out of the way, its cache off."""
    os.environ.update(OPENAI_API_KEY="none", CURATOR_DISABLE_CACHE="1", TELEMETRY_ENABLED="0", HF_HUB_OFFLINE="1")
    import tiktoken

    class Bytes:
        """Stands in for the encoding that tiktoken would download."""

        def encode(self, text: str, **_: object) -> list[int]:
            """One token a byte."""
            return list(text.encode())

    replaced: Any = tiktoken
    replaced.get_encoding = replaced.encoding_for_model = lambda _: Bytes()
    from bespokelabs import curator as peer  # type: ignore[import-not-found]
    from datasets import Dataset

    class Asker(peer.LLM):
        """Asks one question a row."""

        def prompt(self, row: Any) -> Any:
            """The row's question."""
            return row["q"]

        def parse(self, row: Any, response: Any) -> Any:
            """The reply as it is."""
            return {"a": str(response)}

    limits = {
        "base_url": url,
        "max_requests_per_minute": 10**6,
        "max_tokens_per_minute": 10**10,
        "max_concurrent_requests": concurrency,
    }
    llm = Asker(model_name=MODEL, backend="openai", backend_params=limits, generation_params={"max_tokens": 64})
    out = llm(Dataset.from_list([{"q": question(number)} for number in range(requests)]))
    return len(out.dataset if hasattr(out, "dataset") else out)


def distilabel(url: str, requests: int, concurrency: int) -> int:
    """distilabel, one generation step whose batches are as large as the concurrency."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from distilabel.models import OpenAILLM  # type: ignore[import-not-found]
    from distilabel.pipeline import Pipeline  # type: ignore[import-not-found]
    from distilabel.steps import LoadDataFromDicts  # type: ignore[import-not-found]
    from distilabel.steps.tasks import TextGeneration  # type: ignore[import-not-found]

    with tempfile.TemporaryDirectory() as cache, Pipeline(name="speed", cache_dir=cache) as pipeline:
        rows = [{"instruction": question(number)} for number in range(requests)]
        load = LoadDataFromDicts(data=rows, batch_size=concurrency)
        llm = OpenAILLM(model=MODEL, base_url=url, api_key="none", generation_kwargs={"max_new_tokens": 64})
        ask = TextGeneration(llm=llm, input_batch_size=concurrency)
        load >> ask
        return len(pipeline.run(use_cache=False)["default"]["train"])


TOOLS: dict[str, Tool] = {"ours": ours, "openai": bare, "curator": curator, "distilabel": distilabel}


def _spent() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def main() -> None:
    tool, url, requests, concurrency, answer = sys.argv[1:]
    ask = TOOLS[tool]
    ask(url, int(concurrency), int(concurrency))  # imports, connections
    before, cpu, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, _spent(), time.perf_counter()
    arrived = ask(url, int(requests), int(concurrency))
    measured = {
        "arrived": arrived,
        "wall": time.perf_counter() - start,
        "cpu": _spent() - cpu,
        "rss_before_mb": before / 1024,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    Path(answer).write_text(json.dumps(measured), encoding="utf-8")


if __name__ == "__main__":
    main()
