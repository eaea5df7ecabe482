"""Whether a short Korean text is a whole sentence: it says something of something and ends as sentences end.

``whole_sentence("점검은 3명이 합니다.")`` is true; "저장합니다.", "점검 인원 3명" and "점검은 3명이" are
fragments. Must not know questions or filters.
"""

from __future__ import annotations

import re
import unicodedata

from corpora.korean.analyse import content_morphemes
from corpora.korean.speech import spoken

__all__ = ["whole_sentence"]

_HANGUL = re.compile(r"[가-힣]")
#: Halves of characters, which no analyser reads.
_BROKEN = re.compile(r"[\ud800-\udfff]")
#: Of what, and what of it.
_MIN_CONTENT = 2
#: Tags of what ends a sentence: a final ending, or 요 behind one.
_FINAL = ("EF", "JX")


def whole_sentence(text: str) -> bool:
    """Whether ``text`` ends in a final ending and has two words of content or more."""
    text = unicodedata.normalize("NFC", text).strip()
    if not _HANGUL.search(text) or _BROKEN.search(text):
        return False
    kept = spoken(text)
    if not kept or kept[-1].tag not in _FINAL or (kept[-1].tag == "JX" and kept[-1].form != "요"):
        return False
    if kept[-1].tag == "JX" and (len(kept) < 2 or not kept[-2].tag.startswith("E")):
        return False
    return len(content_morphemes(text)) >= _MIN_CONTENT
