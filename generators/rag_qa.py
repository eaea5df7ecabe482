"""Questions and answers on passages of a corpus, by a language model, each answer tied to quotes that stand there.

A slot takes one source chunk (documents in turn, so that a small target covers them all), shows it with its nearest
neighbours as numbered passages, and asks for several pairs with citations. What the model claims is checked: quotes,
numbers, a question that stands alone and that retrieves its own chunk. Each failing gate is a verdict on the candidate.
Must not know the endpoint, the store or other generators.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field

from corpora.context import wrap_context
from corpora.records import Candidate, Chunk, Message, Provenance, Span, Verdict
from generators import rag_gates
from generators.base import PoolView, SlotPlan, SlotResult, Workspace
from generators.llm.errors import ContextTooSmallError
from generators.llm.parsing import Malformed, parse_items
from generators.prompting import Prompt, render
from retrieval.retriever import Retriever

__all__ = ["RagQa", "RagQaParams", "coverage_order"]

# Questions on the same chunk that are shown as already made; more would crowd out the passages.
_KNOWN_SHOWN = 12


class RagQaParams(BaseModel):
    """Parameters of ``rag_qa``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pairs_per_request: int = Field(default=3, ge=1, le=10, description="Pairs asked for in one request.")
    neighbours: int = Field(default=3, ge=0, le=10, description="Nearest chunks shown beside the source chunk.")
    retrieval_depth: int = Field(
        default=5, ge=1, le=50, description="A question must find its source chunk among this many hits."
    )
    passes: int = Field(default=1, ge=1, le=20, description="How often each chunk is used as the source.")
    temperature: float = Field(default=0.7, ge=0, le=2, description="Sampling temperature.")
    max_tokens: int = Field(default=2048, ge=64, le=32768, description="Upper limit of one reply in tokens.")


class _Citation(BaseModel):
    model_config = ConfigDict(strict=True)
    passage: int
    quote: str


class _Pair(BaseModel):
    """One pair as the model must write it."""

    model_config = ConfigDict(strict=True)
    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)
    citations: list[_Citation]


class RagQa:
    """The generator ``rag_qa``."""

    name = "rag_qa"
    needs_model = True
    needs_corpus = True

    def __init__(self, params: RagQaParams | None = None) -> None:
        self.params = params or RagQaParams()

    def sources(self, workspace: Workspace) -> Sequence[str | None]:
        """One slot a chunk and pass, in coverage order."""
        return [chunk.id for chunk in coverage_order(workspace.chunks)] * self.params.passes

    async def run(self, plan: SlotPlan, workspace: Workspace, pool: PoolView) -> SlotResult:
        """Ask for pairs on the slot's chunk and check them."""
        source = workspace.chunk(plan.source)
        if workspace.model is None or workspace.retriever is None or source is None:
            raise ValueError("rag_qa needs a workspace with the slot's chunk, a retriever and a model")
        shown = self._shown(source, workspace, workspace.retriever)
        prompt = self._prompt(shown, pool)
        try:
            reply, usage = await workspace.model.complete(
                slot=plan.slot,
                step="pairs",
                messages=[Message(role="user", content=prompt.text)],
                max_tokens=self.params.max_tokens,
                temperature=self.params.temperature,
                seed=plan.seed % 2**31,
            )
        except ContextTooSmallError as error:
            return SlotResult(candidates=(), usage=error.usage, failed=error.code)
        origin = Provenance(
            generator=self.name,
            slot=plan.slot,
            model=reply.model,
            prompt=prompt.id,
            document_id=source.document_id,
            chunk_ids=tuple(chunk.id for chunk in shown),
        )
        candidates: list[Candidate] = []
        for item in parse_items(reply, "pairs", _Pair):
            if isinstance(item, Malformed):
                refused = Candidate(messages=(), provenance=origin, grounded=True, malformed=item.reason, raw=item.raw)
                candidates.append(refused)
            else:
                candidates.append(self._candidate(item.value, shown, origin, workspace.retriever))
        return SlotResult(candidates=tuple(candidates), usage=usage)

    def _shown(self, source: Chunk, workspace: Workspace, retriever: Retriever) -> list[Chunk]:
        """The source chunk and its neighbours, of this side only: a held-out chunk never enters a training prompt."""
        if not self.params.neighbours:
            return [source]
        side = {chunk.id for chunk in workspace.chunks}
        hits = retriever.neighbours(source, self.params.neighbours)
        return [source, *(hit.chunk for hit in hits if hit.chunk.id in side and hit.chunk.id != source.id)]

    def _prompt(self, shown: Sequence[Chunk], pool: PoolView) -> Prompt:
        source = shown[0]
        known = [
            sample.candidate.question
            for sample in pool.accepted()
            if sample.candidate.provenance.chunk_ids[:1] == (source.id,)
        ]
        return render(
            "rag_qa",
            count=str(self.params.pairs_per_request),
            passages=wrap_context([(" > ".join(chunk.headings), chunk.text) for chunk in shown]),
            known="\n".join(f"- {question}" for question in known[-_KNOWN_SHOWN:]),
        )

    def _candidate(self, pair: _Pair, shown: Sequence[Chunk], origin: Provenance, retriever: Retriever) -> Candidate:
        spans, fault = _check_citations(pair.citations, shown)
        cited = [shown[number - 1] for number in _cited(pair.citations, shown)]
        fault = (
            fault
            or rag_gates.mentions_passages(pair.answer)
            or rag_gates.unsupported_number(pair.answer, pair.question, [_full_text(chunk) for chunk in cited])
            or rag_gates.stands_alone(pair.question)
            or self._retrieves(pair.question, shown[0], retriever)
        )
        return Candidate(
            messages=(Message(role="user", content=pair.question), Message(role="assistant", content=pair.answer)),
            provenance=replace(origin, spans=spans),
            grounded=True,
            rejection=fault,
        )

    def _retrieves(self, question: str, source: Chunk, retriever: Retriever) -> Verdict | None:
        found = [hit.chunk.id for hit in retriever.search(question, self.params.retrieval_depth)]
        if source.id in found:
            return None
        return rag_gates.refused("does_not_retrieve_source", depth=self.params.retrieval_depth, found=found)


def coverage_order(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Chunks in the order in which they become sources: the documents in turn, inside a document spread by hash.

    The first slots of a small target thus touch every document, and not only their opening sections. The order depends
    on the texts and on the order of ``chunks``, not on ids: the same manuals in another corpus give the same order.
    """
    documents = {document_id: rank for rank, document_id in enumerate(dict.fromkeys(c.document_id for c in chunks))}
    by_document: dict[str, list[Chunk]] = {document_id: [] for document_id in documents}
    for chunk in sorted(chunks, key=lambda chunk: hashlib.sha256(chunk.text.encode("utf-8")).digest()):
        by_document[chunk.document_id].append(chunk)
    ranked = [
        (rank, documents[document_id], chunk)
        for document_id, members in by_document.items()
        for rank, chunk in enumerate(members)
    ]
    return [chunk for _, _, chunk in sorted(ranked, key=lambda entry: entry[:2])]


def _full_text(chunk: Chunk) -> str:
    """What the model saw of a chunk: its heading path may hold a number too."""
    return "\n".join((*chunk.headings, chunk.text))


def _cited(citations: Sequence[_Citation], shown: Sequence[Chunk]) -> list[int]:
    """The numbers of existing passages that are cited, in order, each once."""
    return list(dict.fromkeys(c.passage for c in citations if 1 <= c.passage <= len(shown)))


def _check_citations(citations: Sequence[_Citation], shown: Sequence[Chunk]) -> tuple[tuple[Span, ...], Verdict | None]:
    """The ranges quoted, and the first fault: nothing cited, no such passage, a quote not there or too short."""
    spans: list[Span] = []
    fault: Verdict | None = None if citations else rag_gates.refused("no_citation")
    for citation in citations:
        if not 1 <= citation.passage <= len(shown):
            fault = fault or rag_gates.refused("unknown_passage", passage=citation.passage, shown=len(shown))
            continue
        chunk = shown[citation.passage - 1]
        place = rag_gates.find_quote(citation.quote, chunk.text)
        evidence = {"quote": citation.quote, "chunk_id": chunk.id}
        if place is None:
            fault = fault or rag_gates.refused("quote_not_in_source", **evidence)
            continue
        if len("".join(citation.quote.split())) < rag_gates.MIN_QUOTE_CHARS:
            fault = fault or rag_gates.refused("quote_too_short", **evidence, limit=rag_gates.MIN_QUOTE_CHARS)
        span = Span(document_id=chunk.document_id, start=chunk.start + place[0], end=chunk.start + place[1])
        if span not in spans:
            spans.append(span)
    if fault is None and 1 not in _cited(citations, shown):
        fault = rag_gates.refused("source_not_cited", cited=_cited(citations, shown))
    return tuple(spans), fault
