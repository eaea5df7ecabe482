"""Which language a document is written in, by the share of its letters' scripts: no model, no network.

Enough to tell a Korean manual from an English, Japanese or Chinese one; languages of the Latin script are not told
apart. Knows nothing of documents.
"""

from __future__ import annotations

import re

from corpora.korean.script import prose

__all__ = ["detect_language"]

#: Characters that are looked at; a document does not change its language behind them, and if it does, it has none.
_SAMPLE = 200_000
_HANGUL = re.compile(r"[가-힣ㄱ-ㅣ]+")
_KANA = re.compile(r"[\u3041-\u30fa\uff66-\uff9d]+")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]+")
#: A syllable of Hangul says what two to three Latin letters do, and Korean manuals are full of names of screens and
#: programs: at this share of the letters the sentences are Korean.
_KOREAN = 0.15
#: Japanese prose is about half kana; no other language has any.
_JAPANESE = 0.1
_OTHER = 0.5


def detect_language(text: str) -> str:
    """The language as BCP 47 writes it.

    Returns:
        ``ko``, ``ja`` or ``zh``; ``und-Latn`` where most letters are Latin; ``und`` for anything else and for text
        without letters.
    """
    body = prose(text[:_SAMPLE])
    hangul, kana, han, latin = (sum(map(len, script.findall(body))) for script in (_HANGUL, _KANA, _HAN, _LATIN))
    letters = sum(map(str.isalpha, body))
    if not letters:
        return "und"
    if hangul / letters >= _KOREAN and hangul >= kana:
        return "ko"
    if kana / letters >= _JAPANESE:
        return "ja"
    if han / letters >= _OTHER:
        return "zh"
    return "und-Latn" if latin / letters >= _OTHER else "und"
