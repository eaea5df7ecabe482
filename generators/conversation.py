"""Conversations of several turns on a chunk and its neighbours, by a language model, every answer with its quotes.

A slot asks for one conversation: a first question that stands alone, then follow-ups of planned kinds (more detail, an
exception, the reason, the next step, a check), which may be as short as people are in the middle of a conversation.
Every answer cites; its numbers and codes must stand in what it cites, or have been said before in the conversation.
One faulty turn refuses the whole conversation, with the turn's number: a row cut short is another conversation.

Worked example. The source chunk::

    입고 검수는 도착 후 24시간 이내에 끝냅니다. 수량이 다르면 차이 보고서를 작성합니다.

Planned: two exchanges, the second an ``exception``. The model answers::

    {"conversations": [{"turns": [
      {"question": "입고 검수는 언제까지 끝내야 하나요?", "answer": "도착 후 24시간 이내에 끝내시면 됩니다.",
       "citations": [{"passage": 1, "quote": "입고 검수는 도착 후 24시간 이내에 끝냅니다."}]},
      {"question": "수량이 다르면요?", "answer": "그때는 차이 보고서를 작성하시면 됩니다.",
       "citations": [{"passage": 1, "quote": "수량이 다르면 차이 보고서를 작성합니다."}]}]}]}

The sample has these four turns, the spans of both quotes, and the traits ``persona`` and ``follow_ups``. Every
assistant turn is trained (no weight is set). Must not know the endpoint, the store or other generators.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from corpora.context import context_turn
from corpora.records import Candidate, Chunk, Message, Provenance
from generators.asking import ask_items, prompt_request, unreadable
from generators.base import PoolView, SlotPlan, SlotResult, Workspace
from generators.conversation_gates import Conversation as Written
from generators.conversation_gates import conversation_fault
from generators.grounding import cited_chunks, known_lines, shown_chunks, suspicions, wrap_chunks
from generators.grounding_coverage import coverage_order
from generators.grounding_draws import between, shuffled, weighted
from generators.llm.parsing import Malformed
from generators.particles import with_particle
from generators.prompting import Prompt, render
from generators.rag_gates import refused
from retrieval.retriever import Retriever

__all__ = ["FOLLOW_UPS", "Conversation", "ConversationParams"]

#: Kinds of follow-up questions, as the prompt describes them.
FOLLOW_UPS = ("detail", "exception", "reason", "next_step", "confirm")
#: First questions on the same chunk that are shown as already made.
_KNOWN_SHOWN = 12
_PERSONAS = ("입고 담당자", "출고·피킹 작업자", "재고 관리자", "반품 담당자", "신입 사원", "고객사(화주) 담당자")


class ConversationParams(BaseModel):
    """Parameters of ``conversation``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_turns: int = Field(default=2, ge=2, le=8, description="Fewest exchanges of question and answer.")
    max_turns: int = Field(default=4, ge=2, le=8, description="Most exchanges; a slot's number is drawn by its seed.")
    neighbours: int = Field(default=3, ge=0, le=10, description="Nearest chunks shown beside the source chunk.")
    retrieval_depth: int = Field(
        default=5, ge=1, le=50, description="The first question must find its source chunk among this many hits."
    )
    passes: int = Field(default=1, ge=1, le=20, description="How often each chunk is used as the source.")
    personas: tuple[str, ...] = Field(
        default=_PERSONAS, max_length=100, description="Who asks, drawn evenly; an empty list leaves it open."
    )
    include_context: bool = Field(
        default=False, description="Whether samples carry the cited passages, as a system turn."
    )
    temperature: float = Field(default=0.7, ge=0, le=2, description="Sampling temperature.")
    max_tokens: int = Field(default=3072, ge=64, le=32768, description="Upper limit of one reply in tokens.")

    @model_validator(mode="after")
    def _consistent(self) -> ConversationParams:
        if self.min_turns > self.max_turns:
            raise ValueError("min_turns is at most max_turns.")
        if any(not persona.strip() or len(persona) > 60 or "\n" in persona for persona in self.personas):
            raise ValueError("personas: each is a name of at most 60 characters in one line.")
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scene:
    """Everything of a slot that is known before the model is asked."""

    seed: int
    retriever: Retriever
    shown: tuple[Chunk, ...]
    persona: str | None
    follow_ups: tuple[str, ...]
    prompt: Prompt


class Conversation:
    """The generator ``conversation``."""

    name = "conversation"
    needs_model = True
    both_sides = True

    def __init__(self, params: ConversationParams | None = None) -> None:
        self.params = params or ConversationParams()

    def sources(self, workspace: Workspace) -> Sequence[str | None]:
        """One slot a chunk and pass, in coverage order."""
        return [chunk.id for chunk in coverage_order(workspace.chunks, workspace.used)] * self.params.passes

    async def run(self, plan: SlotPlan, workspace: Workspace, pool: PoolView) -> SlotResult:
        """Ask for a conversation on the slot's chunk and check it turn by turn."""
        source = workspace.chunk(plan.source)
        if workspace.model is None or workspace.retriever is None or source is None:
            raise ValueError("conversation needs a workspace with the slot's chunk, a retriever and a model")
        scene = await asyncio.to_thread(self._scene, plan, workspace, pool, source, workspace.retriever)
        request = prompt_request(plan, "conversation", scene.prompt, self.params)
        asked = await ask_items(workspace.model, request, "conversations", Written)
        if asked.failed is not None:
            return SlotResult(usage=asked.usage, failed=asked.failed)
        origin = Provenance(
            generator=self.name,
            slot=plan.slot,
            model=asked.model,
            prompt=scene.prompt.id,
            document_id=source.document_id,
            chunk_ids=tuple(chunk.id for chunk in scene.shown),
            traits=suspicions(scene.shown) | {"persona": scene.persona, "follow_ups": list(scene.follow_ups)},
        )
        candidates = await asyncio.to_thread(
            lambda: tuple(
                unreadable(item, asked.origin(origin), grounded=True)
                if isinstance(item, Malformed)
                else self._candidate(item.value, position, scene, asked.origin(origin))
                for position, item in enumerate(asked.items)
            )
        )
        return SlotResult(candidates=candidates, usage=asked.usage)

    def _scene(
        self, plan: SlotPlan, workspace: Workspace, pool: PoolView, source: Chunk, retriever: Retriever
    ) -> _Scene:
        known = [one.question for one in workspace.known(source.id, pool) if one.provenance.generator == self.name]
        shown = shown_chunks(source, workspace, retriever, self.params.neighbours)
        exchanges = between(plan.seed, "turns", self.params.min_turns, self.params.max_turns)
        # A conversation of more turns than there are kinds begins again with them.
        kinds = [kind for lap in range(2) for kind in shuffled(plan.seed, f"follow_up:{lap}", FOLLOW_UPS)]
        follow_ups = tuple(kinds[: exchanges - 1])
        personas = dict.fromkeys(self.params.personas, 1)
        persona = weighted(plan.seed, "persona", personas) if personas else None
        prompt = render(
            "conversation",
            passages=wrap_chunks(shown),
            plan="\n".join(follow_ups),
            persona=with_particle(persona, "과/와") if persona else "",
            user_level=plan.user_level,
            known=known_lines(known, _KNOWN_SHOWN),
        )
        return _Scene(
            seed=plan.seed,
            retriever=retriever,
            shown=tuple(shown),
            persona=persona,
            follow_ups=follow_ups,
            prompt=prompt,
        )

    def _candidate(self, written: Written, position: int, scene: _Scene, origin: Provenance) -> Candidate:
        spans, fault = conversation_fault(
            written.turns, scene.shown, scene.retriever, self.params.retrieval_depth, len(scene.follow_ups) + 1
        )
        if fault is None and position:
            fault = refused("more_than_asked", number=position + 1, asked=1)
        messages: list[Message] = []
        for turn in written.turns:
            messages += [Message(role="user", content=turn.question), Message(role="assistant", content=turn.answer)]
        traits: dict[str, Any] = {**origin.traits, "exchanges": len(written.turns)}
        if self.params.include_context and fault is None:
            cited = cited_chunks([citation for turn in written.turns for citation in turn.citations], scene.shown)
            cited = shuffled(scene.seed, "context", cited, key=lambda chunk: chunk.text)
            messages.insert(0, Message(role="system", content=context_turn(wrap_chunks(cited))))
            traits["context"] = [chunk.id for chunk in cited]
        return Candidate(
            messages=tuple(messages),
            provenance=replace(origin, spans=spans, traits=traits),
            grounded=True,
            rejection=fault,
        )
