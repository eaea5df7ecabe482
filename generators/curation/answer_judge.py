"""A language model as a judge of answers, as MT-Bench asks one (Zheng et al. 2023, arXiv:2306.05685), in Korean.

``grade`` gives one answer a score from 1 to 10. ``compare`` asks which of two answers is better, twice with the places
swapped: only who wins in both places wins; a judge that contradicts itself is ``inconsistent``, and that is counted.
Both are shown the reference answer, MT-Bench's remedy against wrong facts that read well. A judgement that cannot be
read is none. Must not know which models have answered, nor where scores go.

Use::

    judge = AnswerJudge(model)
    graded = await judge.grade(question, answer, slot=3, step="tuned")
    compared = await judge.compare(question, first, second, slot=3, step="pair")
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from corpora.context import unfenced
from corpora.records import Message
from generators.ask_one import ask_one
from generators.base import ModelClient
from generators.curation.dialogue_text import dialogue_text, shown_passages
from generators.llm.parsing import Malformed
from generators.ports import ModelRequest
from generators.prompting import Prompt, prompt_id, render

__all__ = ["AnswerJudge", "Comparison", "Graded", "JudgedQuestion", "Outcome"]

#: Of the first answer; ``inconsistent`` where the judge changed its mind with the places.
Outcome = Literal["win", "tie", "lose", "inconsistent"]


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedQuestion:
    """What was asked, and the answer that is held to be right."""

    messages: tuple[Message, ...]  #: The conversation up to the question.
    reference: str  #: The right answer.

    @property
    def dialogue(self) -> str:
        """As the judge reads it; passages that the question was asked with stand apart from orders."""
        passages, turns = shown_passages(self.messages), dialogue_text(self.messages)
        return f"자료:\n{passages}\n\n{turns}" if passages else turns


@dataclass(frozen=True, kw_only=True, slots=True)
class Graded:
    """One score, or why there is none."""

    score: int | None  #: 1 to 10; None where the judgement could not be read or asked for.
    reason: str  #: What the judge said, or what went wrong.


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Two judgements of one pair, or why there are not two."""

    outcome: Outcome | None  #: Of the first answer; None where a judgement could not be read or asked for.
    reasons: tuple[str, ...]  #: What the judge said, or what went wrong.


class _Grade(BaseModel):
    model_config = ConfigDict(strict=True)
    reason: str
    score: int = Field(ge=1, le=10)


class _Verdict(BaseModel):
    model_config = ConfigDict(strict=True)
    reason: str
    winner: Literal["A", "B", "tie"]


class AnswerJudge:
    """Judges answers by a model, greedily."""

    def __init__(self, model: ModelClient, *, max_tokens: int = 400) -> None:
        """Take the model.

        Args:
            model: Whom to ask.
            max_tokens: Upper limit of one judgement in tokens.
        """
        self._model = model
        self._max_tokens = max_tokens

    @property
    def prompts(self) -> dict[str, str]:
        """The prompts' names with version and hash."""
        return {"grade": prompt_id("answer.grade"), "compare": prompt_id("answer.compare")}

    def _request(self, prompt: Prompt, slot: int, step: str) -> ModelRequest:
        return ModelRequest(
            slot=slot,
            step=step,
            messages=(Message(role="user", content=prompt.text),),
            max_tokens=self._max_tokens,
            temperature=0.0,
        )

    async def grade(self, question: JudgedQuestion, answer: str, *, slot: int, step: str) -> Graded:
        """The score of one answer.

        Args:
            question: What was asked.
            answer: What was answered.
            slot: Number under which the request is cached and counted.
            step: Tells this judgement from others of the slot.

        Raises:
            BudgetExhaustedError: the budget does not cover the request.
            EndpointError: the judge could not be asked, and could not be asked anything else.
        """
        prompt = render(
            "answer.grade",
            dialogue=question.dialogue,
            reference=unfenced(question.reference),
            answer=unfenced(answer),
        )
        one = await ask_one(self._model, self._request(prompt, slot, f"grade.{step}"), "grades", _Grade)
        if isinstance(one.value, Malformed):
            return Graded(score=None, reason=one.failed or one.value.reason)
        return Graded(score=one.value.score, reason=one.value.reason)

    async def compare(self, question: JudgedQuestion, first: str, second: str, *, slot: int, step: str) -> Comparison:
        """How ``first`` does against ``second``, asked in both places; arguments and errors as ``grade``."""
        winners: list[str] = []
        reasons: list[str] = []
        for place, pair in enumerate(((first, second), (second, first))):
            said = await self._verdict(question, pair, slot, f"compare.{step}.{place}")
            reasons.append(said.reason)
            if isinstance(said, Malformed):
                return Comparison(outcome=None, reasons=tuple(reasons))
            winners.append(said.winner)
        return Comparison(outcome=_outcome(winners), reasons=tuple(reasons))

    async def _verdict(
        self, question: JudgedQuestion, pair: Sequence[str], slot: int, step: str
    ) -> _Verdict | Malformed:
        prompt = render(
            "answer.compare",
            dialogue=question.dialogue,
            reference=unfenced(question.reference),
            first=unfenced(pair[0]),
            second=unfenced(pair[1]),
        )
        one = await ask_one(self._model, self._request(prompt, slot, step), "verdicts", _Verdict)
        return one.value


def _outcome(winners: Sequence[str]) -> Outcome:
    """The first answer stood at A, then at B."""
    outcomes: dict[tuple[str, str], Outcome] = {("A", "B"): "win", ("B", "A"): "lose", ("tie", "tie"): "tie"}
    return outcomes.get((winners[0], winners[1]), "inconsistent")
