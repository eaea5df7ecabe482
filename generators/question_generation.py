"""Rows that teach a model to ask: a passage and a request, and the question as the assistant's turn.

The passage is a chunk of the corpus, or the text of a source item, such as a row of a KorQuAD file whose known answer
is then asked for. It stands in the system turn, wrapped as everywhere else (``corpora.context``); the user turn is the
request alone. In the user turn it would be measured and compared as part of the request, and two questions on one
passage would count as the same row. A row's answer is in the trait ``answer``, for pairs to be made
of it later. Gates: the quote and the answer stand in the passage; the question is a Korean question, does not tell its
answer, is no sentence of the passage with another ending, stands alone, and (of a chunk) finds its passage.

Worked example. The passage is 입고 검수는 도착 후 24시간 이내에 끝냅니다. The model answers::

    {"questions": [{"question": "입고한 상품의 검수는 언제까지 마쳐야 하나요?", "answer": "24시간 이내",
      "quote": "입고 검수는 도착 후 24시간 이내에 끝냅니다."}]}

and the sample is the passage (system), “입고” 지문을 읽고 답할 수 있는 질문을 하나 만들어 주세요. (user), the question.
Must not know the endpoint, the store or other generators.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from corpora.context import context_turn, unfenced, wrap_context
from corpora.errors import InvalidInputError
from corpora.records import Candidate, Chunk, Message, Provenance, Span
from generators.asking import ask_items, prompt_request, unreadable
from generators.base import PoolView, SlotPlan, SlotResult, SourceItem, UserLevel, Workspace
from generators.grounding import known_lines, suspicions, unretrieved, wrap_chunks
from generators.grounding_coverage import coverage_order
from generators.llm.parsing import Malformed, ParsedItem
from generators.prompting import render
from generators.question_generation_gates import Written, written_fault
from generators.rag_gates import find_quote, refused

__all__ = ["QuestionGeneration", "QuestionGenerationParams"]

#: Questions on the same passage that are shown as already made.
_KNOWN_SHOWN = 12
#: Label of a passage without a title, as imported rows have it.
_UNTITLED = "지문"

#: Requests as users write them, one a passage: a model that learns one wording alone answers to that alone. They name
#: the passage's topic, so that curation compares questions on one topic with each other and not with all others.
_REQUESTS: dict[Literal["plain", "polite"], tuple[str, ...]] = {
    "polite": (
        "{topic} 지문을 읽고 답할 수 있는 질문을 하나 만들어 주세요.",
        "{topic} 지문의 내용을 확인하는 질문을 하나 써 주세요.",
        "{topic} 지문에 답이 있는 질문을 하나 작성해 주세요.",
        "{topic} 지문을 바탕으로 물어볼 만한 질문을 하나 만들어 주시겠어요?",
    ),
    "plain": (
        "{topic} 지문을 읽고 답할 수 있는 질문을 하나 만들어 줘.",
        "{topic} 지문의 내용을 확인하는 질문을 하나 써 줘.",
        "{topic} 지문에 답이 있는 질문을 하나 작성해 줘.",
        "{topic} 지문을 바탕으로 물어볼 만한 질문 하나 만들어 줄래?",
    ),
}
_ASKING_FOR: dict[Literal["plain", "polite"], str] = {
    "polite": "지문에서 답이 “{answer}”인 질문을 하나 만들어 주세요.",
    "plain": "지문에서 답이 “{answer}”인 질문을 하나 만들어 줘.",
}
#: Numbers in front of a heading: in a request they would point at a document's structure.
_NUMBERING = re.compile(r"\A(?:제\s?\d+\s?[장절항편]|\d+(?:[.-]\d+)*[.)장절]?)\s+")
_MARKDOWN = re.compile(r"^[ \t]*#{1,6}[ \t].*$|^[ \t]*(?:[-*|>]|\d{1,2}[.)])[ \t]*", re.MULTILINE)
_TOPIC_CHARS = 60


class QuestionGenerationParams(BaseModel):
    """Parameters of ``question_generation``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    passages: Literal["corpus", "source"] = Field(
        default="corpus", description="Where passages come from: the corpus, or the entry's file of rows with passages."
    )
    questions_per_request: int = Field(
        default=3, ge=1, le=10, description="Questions asked for in one request; one where the answer is given."
    )
    passes: int = Field(default=1, ge=1, le=20, description="How often each passage is used.")
    retrieval_depth: int = Field(
        default=5, ge=0, le=50, description="A question on a chunk must find it among this many hits; 0 asks no search."
    )
    temperature: float = Field(default=0.7, ge=0, le=2, description="Sampling temperature.")
    max_tokens: int = Field(default=1024, ge=64, le=32768, description="Upper limit of one reply in tokens.")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Passage:
    """What is asked about, wherever it comes from."""

    text: str
    wrapped: str
    topic: str  # What a request calls it.
    answer: str  # The answer that the question must have; empty where it is open.
    asked: tuple[str, ...]  # Questions that people have asked about it.
    chunk: Chunk | None
    origin: Provenance


class QuestionGeneration:
    """The generator ``question_generation``."""

    name = "question_generation"
    needs_model = True

    def __init__(self, params: QuestionGenerationParams | None = None) -> None:
        self.params = params or QuestionGenerationParams()
        #: Of rows, the workspace tells which are held out.
        self.both_sides = self.params.passages == "corpus"

    def sources(self, workspace: Workspace) -> Sequence[str | None]:
        """One slot a passage and pass.

        Raises:
            InvalidInputError: passages are to come from where there are none: rows were given and the parameters say
                corpus, or the other way round.
        """
        items = workspace.items.get(self.name, ())
        if not items and not workspace.chunks:
            raise InvalidInputError(
                "question_generation has no passages.",
                hint='Give corpus_id, or a source with "passages": "source" in its entry.',
            )
        if self.params.passages == "source":
            if not items:
                raise InvalidInputError("question_generation reads a source and was given none.", param="source")
            if not any(item.text.strip() for item in items):
                raise InvalidInputError(
                    "No row of the source of question_generation holds a passage.",
                    param="source",
                    hint="Give a file with passages, such as KorQuAD's, or leave the source out to read the corpus.",
                )
            return [item.id for item in items] * self.params.passes
        if items:
            raise InvalidInputError(
                "question_generation was given a source and reads the corpus.",
                hint='Set "passages": "source" in its entry, or leave the source out.',
            )
        return [chunk.id for chunk in coverage_order(workspace.chunks, workspace.used)] * self.params.passes

    async def run(self, plan: SlotPlan, workspace: Workspace, pool: PoolView) -> SlotResult:
        """Ask for questions on the slot's passage and check them."""
        if workspace.model is None:
            raise ValueError("question_generation needs a workspace with a model")
        passage = self._passage(plan, workspace)
        if passage is None:
            return SlotResult(failed="no_passage")
        count = 1 if passage.answer else self.params.questions_per_request
        known = [*passage.asked, *self._known(passage, workspace, pool)]
        prompt = render(
            "question_generation",
            count=str(count),
            passages=passage.wrapped,
            answer=unfenced(passage.answer),
            known=known_lines(known, _KNOWN_SHOWN),
        )
        request = prompt_request(plan, "questions", prompt, self.params)
        asked = await ask_items(workspace.model, request, "questions", Written)
        if asked.failed is not None:
            return SlotResult(usage=asked.usage, failed=asked.failed)
        origin = asked.origin(replace(passage.origin, model=asked.model, prompt=prompt.id))
        passage = replace(passage, origin=origin)
        candidates = await asyncio.to_thread(self._candidates, asked.items, count, passage, plan, workspace)
        return SlotResult(candidates=candidates, usage=asked.usage)

    def _passage(self, plan: SlotPlan, workspace: Workspace) -> _Passage | None:
        origin = Provenance(generator=self.name, slot=plan.slot)
        if self.params.passages == "source":
            item = workspace.item(self.name, plan.source)
            return _of_item(item, origin) if item is not None and item.text.strip() else None
        chunk = workspace.chunk(plan.source)
        if chunk is None:
            raise ValueError("question_generation needs a workspace with the slot's chunk")
        return _Passage(
            text=chunk.text,
            wrapped=wrap_chunks([chunk]),
            topic=_topic(chunk.headings[-1] if chunk.headings else "", chunk.text),
            answer="",
            asked=(),
            chunk=chunk,
            origin=replace(origin, document_id=chunk.document_id, chunk_ids=(chunk.id,), traits=suspicions([chunk])),
        )

    def _known(self, passage: _Passage, workspace: Workspace, pool: PoolView) -> list[str]:
        """Questions that the dataset holds of the same passage."""
        mine = passage.origin
        if passage.chunk is not None:
            known = workspace.known(passage.chunk.id, pool)
            return [one.answer for one in known if one.provenance.generator == self.name]
        return [
            sample.candidate.answer
            for sample in pool.accepted()
            if sample.candidate.provenance.generator == self.name
            and sample.candidate.provenance.traits.get("source_item") == mine.traits.get("source_item")
        ]

    def _candidates(
        self,
        items: Sequence[ParsedItem[Written] | Malformed],
        count: int,
        passage: _Passage,
        plan: SlotPlan,
        workspace: Workspace,
    ) -> tuple[Candidate, ...]:
        return tuple(
            unreadable(item, passage.origin, grounded=True)
            if isinstance(item, Malformed)
            else self._candidate(item.value, position, count, passage, plan, workspace)
            for position, item in enumerate(items)
        )

    def _candidate(
        self, written: Written, position: int, count: int, passage: _Passage, plan: SlotPlan, workspace: Workspace
    ) -> Candidate:
        fault = written_fault(written, passage.text, passage.answer)
        chunk, depth = passage.chunk, self.params.retrieval_depth
        if fault is None and chunk is not None and depth and workspace.retriever is not None:
            fault = unretrieved(written.question, [chunk], workspace.retriever, depth)
        if fault is None and position >= count:
            fault = refused("more_than_asked", number=position + 1, asked=count)
        origin = replace(passage.origin, traits=passage.origin.traits | {"answer": written.answer})
        place = find_quote(written.quote, passage.text)
        if chunk is not None and place is not None:
            span = Span(document_id=chunk.document_id, start=chunk.start + place[0], end=chunk.start + place[1])
            origin = replace(origin, spans=(span,))
        return Candidate(
            messages=(
                Message(role="system", content=context_turn(passage.wrapped)),
                Message(role="user", content=_request(plan.user_level, passage)),
                Message(role="assistant", content=written.question),
            ),
            provenance=origin,
            grounded=True,
            rejection=fault,
        )


def _of_item(item: SourceItem, origin: Provenance) -> _Passage:
    """A row with a passage: its first question is known, its last answer is the one to be asked for."""
    answers = [message.content.strip() for message in item.messages if message.role == "assistant"]
    traits: dict[str, Any] = {"source_item": item.id}
    return _Passage(
        text=item.text,
        wrapped=wrap_context([(_UNTITLED, item.text)]),
        topic=_topic("", item.text),
        answer=answers[-1] if answers else "",
        asked=tuple(message.content.strip() for message in item.messages if message.role == "user"),
        chunk=None,
        origin=replace(origin, group=item.group, traits=traits),
    )


def _topic(heading: str, text: str) -> str:
    """The heading without its number, or else the words that the passage begins with, in quotation marks."""
    title = _NUMBERING.sub("", heading.strip())[:_TOPIC_CHARS].strip()
    if title:
        return f"“{title}”"
    words = (_MARKDOWN.sub("", text) or text).split()
    return f"“{' '.join(words[:4])[:_TOPIC_CHARS]} …”"


def _request(level: UserLevel, passage: _Passage) -> str:
    spoken: Literal["plain", "polite"] = "plain" if level == "plain" else "polite"
    if passage.answer:
        return _ASKING_FOR[spoken].replace("{answer}", passage.answer)
    # By the text alone: two questions on one passage that differ in their request only would both be kept.
    drawn = int.from_bytes(hashlib.sha256(passage.text.encode("utf-8")).digest()[:8], "big")
    requests = _REQUESTS[spoken]
    return requests[drawn % len(requests)].replace("{topic}", passage.topic)
