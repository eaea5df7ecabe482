"""``rag_qa`` and ``self_instruct`` on the bundled corpus against a scripted endpoint in its own process."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from corpora.bundled.loader import manual_pages, seed_tasks
from corpora.records import Candidate, Document, Sample, Verdict
from generators.base import SlotPlan, SlotResult, Workspace
from generators.llm.client import EndpointSettings, OpenAIModelClient
from generators.memory import MemoryLedger, MemoryReplyCache
from generators.ports import Budget
from generators.rag_qa import RagQa
from generators.self_instruct import SelfInstruct
from retrieval.chunking import chunk_document
from retrieval.embedders import HashedEmbedder
from retrieval.retriever import Retriever

SERVER = Path(__file__).parents[2] / "scripted_server.py"


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


class Pool:
    """What earlier slots accepted."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []

    def accepted(self) -> list[Sample]:
        return list(self.samples)

    def take(self, candidates: tuple[Candidate, ...]) -> None:
        for candidate in candidates:
            if candidate.rejection is None and candidate.malformed is None:
                verdict = Verdict(stage="accepted", reason="ok")
                number = len(self.samples)
                self.samples.append(Sample(id=f"sample_{number}", candidate=candidate, accepted=True, verdict=verdict))


@pytest.fixture(scope="module")
def manual() -> tuple[dict[str, Document], Workspace]:
    documents = {
        path.stem: Document(
            id=f"doc_{path.stem}", title=path.stem, text=path.read_text(encoding="utf-8"), media_type="text/markdown"
        )
        for path in manual_pages()[:3]
    }
    chunks = tuple(chunk for document in documents.values() for chunk in chunk_document(document))
    embedder = HashedEmbedder.fit([chunk.text for chunk in chunks])
    retriever = Retriever.build(chunks, embedder)
    space = Workspace(chunks=chunks, retriever=retriever, seed_tasks=tuple(seed_tasks("builtin:all")), model=None)
    return {document.id: document for document in documents.values()}, space


def generate(
    endpoint: Endpoint, model: str, space: Workspace, generator: RagQa | SelfInstruct, slots: int
) -> list[SlotResult]:
    async def go() -> list[SlotResult]:
        settings = EndpointSettings(base_url=endpoint.url, model=model)
        client = OpenAIModelClient(settings, cache=MemoryReplyCache(), ledger=MemoryLedger(Budget()))
        room = Workspace(chunks=space.chunks, retriever=space.retriever, seed_tasks=space.seed_tasks, model=client)
        pool = Pool()
        results = []
        for slot, source in enumerate(generator.sources(room)[:slots]):
            plan = SlotPlan(slot=slot, generator=generator.name, heldout=False, seed=100 + slot, source=source)
            results.append(await generator.run(plan, room, pool))
            pool.take(results[-1].candidates)
        await client.aclose()
        return results

    return asyncio.run(go())


def test_rag_qa_on_the_bundled_manual(endpoint: Endpoint, manual: tuple[dict[str, Document], Workspace]) -> None:
    documents, space = manual
    results = generate(endpoint, "scripted", space, RagQa(), 12)
    candidates = [candidate for result in results for candidate in result.candidates]
    kept = [candidate for candidate in candidates if candidate.rejection is None]
    reasons = Counter(candidate.rejection.reason for candidate in candidates if candidate.rejection)
    assert len(kept) >= len(candidates) / 2 >= 6, reasons
    for candidate in kept:
        assert candidate.provenance.document_id in documents
        for span in candidate.provenance.spans:
            quoted = documents[span.document_id].text[span.start : span.end]
            assert quoted.rstrip(".") in candidate.answer
    sent = endpoint.requests("scripted")
    assert len({request for request, _ in sent}) == len(sent) == 12


def test_every_flaw_is_caught_by_its_gate(endpoint: Endpoint, manual: tuple[dict[str, Document], Workspace]) -> None:
    _, space = manual
    results = generate(endpoint, "scripted-flawed", space, RagQa(), 6)
    candidates = [candidate for result in results for candidate in result.candidates]
    reasons = {candidate.rejection.reason for candidate in candidates if candidate.rejection}
    assert {
        "quote_not_in_source",
        "unknown_passage",
        "no_citation",
        "number_not_in_context",
        "question_not_standalone",
        "does_not_retrieve_source",
    } <= reasons
    assert any(candidate.malformed for candidate in candidates)
    assert any(candidate.malformed is None and candidate.rejection is None for candidate in candidates)


@pytest.mark.parametrize(
    ("model", "reason", "requests"),
    # What is no JSON is given back once to be put into form; what was cut off is not.
    [("scripted-chatter", "not_json", 2), ("scripted-truncated", "truncated_reply", 1)],
)
@pytest.mark.parametrize("generator", [RagQa(), SelfInstruct()], ids=["rag_qa", "self_instruct"])
def test_unreadable_replies_become_malformed_candidates(
    endpoint: Endpoint,
    manual: tuple[dict[str, Document], Workspace],
    model: str,
    reason: str,
    requests: int,
    generator: RagQa | SelfInstruct,
) -> None:
    _, space = manual
    for result in generate(endpoint, model, space, generator, 2):
        (candidate,) = result.candidates
        assert candidate.malformed is not None
        assert candidate.malformed.startswith(reason)
        assert candidate.raw
        assert result.usage.requests == requests


def test_self_instruct_grows_from_seeds_and_pool(
    endpoint: Endpoint, manual: tuple[dict[str, Document], Workspace]
) -> None:
    _, space = manual
    results = generate(endpoint, "scripted-fenced", space, SelfInstruct(), 6)
    candidates = [candidate for result in results for candidate in result.candidates]
    assert len(candidates) == 30
    assert all(candidate.malformed is None and candidate.rejection is None for candidate in candidates)
    assert len({candidate.question for candidate in candidates}) >= 20
    machine = [
        sum(name.startswith("sample_") for name in result.candidates[0].provenance.seed_ids) for result in results
    ]
    assert machine == [0, 2, 2, 2, 2, 2]
    again = generate(endpoint, "scripted-fenced", space, SelfInstruct(), 6)
    assert again == results
