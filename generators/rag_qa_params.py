"""The parameters of ``rag_qa`` and what must hold between them. Knows no slots and no prompts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from generators.rag_qa_plan import DIFFICULTIES, PERSONAS, QUESTION_TYPES, Difficulty, QuestionType

__all__ = ["RagQaParams"]


class RagQaParams(BaseModel):
    """Parameters of ``rag_qa``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pairs_per_request: int = Field(default=3, ge=1, le=10, description="Pairs asked for in one request.")
    neighbours: int = Field(default=3, ge=0, le=10, description="Nearest chunks shown beside the source chunk.")
    retrieval_depth: int = Field(
        default=5, ge=1, le=50, description="A question must find its source chunk among this many hits."
    )
    passes: int = Field(default=1, ge=1, le=20, description="How often each chunk is used as the source.")
    question_types: dict[QuestionType, int] = Field(
        default_factory=lambda: dict(QUESTION_TYPES),
        description="Types of questions with their weights; one that does not suit a chunk is not asked of it.",
    )
    personas: tuple[str, ...] = Field(
        default=PERSONAS, max_length=100, description="Who asks, drawn evenly; an empty list leaves it open."
    )
    difficulties: dict[Difficulty, int] = Field(
        default_factory=lambda: dict(DIFFICULTIES), description="Difficulties with their weights."
    )
    include_context: bool = Field(
        default=False, description="Whether samples carry the passages that answer, as a system turn."
    )
    distractors: int = Field(
        default=0, ge=0, le=10, description="Passages that do not answer beside them; needs include_context."
    )
    temperature: float = Field(default=0.7, ge=0, le=2, description="Sampling temperature.")
    max_tokens: int = Field(default=2048, ge=64, le=32768, description="Upper limit of one reply in tokens.")

    @model_validator(mode="after")
    def _consistent(self) -> RagQaParams:
        weighted: tuple[tuple[str, Mapping[Any, int]], ...] = (
            ("question_types", self.question_types),
            ("difficulties", self.difficulties),
        )
        for name, weights in weighted:
            if any(not 0 <= weight <= 1000 for weight in weights.values()) or not any(weights.values()):
                raise ValueError(f"{name}: weights are from 0 to 1000, and one at least is above 0.")
        if any(not persona.strip() or len(persona) > 60 or {"|", "\n"} & set(persona) for persona in self.personas):
            raise ValueError("personas: each is a name of at most 60 characters in one line, without '|'.")
        if self.distractors and not self.include_context:
            raise ValueError("distractors stand in the sample's own passages: set include_context too.")
        return self
