"""What ``python -m training answer`` is told: which models answer which rows, and how.

Read from one JSON file; no torch here. Knows no dataset, no metric and no judge: scoring is somebody else's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["AnswerConfig", "AnswerSide"]


class AnswerSide(BaseModel):
    """One of the models that are compared."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str  # As answers carry it: ``base``, ``tuned``.
    base: str  # Folder or hub name of the base.
    adapter: str | None = None  # Folder of the adapter, or None for the bare base.
    recipe: str  # Whose template the prompts are rendered with, where no folder brings one.
    template_of: str | None = None  # Folder of the adapter in whose template it is asked; None is its own.


class AnswerConfig(BaseModel):
    """One run of answering."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    sides: Annotated[tuple[AnswerSide, ...], Field(min_length=1)]
    rows_file: Path  # JSON lines: {"row": 3, "messages": [… the reference answer last]}.
    output: Path  # JSON lines are appended here; what is there already is not asked again.
    seed: int = 7
    max_tokens: int = Field(512, ge=1)  # Most tokens of an answer.
    temperature: float = Field(0.0, ge=0)  # Of the answers that are scored; 0 is greedy.
    top_p: float = Field(1.0, gt=0, le=1)
    batch_size: int = Field(8, ge=1)  # Prompts that are answered together.
    likelihood: bool = True  # Whether the reference answers' likelihoods are measured.
    repeats: int = Field(0, ge=0)  # Further answers to each repeated question, each from a seed of its own.
    repeat_rows: int = Field(0, ge=0)  # Questions that are repeated: the first ones of the file.
    repeat_temperature: float = Field(0.7, gt=0)
