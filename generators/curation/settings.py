"""The thresholds of curation, each with the source of its number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["CurationSettings", "Limits", "Politeness"]

Politeness = Literal["any", "polite", "plain"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Limits of the filters. Calibrated on Korean manuals, KorQuAD and chat data (percentiles 1, 50, 99)."""

    min_question_chars: int = 8  #: KorQuAD questions: 12, 32, 71 characters.
    max_question_chars: int = 300  #: The same, with room for two sentences.
    max_task_chars: int = 4000  #: A free instruction carries its input.
    min_answer_chars: int = 20  #: Answers from manuals: 12, 47, 155; below 20 they are fragments.
    max_answer_chars: int = 4000  #: Paragraphs of manuals end at 717; procedures run longer.
    min_hangul_share: float = 0.5  #: Of letters; questions on manuals have 0.475 at the first percentile.
    max_question_special: float = 0.05  #: 99th percentile of KorQuAD questions: 0.
    max_answer_special: float = 0.15  #: 99th percentile of manual paragraphs: 0.178, of answers: 0.089.
    max_repetition: float = 0.2  #: Repeated 4-grams; 99th percentile of manual paragraphs: 0.08.


@dataclass(frozen=True, kw_only=True, slots=True)
class CurationSettings:
    """What a job's curation holds candidates to."""

    near_duplicate_threshold: str = "0.7"  #: Self-Instruct's ROUGE-L, as a decimal string, compared in integers.
    semantic_threshold: float | None = None  #: Cosine; None is the embedder's calibrated value.
    speech_level: dict[str, Politeness] = field(default_factory=lambda: {"user": "any", "assistant": "polite"})
    limits: Limits = Limits()  #: Limits of the filters.
