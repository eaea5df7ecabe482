"""Which of two near-duplicates is the better one: a number to order by, never a reason to drop.

Used by ``keep="best"``. Ordinal only: no flag before any flag, then the fuller answer up to a ceiling, so that
no answer wins by rambling. Nothing here was calibrated against people's choices (docs/decisions.md).
"""

from __future__ import annotations

from corpora.records import Candidate
from generators.curation.conversation import answer_text
from generators.curation.flags import flags
from generators.curation.settings import Limits

__all__ = ["FULL_ANSWER_CHARS", "quality"]

#: Longer answers are no better; 99th percentile of manual paragraphs: 717 characters.
FULL_ANSWER_CHARS = 717


def quality(candidate: Candidate, limits: Limits) -> float:
    """Higher is better."""
    return min(len(answer_text(candidate)), FULL_ANSWER_CHARS) - FULL_ANSWER_CHARS * len(flags(candidate, limits))
