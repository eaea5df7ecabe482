"""Questions by rule with verbatim answers: no model, no key, no network.

A slot is one chunk; it yields every question that ``extractive_rules`` makes of it. A question is kept only if it
retrieves its own chunk. Fit for a first dataset, demonstrations and seeds: few surface forms, but nothing invented,
and every answer is a range of its document.

Worked example: the sentence "반품을 등록하려면 RT-120 화면에서 송장 번호를 조회합니다." gives the question
"반품을 등록하려면 어떻게 해야 하나요?" with the whole sentence as its answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from corpora.records import Candidate, Chunk, Message, Provenance, Span, Verdict
from generators.base import PoolView, SlotPlan, SlotResult, Workspace
from generators.extractive_rules import RULES_VERSION, Draft, drafts

__all__ = ["ExtractiveQa", "ExtractiveQaParams"]


class ExtractiveQaParams(BaseModel):
    """Parameters of ``extractive_qa``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    retrieval_depth: int = Field(
        default=3, ge=1, le=50, description="A question must find its own chunk among this many hits."
    )
    max_answer_chars: int = Field(default=900, ge=20, description="Longest answer in characters.")


class ExtractiveQa:
    """The generator ``extractive_qa``."""

    name = "extractive_qa"
    needs_model = False
    needs_corpus = True

    def __init__(self, params: ExtractiveQaParams | None = None) -> None:
        self.params = params or ExtractiveQaParams()

    def sources(self, workspace: Workspace) -> Sequence[str | None]:
        """One slot a chunk."""
        return [chunk.id for chunk in workspace.chunks]

    async def run(self, plan: SlotPlan, workspace: Workspace, pool: PoolView) -> SlotResult:  # noqa: ARG002
        """Every question on the slot's chunk."""
        chunk = workspace.chunk(plan.source)
        if chunk is None:
            raise ValueError(f"slot {plan.slot} has no chunk '{plan.source}' on its side")
        return SlotResult(
            candidates=tuple(self._candidate(d, chunk, plan, workspace) for d in drafts(chunk, plan.seed))
        )

    def _candidate(self, draft: Draft, chunk: Chunk, plan: SlotPlan, workspace: Workspace) -> Candidate:
        answer = chunk.text[draft.start : draft.end]
        span = Span(document_id=chunk.document_id, start=chunk.start + draft.start, end=chunk.start + draft.end)
        return Candidate(
            messages=(Message(role="user", content=draft.question), Message(role="assistant", content=answer)),
            provenance=Provenance(
                generator=self.name,
                slot=plan.slot,
                prompt=f"{draft.rule}@v{RULES_VERSION}",
                document_id=chunk.document_id,
                chunk_ids=(chunk.id,),
                spans=(span,),
            ),
            grounded=True,
            rejection=self._gate(draft.question, answer, chunk, workspace),
        )

    def _gate(self, question: str, answer: str, chunk: Chunk, workspace: Workspace) -> Verdict | None:
        if len(answer) > self.params.max_answer_chars:
            evidence = {"limit": self.params.max_answer_chars}
            return Verdict(stage="filter", reason="answer_too_long", score=len(answer), evidence=evidence)
        assert workspace.retriever is not None
        found = [hit.chunk.id for hit in workspace.retriever.search(question, self.params.retrieval_depth)]
        if chunk.id in found:
            return None
        shown = {"depth": self.params.retrieval_depth, "found": found}
        return Verdict(stage="grounding", reason="does_not_retrieve_source", evidence=shown)
