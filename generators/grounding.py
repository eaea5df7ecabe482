"""What generators that work on passages share: which passages are shown, what a reply cites, which gates it passes.

A reply quotes passages by number. ``check_citations`` finds the quotes in the chunks and turns them into spans;
``answer_fault`` holds numbers, codes, nouns and denials of an answer to the cited passages; ``question_fault`` refuses
questions that lean on a text or ask how one is built. All cheap first. Sentences that order a model about are no
evidence (``grounding_injection``). Must not know prompts, models or the parameters of a generator.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from corpora.context import unfenced, wrap_context
from corpora.records import Chunk, Span, Verdict
from generators import rag_gates
from generators.base import Workspace
from generators.grounding_injection import evidence, repeated, suspects
from generators.negation_gate import turned_round
from generators.reply_fields import ReplyNumber
from retrieval.retriever import Retriever

__all__ = [
    "SUSPECT",
    "Citation",
    "answer_fault",
    "check_citations",
    "cited_chunks",
    "evidence_of",
    "known_lines",
    "obedience_fault",
    "question_fault",
    "shown_chunks",
    "suspicions",
    "unretrieved",
    "wrap_chunks",
]

#: Trait of a candidate: ids of shown chunks with sentences that order a model about.
SUSPECT = "suspect_instructions"


class Citation(BaseModel):
    """A quote as the model must write it."""

    model_config = ConfigDict(strict=True)
    passage: ReplyNumber
    quote: str


def wrap_chunks(chunks: Sequence[Chunk]) -> str:
    """Chunks as numbered passages, each labelled with its heading path."""
    return wrap_context([(" > ".join(chunk.headings), chunk.text) for chunk in chunks])


def known_lines(questions: Sequence[str], most: int) -> str:
    """The last ``most`` questions as a list for a prompt, one line each whatever a file or a model has put in them."""
    return "\n".join(f"- {' '.join(unfenced(question).split())}" for question in questions[-most:])


def shown_chunks(source: Chunk, workspace: Workspace, retriever: Retriever, neighbours: int) -> list[Chunk]:
    """The source chunk and its nearest ones, of this side only: a held-out chunk never enters a training prompt."""
    if not neighbours:
        return [source]
    hits = retriever.neighbours(source, neighbours)
    return [source, *(h.chunk for h in hits if h.chunk.id != source.id and workspace.chunk(h.chunk.id) is not None)]


def suspicions(chunks: Sequence[Chunk]) -> dict[str, list[str]]:
    """The trait that flags chunks which order a model about; empty where none does."""
    found = [chunk.id for chunk in chunks if suspects(_seen(chunk))]
    return {SUSPECT: found} if found else {}


def _seen(chunk: Chunk) -> str:
    """What the model saw of a chunk: its heading path may hold a number too."""
    return "\n".join((*chunk.headings, chunk.text))


def evidence_of(chunk: Chunk) -> str:
    """What of it can support an answer."""
    return evidence(_seen(chunk))


def cited_chunks(citations: Sequence[Citation], shown: Sequence[Chunk]) -> list[Chunk]:
    """The shown chunks that are cited, in order, each once; numbers of no passage are left to ``check_citations``."""
    numbers = dict.fromkeys(c.passage for c in citations if 1 <= c.passage <= len(shown))
    return [shown[number - 1] for number in numbers]


def check_citations(
    citations: Sequence[Citation], shown: Sequence[Chunk], required: Sequence[Chunk] = ()
) -> tuple[tuple[Span, ...], Verdict | None]:
    """The ranges quoted, and the first fault.

    Args:
        citations: What the reply cites.
        shown: The passages in the order of their numbers.
        required: Chunks that must be among the cited.

    Returns:
        Spans of the quotes that were found, and a verdict: nothing cited, no such passage, a quote that is not there,
        too short or an order to a model, or a required chunk that is not cited.
    """
    spans: list[Span] = []
    fault: Verdict | None = None if citations else rag_gates.refused("no_citation")
    for citation in citations:
        if not 1 <= citation.passage <= len(shown):
            fault = fault or rag_gates.refused("unknown_passage", passage=citation.passage, shown=len(shown))
            continue
        chunk = shown[citation.passage - 1]
        place = rag_gates.find_quote(citation.quote, chunk.text)
        if place is None:
            fault = fault or rag_gates.refused("quote_not_in_source", quote=citation.quote, chunk_id=chunk.id)
            continue
        fault = fault or _fault_of_quote(citation.quote, place, chunk)
        span = Span(document_id=chunk.document_id, start=chunk.start + place[0], end=chunk.start + place[1])
        if span not in spans:
            spans.append(span)
    cited = [chunk.id for chunk in cited_chunks(citations, shown)]
    missing = [chunk.id for chunk in required if chunk.id not in cited]
    if fault is None and missing:
        fault = rag_gates.refused("source_not_cited", cited=cited, missing=missing)
    return tuple(spans), fault


def _fault_of_quote(quote: str, place: tuple[int, int], chunk: Chunk) -> Verdict | None:
    if len("".join(quote.split())) < rag_gates.MIN_QUOTE_CHARS:
        return rag_gates.refused("quote_too_short", quote=quote, chunk_id=chunk.id, limit=rag_gates.MIN_QUOTE_CHARS)
    if any(place[0] < end and start < place[1] for start, end in suspects(chunk.text)):
        return rag_gates.refused("quote_is_an_instruction", quote=quote, chunk_id=chunk.id)
    return None


def question_fault(question: str, shown: Sequence[Chunk], *, only_codes: bool = False) -> Verdict | None:
    """A question that asks how a document is built, leans on a text, or names a code that no shown passage has.

    Args:
        question: What is asked.
        shown: The passages that it was made beside.
        only_codes: Let it name systems and zones that no passage has, as a question without an answer may.
    """
    contexts = [evidence_of(chunk) for chunk in shown]
    return (
        rag_gates.asks_structure(question)
        or rag_gates.stands_alone(question)
        or rag_gates.unsupported_code(question, contexts, "question_code_not_in_context", only_codes=only_codes)
    )


def answer_fault(answer: str, question: str, cited: Sequence[Chunk]) -> Verdict | None:
    """An answer that names the prompt's passages, has what the cited ones do not have, or turns a sentence round."""
    contexts = [evidence_of(chunk) for chunk in cited]
    return (
        rag_gates.mentions_passages(answer)
        or rag_gates.unsupported_number(answer, question, contexts)
        or rag_gates.unsupported_code(answer, [*contexts, question])
        or rag_gates.ungrounded(answer, question, contexts)
        or turned_round(answer, contexts)
    )


def obedience_fault(question: str, answer: str, shown: Sequence[Chunk]) -> Verdict | None:
    """A pair with words that stand only in sentences that order a model about."""
    words = repeated(f"{question}\n{answer}", [_seen(chunk) for chunk in shown])
    return rag_gates.refused("repeats_an_instruction", words=words[:10]) if words else None


def unretrieved(question: str, sources: Sequence[Chunk], retriever: Retriever, depth: int) -> Verdict | None:
    """A question that finds none of ``sources`` among its first ``depth`` hits: it asks too vaguely or of another."""
    found = [hit.chunk.id for hit in retriever.search(question, depth)]
    if any(chunk.id in found for chunk in sources):
        return None
    return rag_gates.refused("does_not_retrieve_source", depth=depth, found=found)
