"""Questions and answers on passages of a corpus, by a language model, each answer tied to quotes that stand there.

A slot takes one source chunk (documents in turn, least used first), shows it with its nearest neighbours as numbered
passages, and asks for a planned mix of questions: types that suit the chunk (``rag_qa_plan``), who asks, how hard. What
the model claims is checked, cheap first: quotes, numbers, codes, nouns; a question that stands alone, asks for matter
and not for the document's structure, and retrieves its own chunk. A question over two passages cites both; one without
an answer there is refused politely (``rag_qa_refusal``). Each failing gate is a verdict on the candidate, and a pair
more than was asked for is one too. Must not know the endpoint, the store or other generators.

Worked example. The source chunk::

    # 입고
    입고 검수는 도착 후 24시간 이내에 끝냅니다. 파손품은 B-03 구역에 따로 둡니다.

The plan says ``number``, 입고 담당자, ``easy``; the model answers::

    {"pairs": [{"number": 1, "question": "입고 검수는 도착 후 몇 시간 이내에 끝내야 하나요?",
      "answer": "도착 후 24시간 이내에 끝내시면 됩니다.",
      "citations": [{"passage": 1, "quote": "입고 검수는 도착 후 24시간 이내에 끝냅니다."}], "asked": []}]}

The sample has these two turns, the span of the quote, and the traits ``question_type``, ``persona`` and ``difficulty``.
An answer of 36시간 is rejected with ``number_not_in_context``. With ``include_context`` a system turn shows the cited
passages and ``distractors`` others that do not answer, for training a model that will be asked with passages.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from corpora.records import Candidate, Chunk, Message, Provenance, Span
from generators.asking import ask_items, prompt_request, unreadable
from generators.base import PoolView, SlotPlan, SlotResult, Workspace
from generators.grounding import cited_chunks, known_lines, shown_chunks, suspicions, wrap_chunks
from generators.grounding_coverage import coverage_order
from generators.llm.parsing import Malformed, ParsedItem
from generators.prompting import Prompt, render
from generators.rag_qa_checks import Pair, answered_fault, unanswerable_fault
from generators.rag_qa_context import distractors_for, row_context
from generators.rag_qa_params import RagQaParams
from generators.rag_qa_plan import PlannedQuestion, QuestionType, find_companion, plan_questions, suited
from retrieval.retriever import Retriever

__all__ = ["RagQa", "RagQaParams", "coverage_order"]

# Questions on the same chunk that are shown as already made; more would crowd out the passages.
_KNOWN_SHOWN = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scene:
    """Everything of a slot that is known before the model is asked."""

    plan: SlotPlan
    workspace: Workspace
    retriever: Retriever
    shown: tuple[Chunk, ...]  # The source first, then the companion of questions over two passages, if any is planned.
    companion: Chunk | None
    questions: tuple[PlannedQuestion, ...]
    prompt: Prompt | None  # None where no type suits the chunk.


class RagQa:
    """The generator ``rag_qa``."""

    name = "rag_qa"
    needs_model = True
    both_sides = True

    def __init__(self, params: RagQaParams | None = None) -> None:
        self.params = params or RagQaParams()

    def sources(self, workspace: Workspace) -> Sequence[str | None]:
        """One slot a chunk and pass; each pass begins with what the ones before used least."""
        used = Counter(workspace.used)
        planned: list[str | None] = []
        for _ in range(self.params.passes):
            order = [chunk.id for chunk in coverage_order(workspace.chunks, used)]
            used.update(order)
            planned += order
        return planned

    async def run(self, plan: SlotPlan, workspace: Workspace, pool: PoolView) -> SlotResult:
        """Ask for pairs on the slot's chunk and check them; morphemes and search run beside the event loop."""
        source = workspace.chunk(plan.source)
        if workspace.model is None or workspace.retriever is None or source is None:
            raise ValueError("rag_qa needs a workspace with the slot's chunk, a retriever and a model")
        scene = await asyncio.to_thread(self._scene, plan, workspace, pool, source, workspace.retriever)
        if scene.prompt is None:
            return SlotResult(failed="no_suitable_question_type")
        request = prompt_request(plan, "pairs", scene.prompt, self.params)
        asked = await ask_items(workspace.model, request, "pairs", Pair)
        if asked.failed is not None:
            return SlotResult(usage=asked.usage, failed=asked.failed)
        origin = Provenance(
            generator=self.name,
            slot=plan.slot,
            model=asked.model,
            prompt=scene.prompt.id,
            document_id=source.document_id,
            chunk_ids=tuple(chunk.id for chunk in scene.shown),
            traits=suspicions(scene.shown),
        )
        candidates = await asyncio.to_thread(self._candidates, asked.items, scene, asked.origin(origin))
        return SlotResult(candidates=candidates, usage=asked.usage)

    def _scene(
        self, plan: SlotPlan, workspace: Workspace, pool: PoolView, source: Chunk, retriever: Retriever
    ) -> _Scene:
        known = workspace.known(source.id, pool)
        shown = shown_chunks(source, workspace, retriever, self.params.neighbours)
        weights = self.params.question_types
        companion = find_companion(shown) if weights.get("multi_hop") else None
        questions = plan_questions(
            plan.seed,
            self.params.pairs_per_request,
            suited(weights, source, companion),
            self.params.personas,
            self.params.difficulties,
            _types_of(known),
        )
        number = shown.index(companion) + 1 if companion is not None else 0
        prompt = None
        if questions:
            lines = [f"{one.kind}|{one.persona or ''}|{one.difficulty}" for one in questions]
            prompt = render(
                "rag_qa",
                count=str(len(questions)),
                passages=wrap_chunks(shown),
                plan="\n".join(lines),
                companion=str(number),
                user_level=plan.user_level,
                known=known_lines([candidate.question for candidate in known], _KNOWN_SHOWN),
            )
        return _Scene(
            plan=plan,
            workspace=workspace,
            retriever=retriever,
            shown=tuple(shown),
            companion=companion,
            questions=tuple(questions),
            prompt=prompt,
        )

    def _candidates(
        self, items: Sequence[ParsedItem[Pair] | Malformed], scene: _Scene, origin: Provenance
    ) -> tuple[Candidate, ...]:
        open_ = dict(enumerate(scene.questions, start=1))
        found: list[Candidate] = []
        for position, item in enumerate(items):
            if isinstance(item, Malformed):
                found.append(unreadable(item, origin, grounded=True))
                continue
            number = item.value.number if item.value.number is not None else position + 1
            found.append(self._candidate(item.value, open_.pop(number, None), scene, position, origin))
        return tuple(found)

    def _candidate(
        self, pair: Pair, planned: PlannedQuestion | None, scene: _Scene, position: int, origin: Provenance
    ) -> Candidate:
        spans: tuple[Span, ...] = ()
        if planned is not None and planned.kind == "unanswerable":
            fault = unanswerable_fault(pair, scene.shown, scene.workspace.chunks, scene.retriever)
            answering = [scene.shown[0]]
        else:
            spans, fault = answered_fault(
                pair, planned, scene.shown, scene.companion, scene.retriever, self.params.retrieval_depth
            )
            answering = cited_chunks(pair.citations, scene.shown)
        traits = dict(origin.traits) | _traits(pair, planned)
        messages = [Message(role="user", content=pair.question), Message(role="assistant", content=pair.answer)]
        chunk_ids = origin.chunk_ids
        if self.params.include_context and fault is None:
            quotes = [citation.quote for citation in pair.citations]
            extra = distractors_for(
                pair.question, pair.answer, quotes, answering, scene.retriever, self.params.distractors
            )
            context = row_context(scene.plan.seed, position, answering, extra)
            messages.insert(0, context.message)
            traits |= {"context": list(context.shown), "distractors": list(context.distractors)}
            chunk_ids = tuple(dict.fromkeys((*chunk_ids, *context.shown)))
        return Candidate(
            messages=tuple(messages),
            provenance=replace(origin, spans=spans, traits=traits, chunk_ids=chunk_ids),
            grounded=True,
            rejection=fault,
        )


def _traits(pair: Pair, planned: PlannedQuestion | None) -> dict[str, Any]:
    if planned is None:
        return {}
    traits: dict[str, Any] = {
        "question_type": planned.kind,
        "persona": planned.persona,
        "difficulty": planned.difficulty,
        "distractors": [],
    }
    return traits | ({"asked": list(pair.asked)} if planned.kind == "unanswerable" else {})


def _types_of(known: Sequence[Candidate]) -> Counter[QuestionType]:
    kinds = (candidate.provenance.traits.get("question_type") for candidate in known)
    return Counter(kind for kind in kinds if kind is not None)
