"""Measures of script: shares of Hangul and of special characters, repetition, foreign runs, broken characters.

Pure functions over text; thresholds belong to who decides. Hangul is measured against *letters*, after code, URLs
and table markup are taken out, so that "24h", "10.0.25" or "FIFO" in a manual do not count against it. Written with
regular expressions instead of loops: curation asks all of them of every row.
"""

from __future__ import annotations

import functools
import re
from collections import Counter

__all__ = [
    "broken_characters",
    "character_runs",
    "foreign_runs",
    "hangul_share",
    "prose",
    "repeated_lines_share",
    "repetition_share",
    "special_share",
    "without_code",
]

_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_URL = re.compile(r"\b(?:https?://|www\.)\S+|[^\s@]+@[^\s@]+\.\S+")
_TABLE_RULE = re.compile(r"^[ \t]*\|?[ \t:|-]+\|?[ \t]*$", re.MULTILINE)
_HANGUL = re.compile(r"[가-힣]+")
_LATIN = re.compile(r"[A-Za-z]+")
_COMMON = re.compile(r"[가-힣\x00-\x7f]+")
#: Neither letters, digits nor the punctuation that ordinary Korean prose and Markdown lists use.
_SPECIAL = re.compile(r"""[^\w\s.,?!:;'"()\[\]\-~/%·…‘’“”「」『』<>+&*#|→–—℃°]""")
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
#: Hanja, kana, Cyrillic, Hebrew, Arabic, Devanagari, Thai: what models of several languages slip into.
_FOREIGN = re.compile(rf"[\u3040-\u30ff{_HAN}\u0400-\u04ff\u0590-\u06ff\u0900-\u097f\u0e00-\u0e7f]{{2,}}")
#: 재고(在庫), 후지산(富士山, ふじさん): what stands in parentheses behind a Korean word is its gloss.
_GLOSS = re.compile(r"(?<=[가-힣」』’”>]) ?\([^()\n]*\)")
#: Laughter (ㅋ, ㅎ, ㅠ, ㅜ), shapes (ㄱ자, ㄷ자형) and grammar (-ㄹ게) have lone jamo; others are accidents.
_BROKEN = re.compile(
    r"[\ufffd\u1100-\u11ff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
    r"|(?<!-)[\u3131-\u314a\u314c\u314d\u314f-\u315b\u315d-\u315f\u3161-\u3163](?!자(?:[형로 ]|\Z)|형)"
)
#: A Hangul letter or a mark that stands again and again; digits, rules and dots of tables may.
_RUN = re.compile(r"([가-힣ㄱ-ㅣ!?~^;♡♥★☆])\1{2,}")
#: A piece of two to eight characters with Hangul in it, four times in a row without a blank.
_LOOP = re.compile(r"(?=[가-힣])([^\s|]{2,8}?)\1{3,}")


def without_code(text: str) -> str:
    """``text`` without code blocks and inline code."""
    return _CODE.sub(" ", text) if "`" in text else text


@functools.lru_cache(maxsize=16)
def prose(text: str) -> str:
    """``text`` without code, URLs, e-mail addresses and table markup."""
    text = without_code(text)
    if "//" in text or "www." in text or "@" in text:
        text = _URL.sub(" ", text)
    if "-" in text or "|" in text:
        text = _TABLE_RULE.sub(" ", text).replace("|", " ")
    return text


def hangul_share(text: str) -> float:
    """Hangul syllables among the letters of the prose, 0 to 1; 1 when there is no letter."""
    body = prose(text)
    hangul = sum(map(len, _HANGUL.findall(body)))
    latin = sum(map(len, _LATIN.findall(body)))
    letters = hangul + latin + sum(map(str.isalpha, _COMMON.sub("", body)))
    return hangul / letters if letters else 1.0


def special_share(text: str) -> float:
    """Characters that are neither letters, digits nor ordinary punctuation, among those of the prose, 0 to 1."""
    body = prose(text)
    special = len(_SPECIAL.findall(body))
    return special / sum(map(len, body.split())) if special else 0.0


def repetition_share(text: str, size: int = 4) -> float:
    """Share of whitespace ``size``-grams that repeat an earlier one, 0 to 1; shorter texts give 0."""
    words = text.split()
    total = len(words) - size + 1
    if total < 1 or len(set(words)) == len(words):
        return 0.0
    return 1 - len(set(zip(*(words[i:] for i in range(size)), strict=False))) / total


def repeated_lines_share(text: str) -> float:
    """Share of lines that repeat an earlier one, 0 to 1, blank lines and rules of tables aside."""
    if "\n" not in text:
        return 0.0
    lines = [line.strip() for line in prose(text).splitlines()]
    counted = Counter(line for line in lines if any(map(str.isalnum, line)))
    total = counted.total()
    return 1 - len(counted) / total if total else 0.0


def character_runs(text: str, longest: int) -> list[str]:
    """Runs of one Hangul letter or mark above ``longest`` (ㅋㅋㅋㅋㅋㅋ), pieces looped four times in one word."""
    shortest = min(longest, 7)
    found = []
    for word in prose(text).split():
        if len(word) > shortest:
            found += [match.group(0) for match in _RUN.finditer(word) if len(match.group(0)) > longest]
            found += [match.group(0) for match in _LOOP.finditer(word) if len(set(match.group(1))) > 1]
    return found


def foreign_runs(text: str) -> list[str]:
    """Runs of two or more letters of a foreign script, glosses in parentheses aside."""
    body = prose(text)
    found = _FOREIGN.findall(body)
    return _FOREIGN.findall(_GLOSS.sub(" ", body)) if found and "(" in body else found


def broken_characters(text: str) -> list[str]:
    """Replacement characters, lone jamo without a reason, and control characters, in order."""
    return _BROKEN.findall(text)
