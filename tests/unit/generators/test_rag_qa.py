from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
from pydantic import ValidationError

from corpora.records import Candidate, Chunk, Message, Provenance, Sample, Verdict
from generators.base import SlotPlan, SlotResult, Workspace
from generators.llm.errors import ContextTooSmallError
from generators.ports import Reply, Usage
from generators.rag_qa import RagQa, RagQaParams, coverage_order
from retrieval.retriever import Retriever

TEXTS = {
    "doc_in": (
        "# 입고\n\n입고 검수는 도착 후 24시간 이내에 끝냅니다. 파손품은 B-03 구역에 따로 둡니다.",
        "# 적치\n\n적치할 때는 선입선출을 위해 유통기한이 늦은 상품을 안쪽에 둡니다.",
    ),
    "doc_out": ("# 피킹\n\n피킹 지시서는 오전 9시에 발행합니다. 결품은 즉시 반장에게 알립니다.",),
}


def chunks() -> tuple[Chunk, ...]:
    return tuple(
        Chunk(
            id=f"chunk_{document}_{index}",
            document_id=document,
            index=index,
            text=text,
            start=1000 * index,
            end=1000 * index + len(text),
            headings=("창고 매뉴얼", text.splitlines()[0].removeprefix("# ")),
        )
        for document, texts in TEXTS.items()
        for index, text in enumerate(texts)
    )


@dataclass
class FoundHit:
    chunk: Chunk
    score: float


class WordRetriever:
    """Ranks chunks by shared two-letter pieces; the real index is used by the integration test."""

    def __init__(self, members: Sequence[Chunk]) -> None:
        self.members = members

    def search(self, query: str, k: int = 5) -> list[FoundHit]:
        pieces = {query[i : i + 2] for i in range(len(query) - 1) if " " not in query[i : i + 2]}
        scored = [FoundHit(chunk, sum(piece in chunk.text for piece in pieces)) for chunk in self.members]
        return sorted((hit for hit in scored if hit.score >= 2), key=lambda hit: -hit.score)[:k]

    def neighbours(self, chunk: Chunk, k: int) -> list[FoundHit]:
        return [FoundHit(other, 1.0) for other in self.members if other.id != chunk.id][:k]


class OneReply:
    """A model that always says the same and remembers what it was asked."""

    def __init__(self, text: str, finish_reason: str = "stop", error: Exception | None = None) -> None:
        self.reply = Reply(text=text, finish_reason=finish_reason, model="m-1", prompt_tokens=10, completion_tokens=5)
        self.error = error
        self.prompts: list[str] = []
        self.calls: list[tuple[int, str, int, float, float, int | None]] = []

    async def complete(
        self,
        *,
        slot: int,
        step: str,
        messages: Sequence[Message],
        max_tokens: int,
        temperature: float,
        top_p: float = 1.0,
        seed: int | None = None,
    ) -> tuple[Reply, Usage]:
        self.prompts.append(messages[-1].content)
        self.calls.append((slot, step, max_tokens, temperature, top_p, seed))
        if self.error:
            raise self.error
        return self.reply, Usage(requests=1, prompt_tokens=10, completion_tokens=5)


class Pool:
    def __init__(self, *samples: Sample) -> None:
        self.samples = samples

    def accepted(self) -> Sequence[Sample]:
        return self.samples


def workspace(
    model: OneReply, members: Sequence[Chunk] | None = None, found: Sequence[Chunk] | None = None
) -> Workspace:
    side = tuple(members if members is not None else chunks())
    retriever = cast(Retriever, WordRetriever(found if found is not None else side))
    return Workspace(chunks=side, retriever=retriever, seed_tasks=(), model=model)


def run(model: OneReply, *, pool: Pool | None = None, params: RagQaParams | None = None) -> SlotResult:
    plan = SlotPlan(slot=4, generator="rag_qa", heldout=False, seed=11, source="chunk_doc_in_0")
    task = RagQa(params).run(plan, workspace(model), pool or Pool())
    return asyncio.run(task)


GOOD: dict[str, Any] = {
    "question": "입고 검수는 도착 후 몇 시간 이내에 끝내야 하나요?",
    "answer": "도착 후 24시간 이내에 끝내시면 됩니다.",
    "citations": [{"passage": 1, "quote": "입고 검수는 도착 후 24시간 이내에 끝냅니다."}],
}


def judged(**changes: Any) -> Candidate:
    (candidate,) = run(OneReply(json.dumps({"pairs": [{**GOOD, **changes}]}, ensure_ascii=False))).candidates
    return candidate


def test_a_good_pair_carries_its_whole_origin() -> None:
    candidate = judged()
    source = next(chunk for chunk in chunks() if chunk.id == "chunk_doc_in_0")
    assert candidate.rejection is None
    assert candidate.malformed is None
    assert candidate.grounded
    assert (candidate.question, candidate.answer) == (GOOD["question"], GOOD["answer"])
    origin = candidate.provenance
    assert (origin.generator, origin.slot, origin.model) == ("rag_qa", 4, "m-1")
    assert origin.prompt is not None
    assert origin.prompt.startswith("rag_qa@v1#")
    assert origin.document_id == "doc_in"
    assert origin.chunk_ids[0] == source.id
    assert len(origin.chunk_ids) == 3
    (span,) = origin.spans
    assert source.text[span.start - source.start : span.end - source.start] == GOOD["citations"][0]["quote"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"citations": []}, "no_citation"),
        ({"citations": [{"passage": 9, "quote": "입고 검수는 도착 후"}]}, "unknown_passage"),
        ({"citations": [{"passage": 0, "quote": "입고 검수는 도착 후"}]}, "unknown_passage"),
        ({"citations": [{"passage": 1, "quote": "검수는 48시간 이내에 끝냅니다."}]}, "quote_not_in_source"),
        ({"citations": [{"passage": 1, "quote": "검수"}]}, "quote_too_short"),
        ({"answer": "36시간 이내에 끝내시면 됩니다."}, "number_not_in_context"),
        ({"answer": "24분 이내에 끝내시면 됩니다."}, "number_with_other_unit"),
        ({"answer": "[1]에 따라 24시간 이내입니다."}, "answer_mentions_passage"),
        ({"question": "위 문서에서 입고 검수는 언제 끝내나요?"}, "question_not_standalone"),
        ({"question": "고양이는 왜 잠이 많을까요?"}, "does_not_retrieve_source"),
    ],
)
def test_each_gate_refuses_with_its_reason(changes: dict[str, Any], reason: str) -> None:
    candidate = judged(**changes)
    assert candidate.rejection is not None
    assert (candidate.rejection.stage, candidate.rejection.reason) == ("grounding", reason)
    assert candidate.rejection.evidence or reason == "no_citation"
    assert candidate.messages
    json.dumps(candidate.rejection.evidence)


def test_a_pair_that_rests_only_on_a_neighbour_is_refused() -> None:
    candidate = judged(
        answer="오전 9시에 발행합니다.",
        citations=[{"passage": 3, "quote": "피킹 지시서는 오전 9시에 발행합니다."}],
    )
    assert candidate.rejection is not None
    assert candidate.rejection.reason == "source_not_cited"


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [("네, 만들어 드리겠습니다.", "stop", "not_json"), (json.dumps({"pairs": [GOOD]}), "length", "truncated_reply")],
)
def test_an_unreadable_reply_is_one_malformed_candidate(text: str, finish: str, reason: str) -> None:
    result = run(OneReply(text, finish))
    (candidate,) = result.candidates
    assert candidate.malformed is not None
    assert candidate.malformed.startswith(reason)
    assert candidate.raw == text
    assert candidate.messages == ()
    assert result.usage.requests == 1


def test_the_prompt_shows_passages_and_known_questions_on_this_chunk_only() -> None:
    def sample(chunk_id: str, question: str) -> Sample:
        messages = (Message(role="user", content=question), Message(role="assistant", content="네."))
        origin = Provenance(generator="rag_qa", slot=0, chunk_ids=(chunk_id,))
        return Sample(
            id=f"sample_{question}",
            candidate=Candidate(messages=messages, provenance=origin),
            accepted=True,
            verdict=Verdict(stage="accepted", reason="ok"),
        )

    model = OneReply('{"pairs": []}')
    pool = Pool(
        sample("chunk_doc_in_0", "파손품은 어디에 두나요?"), sample("chunk_doc_out_0", "결품은 누구에게 알리나요?")
    )
    result = run(model, pool=pool, params=RagQaParams(pairs_per_request=2))
    assert result.candidates == ()
    (prompt,) = model.prompts
    assert model.calls == [(4, "pairs", 2048, 0.7, 1.0, 11)]
    assert "2개 만드십시오" in prompt
    assert all(chunk.text in prompt for chunk in chunks())
    assert "파손품은 어디에 두나요?" in prompt
    assert "결품은 누구에게 알리나요?" not in prompt


def test_chunks_of_the_other_side_never_enter_the_prompt() -> None:
    train = [chunk for chunk in chunks() if chunk.document_id == "doc_in"]
    model = OneReply('{"pairs": []}')
    plan = SlotPlan(slot=0, generator="rag_qa", heldout=False, seed=1, source="chunk_doc_in_0")
    asyncio.run(RagQa().run(plan, workspace(model, train, found=chunks()), Pool()))
    assert "피킹 지시서" not in model.prompts[0]


def test_a_context_too_small_fails_the_slot_and_keeps_what_it_cost() -> None:
    result = run(OneReply("", error=ContextTooSmallError("too long", usage=Usage(requests=1))))
    assert result == SlotResult(candidates=(), usage=Usage(requests=1), failed="context_too_small")


def test_coverage_takes_the_documents_in_turn_and_does_not_depend_on_ids() -> None:
    many = [
        replace(chunks()[0], id=f"chunk_{d}_{i}", document_id=f"doc_{d}", text=f"문서 {d}의 {i}번째 문단입니다.")
        for d in range(4)
        for i in range(5)
    ]
    order = coverage_order(many)
    assert sorted(chunk.id for chunk in order) == sorted(chunk.id for chunk in many)
    assert all(len({chunk.document_id for chunk in order[n : n + 4]}) == 4 for n in range(0, 20, 4))
    renamed = [replace(c, id=f"other_{20 - n}", document_id=c.document_id[::-1]) for n, c in enumerate(many)]
    assert [chunk.text for chunk in coverage_order(renamed)] == [chunk.text for chunk in order]


def test_there_is_one_slot_a_chunk_and_pass() -> None:
    space = workspace(OneReply(""))
    once = RagQa().sources(space)
    assert sorted(str(source) for source in once) == sorted(chunk.id for chunk in chunks())
    assert RagQa(RagQaParams(passes=4)).sources(space) == [*once] * 4
    with pytest.raises(ValidationError):
        RagQaParams.model_validate({"passes": 0})
    with pytest.raises(ValidationError):
        RagQaParams.model_validate({"pases": 2})
