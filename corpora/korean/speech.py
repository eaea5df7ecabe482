"""Speech level of Korean sentences: 합쇼체, 해요체, 해체, 해라체, nominal, mixed, neutral.

A sentence's level is that of its last final ending (EF), 요 included; code, tables and quotations do not count.
``sentence_levels`` gives one level a sentence; ``text_level`` that of the last sentence that has one; ``speech_level``
the same, or mixed where polite and plain stand side by side; ``is_polite`` answers the one question that datasets ask.
A sentence without an ending (네., 안녕.) has no level: words of courtesy are not judged.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from corpora.korean.analyse import Morpheme, tokens
from corpora.korean.prose import MASK, prose
from corpora.korean.speech_endings import SpeechLevel, connective_level, ending_level

__all__ = [
    "PLAIN",
    "POLITE",
    "SpeechLevel",
    "core",
    "is_polite",
    "sentence_level",
    "sentence_levels",
    "speech_level",
    "spoken",
    "text_level",
]

POLITE = frozenset({SpeechLevel.HAPSYO, SpeechLevel.HAEYO})
PLAIN = frozenset({SpeechLevel.HAE, SpeechLevel.HAERA})
#: Signs, emoticons (ㅋㅋ, ^^) and single codas (the ᆼ of 했습니당) behind the last word.
_SIGNS = frozenset({"SF", "SP", "SS", "SSO", "SSC", "SE", "SO", "SW", "SB", "Z_CODA", "W_EMOJI"})
#: What may stand behind the ending: a remark in brackets, with the closing sign on either side of it.
_REMARK = re.compile(r"\s*[(\[（［{][^()\[\]（）［］{}]*[)\]）］}](?=[\s.!?…~]*$)")
_CLOSED = re.compile(r"([.!?…~。？！])[\s\"'”’)\]]*$")
_LETTER = re.compile(r"[가-힣]")


def core(sentence: str) -> str:
    """``sentence`` without the remarks in brackets at its end; all of it where nothing else is there."""
    match = _REMARK.search(sentence)
    while match and _LETTER.search(sentence[: match.start()]):
        sentence = sentence[: match.start()] + sentence[match.end() :]
        match = _REMARK.search(sentence)
    return sentence


def spoken(sentence: str) -> list[Morpheme]:
    """The morphemes of ``sentence`` up to its last word; signs, emoticons and calls (하하) behind it left out."""
    kept = tokens(sentence)
    while kept and (kept[-1].tag in _SIGNS or (kept[-1].tag == "IC" and len(kept) > 1)):
        kept.pop()
    return kept


def _ending(morpheme: Morpheme) -> SpeechLevel | None:
    if morpheme.form in ("요", "이요", "여") and morpheme.tag in ("JX", "EF"):
        return SpeechLevel.HAEYO
    level = ending_level(morpheme.form) if morpheme.tag in ("EF", "EC") else None
    # Before a comma Kiwi takes 습니다 and 어요 for connectives; real connectives never look polite.
    return level if morpheme.tag == "EF" or level in POLITE else None


def _last(morphemes: list[Morpheme], sign: str) -> SpeechLevel | None:
    last = morphemes[-1]
    level = _ending(last)
    if level is None and last.tag == "EC":
        level = connective_level(last.form, sign)
    # 확인했?: the ending is dropped, what is left is intimate speech.
    return SpeechLevel.HAE if level is None and last.tag == "EP" else level


def _before_a_comma(morphemes: list[Morpheme]) -> SpeechLevel | None:
    """The level of the last ending with a comma or colon behind it: 다음을 확인합니다: 수량, 위치."""
    for morpheme, following in zip(reversed(morphemes[:-1]), reversed(morphemes[1:]), strict=True):
        level = _ending(morpheme) if following.tag == "SP" else None
        if level in POLITE or level in PLAIN:
            return level
    return None


def sentence_level(sentence: str) -> SpeechLevel:
    """The level of one sentence, which must be NFC."""
    sentence = core(sentence)
    if not _LETTER.search(sentence):
        return SpeechLevel.NEUTRAL
    kept = spoken(sentence)
    if not kept:
        return SpeechLevel.NEUTRAL
    closed = _CLOSED.search(sentence)
    sign = closed[1].replace("？", "?") if closed else ""
    level = _last(kept, sign) or _before_a_comma(kept)
    if level is not None:
        return level
    last = kept[-1]
    masked = last.tag == "SL" and set(last.form) == {MASK}
    nominal = last.tag == "ETN" or last.tag.startswith("N") or last.tag in ("SL", "SN", "SH", "XSN", "XR")
    return SpeechLevel.NOMINAL if nominal and not masked else SpeechLevel.NEUTRAL


def sentence_levels(text: str) -> list[SpeechLevel]:
    """The level of each sentence, in order; code, tables and HTML have no sentences."""
    return [sentence_level(sentence.masked) for sentence in prose(unicodedata.normalize("NFC", text))]


def _of_text(levels: Iterable[SpeechLevel]) -> SpeechLevel:
    found = list(levels)
    decided = [level for level in found if level in POLITE or level in PLAIN]
    if decided:
        return decided[-1]
    return SpeechLevel.NOMINAL if SpeechLevel.NOMINAL in found else SpeechLevel.NEUTRAL


def text_level(text: str) -> SpeechLevel:
    """The level of the last sentence that has one; never mixed."""
    return _of_text(sentence_levels(text))


def speech_level(text: str) -> SpeechLevel:
    """One level for the text: that of its last decided sentence, or mixed when polite and plain stand side by side."""
    levels = sentence_levels(text)
    if any(level in POLITE for level in levels) and any(level in PLAIN for level in levels):
        return SpeechLevel.MIXED
    return _of_text(levels)


def is_polite(text: str) -> bool:
    """True when some sentence is polite and none is plain; headings and list items without a level do not count."""
    return speech_level(text) in POLITE
