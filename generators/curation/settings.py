"""The thresholds of curation, each with the source of its number."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from typing import Any, Literal

from corpora.errors import InvalidInputError
from corpora.korean.personal_data import PersonalDataAction
from retrieval.near_duplicates import DEFAULT_GUARDS

__all__ = [
    "IMPORT_LIMITS",
    "CurationSettings",
    "Limits",
    "Politeness",
    "changed_limits",
    "decimal_share",
    "import_settings",
]

Politeness = Literal["any", "polite", "plain"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Limits of the filters, each with its source: percentiles (1, 50, 99) of Korean manuals, KorQuAD and chat data.

    ``tests/benchmarks/filter_rates.py`` measures what they drop of text that people wrote: no filter more than 1 % of
    manual paragraphs, questions, chat and commands. What would drop more is a flag, limited by ``flag_…``.
    """

    min_question_chars: int = 8  #: KorQuAD questions: 12, 32, 71 characters.
    max_question_chars: int = 300  #: The same, with room for two sentences.
    min_task_chars: int = 3  #: First percentile of chat turns: 3, of spoken commands: 6.
    max_task_chars: int = 4000  #: A free instruction carries its input.
    min_answer_chars: int = 20  #: Answers from manuals: 12, 47, 155; below 20 only a whole sentence is no fragment.
    max_answer_chars: int = 4000  #: Paragraphs of manuals end at 717; procedures run longer.
    min_hangul_share: float = 0.4  #: Of letters; 0.9 % of manual paragraphs, full of product names, have less.
    max_question_special: float = 0.05  #: 99th percentile of KorQuAD questions: 0.
    max_answer_special: float = 0.15  #: 99th percentile of manual paragraphs: 0.178, of answers: 0.089.
    max_repetition: float = 0.3  #: Repeated 4-grams; 99th percentile of manual paragraphs with their lists: 0.24.
    max_repeated_lines: float = 0.374  #: FineWeb2's dup_line_frac for Korean; drops 0.24 % of manual paragraphs.
    max_character_run: int = 4  #: Longest in 51,904 texts of manuals, KorQuAD, chat and commands: 4.
    min_ending_chars: int = 12  #: Short answers of commands: 4, 12, 28; a label has no ending to break.
    flag_english_words: int = 1  #: Marks 0.5 % of manual paragraphs; 8 of 24 rows of a bad set had one or Hanja.
    flag_translationese: int = 2  #: One phrase marks 1.0 % of manual paragraphs, two 0.16 %.


def changed_limits(limits: Limits) -> str:
    """The limits that are not the defaults, as a manifest tells them: `` min_answer_chars=1 …``, or nothing."""
    default = Limits()
    changed = ((f.name, getattr(limits, f.name)) for f in fields(Limits))
    return "".join(f" {name}={value}" for name, value in changed if value != getattr(default, name))


#: For datasets that others have made: their questions and answers may be as short as a label or a date.
IMPORT_LIMITS = Limits(min_question_chars=2, min_task_chars=2, min_answer_chars=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class CurationSettings:
    """What a job's curation holds candidates to."""

    near_duplicate_threshold: str = "0.7"  #: Self-Instruct's ROUGE-L, as a decimal string, compared in integers.
    tokenizer: str = "content_morphemes"  #: Name in ``corpora.korean.rouge.TOKENIZERS``.
    guards: tuple[str, ...] = DEFAULT_GUARDS  #: Names in ``retrieval.guards.GUARDS``.
    domain_nouns: tuple[str, ...] = ()  #: The caller's own nouns that Kiwi must not split.
    semantic_threshold: float | None = None  #: Cosine; None is the embedder's calibrated value.
    speech_level: dict[str, Politeness] = field(default_factory=lambda: {"user": "any", "assistant": "polite"})
    personal_data: PersonalDataAction = PersonalDataAction.FLAG  #: A manual's own numbers are no leak.
    keep: Literal["first", "best"] = "first"  #: Which of two near-duplicates stays, where all are known beforehand.
    limits: Limits = Limits()  #: Limits of the filters.

    def in_force(self) -> dict[str, str]:
        """What decided, by name, for manifests and reports; limits stand with the filters, nouns with the tokenizer."""
        return {
            "near_duplicates": f"{self.tokenizer} > {self.near_duplicate_threshold}, "
            f"guards: {', '.join(self.guards) or 'none'}, keep {self.keep}",
            "speech_level": ", ".join(f"{role} {level}" for role, level in sorted(self.speech_level.items())),
            "personal_data": self.personal_data.value,
        }


def import_settings(**changes: Any) -> CurationSettings:
    """Settings for datasets that others have made: any speech level, any length that a label has.

    Which level a foreign dataset holds is its author's choice; the report shows it, and ``speech_level`` asks for one.
    """
    return replace(CurationSettings(speech_level={"user": "any", "assistant": "any"}, limits=IMPORT_LIMITS), **changes)


def decimal_share(text: str, param: str) -> str:
    """``text`` where it is a decimal above 0 and at most 1; thresholds are compared exactly, digit by digit.

    Raises:
        InvalidInputError: it is none.
    """
    try:
        fits = 0 < Fraction(text) <= 1 and "/" not in text
    except (ValueError, ZeroDivisionError):
        fits = False
    if not fits:
        raise InvalidInputError(f"{param} is a decimal above 0 and at most 1, not '{text}'.", param=param)
    return text
