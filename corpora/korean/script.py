"""Measures of script: shares of Hangul and of special characters, repetition, foreign runs, broken characters.

Pure functions over text; thresholds belong to who decides. Hangul is measured against *letters*, after code, URLs
and table markup are taken out, so that "24h", "10.0.25" or "FIFO" in a manual do not count against it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

__all__ = ["broken_characters", "foreign_runs", "hangul_share", "prose", "repetition_share", "special_share"]

_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_URL = re.compile(r"\b(?:https?://|www\.)\S+|\S+@\S+\.\S+")
_TABLE_RULE = re.compile(r"^\s*\|?[\s:|-]+\|?\s*$", re.MULTILINE)
#: Punctuation that ordinary Korean prose and Markdown lists use.
_ORDINARY = frozenset(".,?!:;'\"()[]-~/%·…‘’“”「」『』<>+&*#|_→–—℃°\n\t ")
_FOREIGN = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff\u3400-\u4dbf]{2,}")
#: Laughter is written with lone jamo; other lone jamo are typing accidents.
_LAUGHTER = frozenset("ㅋㅎㅠㅜ")


def prose(text: str) -> str:
    """``text`` without code, URLs, e-mail addresses and table markup."""
    without = _URL.sub(" ", _CODE.sub(" ", text))
    return _TABLE_RULE.sub(" ", without).replace("|", " ")


def hangul_share(text: str) -> float:
    """Hangul syllables among the letters of the prose, 0 to 1; 1 when there is no letter."""
    letters = [character for character in prose(text) if character.isalpha()]
    if not letters:
        return 1.0
    return sum("가" <= character <= "힣" for character in letters) / len(letters)


def special_share(text: str) -> float:
    """Characters that are neither letters, digits nor ordinary punctuation, among those of the prose, 0 to 1."""
    body = [character for character in prose(text) if not character.isspace()]
    if not body:
        return 0.0
    return sum(not (character.isalnum() or character in _ORDINARY) for character in body) / len(body)


def repetition_share(text: str, size: int = 4) -> float:
    """Share of whitespace ``size``-grams that repeat an earlier one, 0 to 1; shorter texts give 0."""
    words = text.split()
    grams = [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]
    if not grams:
        return 0.0
    return sum(count - 1 for count in Counter(grams).values()) / len(grams)


def foreign_runs(text: str) -> list[str]:
    """Runs of two or more Hanja or kana."""
    return _FOREIGN.findall(prose(text))


def broken_characters(text: str) -> list[str]:
    """Replacement characters, lone jamo that are no laughter, and control characters, in order."""
    found = []
    for character in text:
        lone = "ㄱ" <= character <= "ㅣ" or "\u1100" <= character <= "\u11ff"
        control = unicodedata.category(character) == "Cc" and character not in "\n\t\r"
        if character == "\ufffd" or (lone and character not in _LAUGHTER) or control:
            found.append(character)
    return found
