"""Whether a sentence says the same at another speech level, and how it gets there by rule.

``by_rule`` is ``corpora.korean.speech_conversion`` with its reasons told; ``variant_fault`` holds any text, made by
rule or by a model, to its level and to what the original names: codes, nouns, negation, question words. Pure functions
of texts.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Literal

from corpora.korean.analyse import NEGATION, nouns, tokens
from corpora.korean.speech import SpeechLevel, sentence_levels, speech_level
from corpora.korean.speech_conversion import convert
from corpora.records import Verdict

__all__ = ["Obstacles", "VariantLevel", "by_rule", "refused", "variant_fault"]

#: Levels that a variant can have: intimate 해체, blunt or written 해라체, noun phrases as people type in to search.
VariantLevel = Literal["hae", "haera", "nominal"]
#: Endings that a rule can't change, each with its reason.
Obstacles = list[dict[str, str]]

_CODE = re.compile(r"[A-Za-z0-9]+(?:[-_./:][A-Za-z0-9]+)*")
_MARKS = re.compile(r"[\W_]+")
_ASKING = re.compile(r"(?<![가-힣])(?:언제|어디|왜(?=\W|\Z)|누구|누가|몇|얼마|어느)")
#: Nouns that a noun phrase may bring along: what 언제, 어떻게 and 왜 become (시점, 방법, 이유 …).
_NEW_IN_PHRASE = frozenset(
    ("시점", "시기", "시간", "때", "장소", "위치", "곳", "이유", "원인", "방법", "방식", "대상", "담당",
     "담당자", "사람", "주체", "수", "수량", "개수", "횟수", "기준", "기간", "금액", "비용", "정도", "여부",
     "가능", "필요", "의미", "뜻", "정의", "처리", "대처", "요령", "조치", "종류", "차이", "값")
)  # fmt: skip


def refused(reason: str, **evidence: Any) -> Verdict:
    """A verdict of the generator's own gates."""
    return Verdict(stage="filter", reason=reason, evidence=evidence)


def by_rule(text: str, level: VariantLevel) -> tuple[str | None, Obstacles]:
    """``text`` at ``level``, or None with the endings that stand in the way and why."""
    if level == "nominal":
        return None, [{"ending": "", "reason": "no_rule"}]
    found = convert(text, SpeechLevel(level))
    reasons = [{"ending": refusal.ending, "reason": refusal.reason.value} for refusal in found.refused]
    return (found.text if found.changed else None), reasons


def variant_fault(variant: str, original: str, level: VariantLevel) -> Verdict | None:
    """The first thing that is wrong with ``variant``: its level, or what it has lost, gained or turned round."""
    variant, original = (unicodedata.normalize("NFC", text) for text in (variant, original))
    if _MARKS.sub("", variant) == _MARKS.sub("", original):
        return refused("same_as_original")
    if not _has_level(variant, level):
        return refused("level_missed", wanted=level, found=speech_level(variant).value)
    return _changed_content(variant, original, level)


def _changed_content(variant: str, original: str, level: VariantLevel) -> Verdict | None:
    codes = _counted(_CODE, original), _counted(_CODE, variant)
    if codes[0] != codes[1]:
        return refused("codes_changed", wanted=codes[0], found=codes[1])
    lost, gained = _lost(original, variant), _lost(variant, original)
    if level == "nominal":
        gained = [noun for noun in gained if noun not in _NEW_IN_PHRASE]
    if lost or gained:
        return refused("nouns_changed", lost=lost, gained=gained)
    negations = _negations(original), _negations(variant)
    if negations[0] != negations[1]:
        return refused("negation_changed", wanted=negations[0], found=negations[1])
    asked = _counted(_ASKING, original), _counted(_ASKING, variant)
    # Of a noun phrase the question word is a noun: 언제 출력하나요? becomes 출력 시점.
    if level != "nominal" and asked[0] != asked[1]:
        return refused("question_changed", wanted=asked[0], found=asked[1])
    return None


def _has_level(text: str, level: VariantLevel) -> bool:
    if level != "nominal":
        levels = {one for one in sentence_levels(text) if one not in (SpeechLevel.NEUTRAL, SpeechLevel.NOMINAL)}
        return levels == {SpeechLevel(level)}
    # A topic without its predicate (출력 시점은?) is a noun phrase too, and has no ending to judge by.
    return set(sentence_levels(text)) <= {SpeechLevel.NOMINAL, SpeechLevel.NEUTRAL}


def _counted(pattern: re.Pattern[str], text: str) -> list[str]:
    """Every hit in alphabetical order; 누가 is 누구 with its particle."""
    return sorted(hit.lower().replace("누가", "누구") for hit in pattern.findall(text))


def _lost(text: str, other: str) -> list[str]:
    """Nouns of ``text`` that ``other`` does not name; what is only cut otherwise by the analyser counts as named."""
    dense = "".join(other.lower().split())
    return [noun for noun in nouns(text) if noun not in dense]


def _negations(text: str) -> int:
    """Negating words; 안 되나요 and 되지 않나요 have one each."""
    return sum((morpheme.form, morpheme.tag.partition("-")[0]) in NEGATION for morpheme in tokens(text))
