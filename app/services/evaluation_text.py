"""What one answer is worth beside its reference: pure functions of texts, no models, no store.

``normalize_answer``, ``exact_match`` and ``character_f1`` are KorQuAD 1.0's official ``evaluate-v1.0.py``
(https://korquad.github.io/category/1.0_KOR.html; Lim, Kim, Lee 2019, arXiv:1909.07005): F1 over characters, which
forgives a particle instead of failing the whole eojeol. One thing is ours: both texts are brought to NFC first, because
a decomposed syllable is three characters for Python and none of them is the composed one.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

from corpora.korean.script import foreign_runs
from corpora.korean.speech import PLAIN, POLITE, SpeechLevel, speech_level
from generators.number_gate import number_claims

__all__ = [
    "character_f1",
    "exact_match",
    "grounded_numbers",
    "has_foreign_script",
    "is_empty",
    "normalize_answer",
    "speaks_as_wanted",
    "wanted_levels",
]

#: Marks that KorQuAD replaces by a blank before it drops ASCII punctuation.
_MARKS = re.compile("['\"《》<>〈〉()‘’]")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """KorQuAD's normal form: quotation marks and brackets are blanks, lower case, no ASCII punctuation."""
    text = _MARKS.sub(" ", unicodedata.normalize("NFC", text)).lower()
    return " ".join(text.translate(_PUNCTUATION).split())


def exact_match(prediction: str, references: Sequence[str]) -> bool:
    """Whether the answer is one of the references, in KorQuAD's normal form."""
    return any(normalize_answer(prediction) == normalize_answer(reference) for reference in references)


def character_f1(prediction: str, references: Sequence[str]) -> float:
    """The best F1 over characters, blanks not counted, from 0 to 1; KorQuAD reports a hundred times that.

    As in the official script, two texts that are both empty share nothing and score 0.
    """
    return max((_one_f1(prediction, reference) for reference in references), default=0.0)


def _one_f1(prediction: str, reference: str) -> float:
    said = "".join(normalize_answer(prediction).split())
    wanted = "".join(normalize_answer(reference).split())
    same = (Counter(said) & Counter(wanted)).total()
    if same == 0:
        return 0.0
    precision, recall = same / len(said), same / len(wanted)
    return 2 * precision * recall / (precision + recall)


def is_empty(answer: str) -> bool:
    """Whether an answer holds neither letter nor digit."""
    return not any(character.isalnum() for character in answer)


def wanted_levels(wanted: str, reference: str) -> frozenset[SpeechLevel] | None:
    """The speech levels that an answer may have, or None where nothing is asked of it.

    Args:
        wanted: ``polite``, ``plain``, or ``reference`` for whichever of the two the reference answer has.
        reference: The reference answer; one that is mixed, nominal or neutral asks nothing.
    """
    if wanted == "polite":
        return POLITE
    if wanted == "plain":
        return PLAIN
    level = speech_level(reference)
    return next((levels for levels in (POLITE, PLAIN) if level in levels), None)


def speaks_as_wanted(answer: str, levels: frozenset[SpeechLevel]) -> bool:
    """Whether the answer keeps to these levels from beginning to end; one without any ending does not."""
    return speech_level(answer) in levels


def has_foreign_script(answer: str, known: Sequence[str]) -> bool:
    """Whether the answer slips into a foreign script with letters that neither question nor reference hold."""
    shown = unicodedata.normalize("NFC", "\n".join(known))
    return any(run not in shown for run in foreign_runs(unicodedata.normalize("NFC", answer)))


def grounded_numbers(answer: str, known: Sequence[str]) -> tuple[int, int]:
    """How many numbers of the answer stand in context, question or reference, and how many there are.

    Compared by what they mean (``corpora.korean.quantities``): 3회 and 세 번 are one fact, 24시간 and 24일 are not.
    """
    claims = number_claims(answer, "", known)
    return sum(claim.supported for claim in claims), len(claims)
