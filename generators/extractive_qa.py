"""Questions by rule with verbatim answers: no model, no key, no network.

A slot is one chunk; it yields the questions that ``extractive_rules`` makes of it, each in a surface form that the
slot's seed picks among those whose share of the job is not used up. A question is kept only if it retrieves its own
chunk. The rules refuse rather than guess: many chunks give nothing, and every answer is a range of its document.

Worked example: the sentence "반품이란 고객이 상품을 돌려보내는 업무를 말합니다." gives the question
"반품이란 무엇인가요?" with the whole sentence as its answer.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from corpora.records import Candidate, Chunk, Message, Provenance, Span, Verdict
from generators.base import PoolView, SlotPlan, SlotResult, Workspace
from generators.extractive_forms import filled, ordered_templates
from generators.extractive_rules import RULES_VERSION, Draft, drafts

__all__ = ["WEAK_RULES", "ExtractiveQa", "ExtractiveQaParams"]

#: Rules on single sentences that say what happens, what one may do or how: an independent reading of 100 rows found 22
#: of 43 usable, of all other rules 49 of 57 (docs/extractive_quality.md).
WEAK_RULES = frozenset({"happens_if", "handled_if", "may_if", "purpose", "capability", "field_when"})
#: Trait of a candidate: the surface form of its question.
TEMPLATE = "template"


class ExtractiveQaParams(BaseModel):
    """Parameters of ``extractive_qa``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: Literal["sure", "all"] = Field(
        default="sure",
        description="sure: definitions, procedures, lists, tables and fields; all: single sentences of conditions and "
        "purposes too, of which on unseen manuals about half to two thirds were usable.",
    )
    retrieval_depth: int = Field(
        default=10, ge=1, le=50, description="A question must find its own chunk among this many hits."
    )
    max_answer_chars: int = Field(default=900, ge=20, description="Longest answer in characters.")
    max_template_share: float = Field(
        default=0.15, gt=0, le=1, description="Largest share of this generator's samples that one surface form gives."
    )
    template_floor: int = Field(
        default=6, ge=1, description="Samples that a surface form may give before its share counts."
    )


class ExtractiveQa:
    """The generator ``extractive_qa``."""

    name = "extractive_qa"
    needs_model = False
    both_sides = True

    def __init__(self, params: ExtractiveQaParams | None = None) -> None:
        self.params = params or ExtractiveQaParams()

    def sources(self, workspace: Workspace) -> Sequence[str | None]:
        """One slot a chunk."""
        return [chunk.id for chunk in workspace.chunks]

    async def run(self, plan: SlotPlan, workspace: Workspace, pool: PoolView) -> SlotResult:
        """Every question on the slot's chunk."""
        chunk = workspace.chunk(plan.source)
        if chunk is None:
            raise ValueError(f"slot {plan.slot} has no chunk '{plan.source}' on its side")
        used = _Used(self.params, pool)
        following = workspace.following(chunk)
        candidates = []
        for draft in drafts(chunk, following):
            if self.params.rules == "sure" and draft.rule in WEAK_RULES:
                continue
            names = ordered_templates(draft.rule, plan.seed, f"{draft.start}")
            template = next((name for name in names if used.fits(name)), None)
            rejection = used.verdict(names) if template is None else None
            candidate = self._candidate(draft, template or names[0], (chunk, plan))
            rejection = rejection or self._gate(candidate, chunk, workspace)
            if rejection is None:
                used.count(template or names[0])
            candidates.append(replace(candidate, rejection=rejection))
        return SlotResult(candidates=tuple(candidates))

    def _candidate(self, draft: Draft, template: str, where: tuple[Chunk, SlotPlan]) -> Candidate:
        chunk, plan = where
        answer = chunk.text[draft.start : draft.end]
        span = Span(document_id=chunk.document_id, start=chunk.start + draft.start, end=chunk.start + draft.end)
        question = filled(template, draft.phrases)
        return Candidate(
            messages=(Message(role="user", content=question), Message(role="assistant", content=answer)),
            provenance=Provenance(
                generator=self.name,
                slot=plan.slot,
                prompt=f"{template}@v{RULES_VERSION}",
                document_id=chunk.document_id,
                chunk_ids=(chunk.id,),
                spans=(span,),
                traits={TEMPLATE: template},
            ),
            grounded=True,
        )

    def _gate(self, candidate: Candidate, chunk: Chunk, workspace: Workspace) -> Verdict | None:
        length = len(candidate.answer)
        if length > self.params.max_answer_chars:
            evidence = {"limit": self.params.max_answer_chars}
            return Verdict(stage="filter", reason="answer_too_long", score=length, evidence=evidence)
        assert workspace.retriever is not None
        hits = workspace.retriever.search(candidate.question, self.params.retrieval_depth)
        found = [hit.chunk.id for hit in hits]
        if chunk.id in found:
            return None
        shown = {"depth": self.params.retrieval_depth, "found": found}
        return Verdict(stage="grounding", reason="does_not_retrieve_source", evidence=shown)


class _Used:
    """How often each template was used, as far as a slot may know."""

    def __init__(self, params: ExtractiveQaParams, pool: PoolView) -> None:
        self._params = params
        samples = [s.candidate.provenance for s in pool.accepted()]
        self._counts = Counter(p.traits.get(TEMPLATE, "") for p in samples if p.generator == ExtractiveQa.name)

    def fits(self, template: str) -> bool:
        """Whether one more sample keeps the template within its share."""
        return self._counts[template] < self._limit

    @property
    def _limit(self) -> int:
        return max(self._params.template_floor, math.floor(self._params.max_template_share * self._counts.total()))

    def count(self, template: str) -> None:
        """One more of this slot's own."""
        self._counts[template] += 1

    def verdict(self, names: Sequence[str]) -> Verdict:
        """Why none of these templates may be used."""
        evidence = {"templates": sorted(names), "limit": self._limit}
        return Verdict(
            stage="filter", reason="template_share", score=self._params.max_template_share, evidence=evidence
        )
