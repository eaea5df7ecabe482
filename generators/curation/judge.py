"""A language model as a judge that is shown the source: the last gate of generation, optional.

Each candidate that every rule has let through is asked about in one request: is the answer supported by the passages,
does the question stand alone, is the answer complete, and a score from 1 to 10. What it refuses is a verdict with its
reason; a judgement that can't be read refuses too, since a gate that opens by accident is none. Scores stay with the
sample. Must not know the store, nor which generator made a candidate.

Use::

    judge = Judge(model, min_score=7)
    judged, usage = await judge.review(candidate, passages, slot=3, position=0)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field

from corpora.context import wrap_context
from corpora.records import Candidate, Chunk, Message, Verdict
from generators.asking import ask_items
from generators.base import ModelClient
from generators.curation.dialogue_text import dialogue_text, shown_passages
from generators.llm.parsing import Malformed
from generators.ports import ModelRequest, Usage
from generators.prompting import render

__all__ = ["JUDGED", "Judge", "Review"]

#: Trait of a candidate: score and reason that the judge gave.
JUDGED = "judge"


class Review(BaseModel):
    """A judgement as the model must write it."""

    model_config = ConfigDict(strict=True)
    supported: bool
    standalone: bool
    complete: bool
    score: int = Field(ge=1, le=10)
    reason: str


class Judge:
    """Judges candidates by a model."""

    def __init__(self, model: ModelClient, *, min_score: int = 7, max_tokens: int = 400) -> None:
        """Take the model.

        Args:
            model: Whom to ask.
            min_score: Lowest score that passes; 7 is what peers that judge use (synthetic-data-kit's default).
            max_tokens: Upper limit of one judgement in tokens.
        """
        self._model = model
        self._min_score = min_score
        self._max_tokens = max_tokens

    async def review(
        self, candidate: Candidate, passages: Sequence[Chunk], *, slot: int, position: int
    ) -> tuple[Candidate, Usage]:
        """``candidate`` with the judgement in its traits, and a verdict where it is refused.

        Args:
            candidate: What is judged; readable and not yet refused.
            passages: What it was made from; empty for a free task, and where its system turn shows what it rests on.
            slot: Number of its slot.
            position: Its place among the slot's candidates.

        Raises:
            BudgetExhaustedError: the budget does not cover the request.
            EndpointError: the judge could not be asked.
        """
        prompt = render(
            "judge",
            passages=_passages(candidate, passages),
            dialogue=dialogue_text(candidate.messages),
        )
        request = ModelRequest(
            slot=slot,
            step=f"judge.{position}",
            messages=(Message(role="user", content=prompt.text),),
            max_tokens=self._max_tokens,
            temperature=0.0,
        )
        asked = await ask_items(self._model, request, "reviews", Review)
        if asked.failed is not None:
            return _refused(candidate, "judge_failed", why=asked.failed), asked.usage
        first = asked.items[0] if asked.items else None
        if first is None or isinstance(first, Malformed):
            why = "no review" if first is None else first.reason
            return _refused(candidate, "judge_unreadable", why=why), asked.usage
        return self._decided(candidate, first.value, prompt.id), asked.usage

    def _decided(self, candidate: Candidate, review: Review, prompt_id: str) -> Candidate:
        said = {"score": review.score, "reason": review.reason, "prompt": prompt_id}
        origin = candidate.provenance
        candidate = replace(candidate, provenance=replace(origin, traits={**origin.traits, JUDGED: said}))
        for name, holds in (
            ("unsupported", review.supported),
            ("not_standalone", review.standalone),
            ("incomplete", review.complete),
        ):
            if not holds:
                return _refused(candidate, f"judge_{name}", review.score, said=review.reason)
        if review.score < self._min_score:
            return _refused(candidate, "judge_low_score", review.score, said=review.reason, limit=self._min_score)
        return candidate


def _passages(candidate: Candidate, chunks: Sequence[Chunk]) -> str:
    """What the candidate was made from; where its chunks are not known, what its own system turn shows."""
    if not chunks:
        return shown_passages(candidate.messages)
    return wrap_context([(" > ".join(chunk.headings), chunk.text) for chunk in chunks])


def _refused(candidate: Candidate, reason: str, score: float | None = None, **evidence: str | int) -> Candidate:
    return replace(candidate, rejection=Verdict(stage="judge", reason=reason, score=score, evidence=dict(evidence)))
