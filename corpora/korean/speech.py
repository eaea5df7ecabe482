"""Speech level of Korean sentences: 합쇼체, 해요체, 해체, 해라체, nominal, mixed, neutral.

A sentence's level is that of its last final ending (EF), 요 included. ``speech_level`` gives one level for a text,
``is_polite`` answers the one question that datasets ask: is every sentence that has a level polite?
"""

from __future__ import annotations

import enum
import unicodedata

from corpora.korean.analyse import Morpheme, sentences, tokens

__all__ = ["SpeechLevel", "is_polite", "sentence_levels", "speech_level"]


class SpeechLevel(enum.StrEnum):
    """Levels by their usual romanisation."""

    HAPSYO = "hapsyo"  #: 합쇼체: -습니다, -ㅂ니까, -십시오.
    HAEYO = "haeyo"  #: 해요체: -아요, -세요, -지요.
    HAE = "hae"  #: 해체: -아, -지, -네.
    HAERA = "haera"  #: 해라체: -다, -냐, -자, -라.
    NOMINAL = "nominal"  #: Ends in a noun form: -ㅁ, -기, -것, or a bare noun.
    MIXED = "mixed"  #: Sentences of polite and of plain level in one text.
    NEUTRAL = "neutral"  #: No sentence has a level.


POLITE = frozenset({SpeechLevel.HAPSYO, SpeechLevel.HAEYO})
PLAIN = frozenset({SpeechLevel.HAE, SpeechLevel.HAERA})
_HAPSYO_ENDINGS = ("ᆸ니다", "습니다", "ᆸ니까", "습니까", "ᆸ시오", "십시오", "읍시다", "ᆸ시다", "ᆸ디다", "습디다")
_HAERA_ENDINGS = (
    "다",
    "ᆫ다",
    "는다",
    "냐",
    "느냐",
    "으냐",
    "니",
    "자",
    "라",
    "어라",
    "아라",
    "거라",
    "너라",
    "은가",
    "ᆫ가",
    "는가",
    "으라",
)
#: Kiwi tags a closing -ㅁ as a final ending where the sentence has no full stop.
_NOMINAL_ENDINGS = frozenset({"ᆷ", "음", "기"})
_PUNCTUATION = frozenset({"SF", "SP", "SS", "SSO", "SSC", "SE", "SO", "SW", "SB"})
#: Morphemes looked at from the end of a sentence.
_TAIL = 4


def _level_of_ending(form: str) -> SpeechLevel:
    if form in _NOMINAL_ENDINGS:
        return SpeechLevel.NOMINAL
    if form.endswith(_HAPSYO_ENDINGS):
        return SpeechLevel.HAPSYO
    return SpeechLevel.HAERA if form in _HAERA_ENDINGS else SpeechLevel.HAE


def _level(morphemes: list[Morpheme]) -> SpeechLevel:
    tail = [m for m in morphemes if m.tag not in _PUNCTUATION][-_TAIL:]
    if not tail:
        return SpeechLevel.NEUTRAL
    last = tail[-1]
    # 요 behind an ending or a noun: 확인해요, 재고요, 할까요.
    if (last.tag in ("JX", "EF") and last.form == "요") or (last.tag == "EF" and last.form.endswith("요")):
        return SpeechLevel.HAEYO
    endings = [m for m in tail if m.tag == "EF"]
    if endings:
        return _level_of_ending(endings[-1].form)
    if last.tag == "ETN" or last.tag.startswith("N") or last.tag in ("SL", "SN", "XSN"):
        return SpeechLevel.NOMINAL
    return SpeechLevel.NEUTRAL


def sentence_levels(text: str) -> list[SpeechLevel]:
    """The level of each sentence, in order."""
    text = unicodedata.normalize("NFC", text)
    return [_level(tokens(text[start:end])) for start, end in sentences(text)]


def speech_level(text: str) -> SpeechLevel:
    """One level for the text: that of its last decided sentence, or mixed when polite and plain stand side by side."""
    levels = sentence_levels(text)
    decided = [level for level in levels if level in POLITE or level in PLAIN]
    if any(level in POLITE for level in decided) and any(level in PLAIN for level in decided):
        return SpeechLevel.MIXED
    if decided:
        return decided[-1]
    return SpeechLevel.NOMINAL if SpeechLevel.NOMINAL in levels else SpeechLevel.NEUTRAL


def is_polite(text: str) -> bool:
    """True when some sentence is polite and none is plain; headings and list items without a level do not count."""
    return speech_level(text) in POLITE
