"""What in a sentence, its end apart, forbids another speech level: honorifics, persons, calls, inner endings.

``context`` gives the first reason it finds. Knows the morphemes of one sentence; nothing of texts or of splicing.
"""

from __future__ import annotations

import itertools

from corpora.korean.analyse import Morpheme
from corpora.korean.conversion_rules import HONORIFIC_VERBS, Reason
from corpora.korean.speech import PLAIN, POLITE
from corpora.korean.speech_endings import SpeechLevel, connective_level, ending_level

__all__ = ["context", "misplaced_call"]

_SECOND = frozenset(("너", "네", "니", "너희", "자네", "당신", "여러분", "귀하", "그대", "임자"))
_SECOND_NOUNS = frozenset(("고객", "선생", "사장", "손님"))
_CALLS = frozenset(("네", "예", "아니요", "아뇨", "아니오", "응", "어", "그래", "아니", "야", "안녕", "얘", "여보세요"))
_POLITE_CALLS = frozenset(("네", "예", "아니요", "아뇨", "아니오"))
_HUMBLE = frozenset(("저희", "말씀", "진지", "댁", "성함", "연세"))


def _inner_ending(found: list[Morpheme]) -> bool:
    """좋아요, 제가 할게요: an ending, or 요, in front of the last word."""
    for morpheme, following in itertools.pairwise(found):
        # Before a comma Kiwi takes final endings for connectives.
        final = morpheme.tag == "EC" and (
            ending_level(morpheme.form) in POLITE
            or connective_level(morpheme.form, "") is not None
            or morpheme.form in ("지", "네", "자", "거든")
        )
        ends = morpheme.tag == "EF" or final
        if (ends and following.tag in ("SP", "SF")) or (morpheme.tag == "JX" and morpheme.form in ("요", "이요")):
            return True
    return False


def _honors(found: list[Morpheme]) -> bool:
    forms = {morpheme.form for morpheme in found}
    return (
        bool(forms & HONORIFIC_VERBS or forms & _HUMBLE)
        or any(
            (m.form in ("께서", "께") and m.tag.startswith("J"))
            or (m.tag == "XSN" and m.form == "님")
            # 시 before the last ending is looked at with that ending.
            or (m.tag == "EP" and m.form in ("시", "으시") and m not in found[-3:])
            for m in found
        )
    )


def context(found: list[Morpheme], target: SpeechLevel, level: SpeechLevel) -> Reason | None:
    """What in the sentence, its end apart, forbids a change."""
    crossing = (target in POLITE) != (level in POLITE)
    second = any((m.tag == "NP" and m.form in _SECOND) or m.form in _SECOND_NOUNS for m in found)
    called = any((m.tag == "IC" and m.form in _CALLS) or m.tag == "JKV" for m in found)
    reasons = {
        Reason.GREETING: any(m.form in ("안녕", "안녕히") for m in found),
        Reason.INNER_ENDING: _inner_ending(found),
        Reason.INTERJECTION: crossing and called,
        Reason.SECOND_PERSON: crossing and second,
        Reason.HONORIFIC: crossing and target in PLAIN and _honors(found),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def misplaced_call(last: Morpheme, target: SpeechLevel) -> bool:
    """Whether a sentence that is only a call (네., 응.) would stand beside the other politeness."""
    return last.tag == "IC" and last.form in _CALLS and (last.form in _POLITE_CALLS) != (target in POLITE)
