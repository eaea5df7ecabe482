"""The gates that a pair of ``rag_qa`` passes, by what was planned for it, cheap first.

``answered_fault`` is for pairs with an answer in the passages, ``unanswerable_fault`` for those without. Each gives the
first fault found, as a verdict. Must not know prompts, models or the parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from corpora.korean.quantities import quantities
from corpora.records import Chunk, Span, Verdict
from generators import rag_gates
from generators.grounding import (
    Citation,
    answer_fault,
    check_citations,
    cited_chunks,
    obedience_fault,
    question_fault,
    unretrieved,
)
from generators.rag_qa_plan import PlannedQuestion
from generators.rag_qa_refusal import answerable, refusal_fault
from generators.reply_fields import ReplyList, ReplyNumber
from retrieval.retriever import Retriever

__all__ = ["Pair", "answered_fault", "unanswerable_fault"]


class Pair(BaseModel):
    """One pair as the model must write it; a reply without ``number`` is taken in the order asked for."""

    model_config = ConfigDict(strict=True)
    number: ReplyNumber | None = None
    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)
    citations: list[Citation]
    asked: ReplyList = []


def answered_fault(
    pair: Pair,
    planned: PlannedQuestion | None,
    shown: Sequence[Chunk],
    companion: Chunk | None,
    retriever: Retriever,
    depth: int,
) -> tuple[tuple[Span, ...], Verdict | None]:
    """The spans quoted and the first fault of a pair that has its answer in the passages.

    Args:
        pair: What the model wrote.
        planned: What was asked for; None for a pair more than was asked for, refused last of all.
        shown: The passages by number, the source first.
        companion: The second passage that a ``multi_hop`` question must cite.
        retriever: Search over this side.
        depth: Hits among which the question must find its source (over two passages: one of them).
    """
    hop = planned is not None and planned.kind == "multi_hop"
    required = [shown[0], companion] if hop and companion is not None else [shown[0]]
    spans, fault = check_citations(pair.citations, shown, required)
    fault = (
        fault
        or obedience_fault(pair.question, pair.answer, shown)
        or answer_fault(pair.answer, pair.question, cited_chunks(pair.citations, shown))
        or question_fault(pair.question, shown)
        or _type_fault(pair, planned)
        or unretrieved(pair.question, required, retriever, depth)
    )
    if fault is None and planned is None:
        fault = rag_gates.refused("more_than_asked", number=pair.number)
    return spans, fault


def unanswerable_fault(
    pair: Pair, shown: Sequence[Chunk], chunks: Sequence[Chunk], retriever: Retriever
) -> Verdict | None:
    """The first fault of a pair whose question no passage answers.

    Args:
        pair: What the model wrote; citations are not looked at.
        shown: The passages that it saw.
        chunks: All chunks of this side.
        retriever: Search over them.
    """
    fault = (
        refusal_fault(pair.answer, pair.question)
        or obedience_fault(pair.question, pair.answer, shown)
        or question_fault(pair.question, shown, only_codes=True)
    )
    if fault is not None:
        return fault
    best = retriever.search(pair.question, 1)
    return answerable(pair.question, pair.asked, chunks, shown, best[0].chunk if best else None)


def _type_fault(pair: Pair, planned: PlannedQuestion | None) -> Verdict | None:
    """What the plan asked for and the pair is not; only what can be seen for certain."""
    if (
        planned is not None
        and planned.kind == "number"
        and not any(one.firm or one.listing for one in quantities(pair.answer))
    ):
        return rag_gates.refused("answer_without_number", question_type="number")
    return None
