"""The gates of a conversation, turn by turn, cheap first.

``conversation_fault`` gives the spans quoted and the first fault with the number of its exchange. Pure functions of
texts and of what search finds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field

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
from retrieval.retriever import Retriever

__all__ = ["Conversation", "Turn", "conversation_fault"]

#: What follow-ups must not point at: "그럼 그건요?" points at what was said, these at a text nobody has seen.
_UNSEEN = re.compile(
    r"지문(?! ?(?:인식|등록|센서))"
    r"|(?<![가-힣])(?:이|위|아래|다음|해당|본)\s?(?:표|그림|도표|문서|본문|문단|글)"
    r"(?=[은는이가을를의에로과와도만]|[^가-힣]|\Z)|목차|\[\d+\]"
    r"|제?\s?\d+\s?(?:장|절)(?:에서|에 나온|의 내용)"
)
_MARKS = re.compile(r"[\W_]+")


class Turn(BaseModel):
    """One exchange as the model must write it."""

    model_config = ConfigDict(strict=True)
    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)
    citations: list[Citation]


class Conversation(BaseModel):
    """One conversation as the model must write it."""

    model_config = ConfigDict(strict=True)
    turns: list[Turn]


def conversation_fault(
    turns: Sequence[Turn], shown: Sequence[Chunk], retriever: Retriever, depth: int, most: int
) -> tuple[tuple[Span, ...], Verdict | None]:
    """The spans quoted, each once, and the first fault of a conversation.

    Args:
        turns: Its exchanges.
        shown: The passages by number, the source first.
        retriever: Search over this side.
        depth: Hits among which the first question must find its source.
        most: Exchanges that were asked for; fewer than two are no conversation.
    """
    spans: list[Span] = []
    fault: Verdict | None = None
    if not 2 <= len(turns) <= most:
        fault = rag_gates.refused("too_few_turns" if len(turns) < 2 else "too_many_turns", turns=len(turns), most=most)
    seen: set[str] = set()
    for number, turn in enumerate(turns):
        found, wrong = _turn_fault(turn, turns[:number], shown)
        spans += [span for span in found if span not in spans]
        dense = _MARKS.sub("", turn.question).casefold()
        if wrong is None and dense in seen:
            wrong = rag_gates.refused("question_repeated", question=turn.question)
        seen.add(dense)
        if fault is None and wrong is not None:
            fault = replace(wrong, evidence=wrong.evidence | {"turn": number})
    if fault is None:
        fault = unretrieved(turns[0].question, [shown[0]], retriever, depth)
    return tuple(spans), fault


def _turn_fault(turn: Turn, before: Sequence[Turn], shown: Sequence[Chunk]) -> tuple[tuple[Span, ...], Verdict | None]:
    spans, fault = check_citations(turn.citations, shown, () if before else (shown[0],))
    # What was asked and answered before may be taken up again.
    said = "\n".join([*(f"{one.question}\n{one.answer}" for one in before), turn.question])
    fault = (
        fault
        or obedience_fault(turn.question, turn.answer, shown)
        or answer_fault(turn.answer, said, cited_chunks(turn.citations, shown))
    )
    if fault is not None:
        return spans, fault
    if not before:
        return spans, question_fault(turn.question, shown)
    match = _UNSEEN.search(turn.question)
    if match:
        return spans, rag_gates.refused("question_points_at_passage", pattern=match.group(0).strip())
    return spans, rag_gates.asks_structure(turn.question)
