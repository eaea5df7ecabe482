"""Numerals written in words: native (두, 스물네, 하루) and Sino-Korean (이십사, 만 이천), and digits with 만 and 천.

A word is a numeral only where the caller finds it in the place of one, alone before a counter: 이, 사, 오, 일 begin far
more words than numbers. This module says what a word would be worth; ``quantities`` decides whether it is a numeral.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

__all__ = ["DAYS", "NATIVE", "PLAIN", "SCALED", "SINO", "read_scaled", "read_sino"]

_TENS = {
    "": 0, "열": 10, "스물": 20, "서른": 30, "마흔": 40, "쉰": 50, "예순": 60, "일흔": 70, "여든": 80, "아흔": 90,
}  # fmt: skip
_ONES = {"": 0, "한": 1, "두": 2, "세": 3, "네": 4, "다섯": 5, "여섯": 6, "일곱": 7, "여덟": 8, "아홉": 9}
#: Native numerals in the form before a counter: 한, 두, … 아흔아홉; 스무, 석 and 넉 are the irregular ones.
NATIVE: dict[str, int] = {
    ten + one: tens + ones for ten, tens in _TENS.items() for one, ones in _ONES.items() if tens + ones
} | {"스무": 20, "석": 3, "넉": 4}
del NATIVE["스물"]
#: Words that are a number of days by themselves.
DAYS: dict[str, int] = {
    "하루": 1, "이틀": 2, "사흘": 3, "나흘": 4, "닷새": 5, "엿새": 6, "이레": 7, "여드레": 8, "아흐레": 9, "열흘": 10,
    "보름": 15,
}  # fmt: skip

_DIGITS = {"일": 1, "이": 2, "삼": 3, "사": 4, "오": 5, "육": 6, "칠": 7, "팔": 8, "구": 9}
_SMALL = {"십": 10, "백": 100, "천": 1000}
_LARGE = {"만": 10**4, "억": 10**8}
#: What may be a Sino-Korean numeral; a space stands only behind 만 and 억, as the orthography has it.
SINO = r"(?:[일이삼사오육칠팔구십백천만억]*[만억] )?[일이삼사오육칠팔구십백천만억]+"
_BELOW_TEN_THOUSAND = re.compile(
    r"(?:([이삼사오육칠팔구일]?)천)?(?:([이삼사오육칠팔구일]?)백)?(?:([이삼사오육칠팔구일]?)십)?([일이삼사오육칠팔구]?)"
)
_GROUPS = re.compile(r"(?:([^만억]*)억)? ?(?:([^만억]*)만)? ?([^만억]*)")
#: 만일 is "if"; 천이, 만이 are a noun or a particle with its particle.
_NEVER = frozenset({"만일", "만이", "천이", "백이"})

#: Digits as written, with thousands separators or a decimal point.
PLAIN = r"(?:\d+(?:,\d{3})+|\d+)(?:\.\d+)?"
_SCALE = r"(?:[십백천]?[만억]|[백천])"
#: Digits with scales: 1만 2천, 3억 5천만, 2.5만, 1만 2,500.
SCALED = re.compile(rf"{PLAIN}{_SCALE}(?: ?{PLAIN}{_SCALE})*(?: ?(?:\d,\d{{3}}|\d{{1,4}})(?![\d.,:]))?")
_SCALED_PART = re.compile(rf"({PLAIN})([십백천]?)([만억]?)")


def read_sino(word: str) -> int | None:
    """What a Sino-Korean numeral is worth, or None where the syllables are no well-formed number."""
    if word in _NEVER:
        return None
    groups = _GROUPS.fullmatch(word)
    if groups is None:
        return None
    total = 0
    for part, scale in zip(groups.groups(), (10**8, 10**4, 1), strict=True):
        if part is None:
            continue
        value = _below_ten_thousand(part)
        if value is None:
            return None
        # 만 alone is ten thousand.
        total += (value or (1 if scale > 1 else 0)) * scale
    return total or None


def _below_ten_thousand(part: str) -> int | None:
    match = _BELOW_TEN_THOUSAND.fullmatch(part)
    if match is None:
        return None
    total = 0
    for digit, scale, present in zip(match.groups()[:3], (1000, 100, 10), ("천", "백", "십"), strict=True):
        if digit is not None and present in part:
            total += _DIGITS.get(digit, 1) * scale
    return total + _DIGITS.get(match.group(4), 0)


def read_scaled(text: str) -> Fraction | None:
    """What digits with 만, 천 and the like are worth: "1만 2천" is 12000; None where a scale does not go down."""
    total = section = Fraction(0)
    above: float = math.inf
    for digits, small, large in _SCALED_PART.findall(text):
        scale = _SMALL.get(small, 1)
        if scale >= above:
            return None
        above = scale
        section += Fraction(digits.replace(",", "")) * scale
        if large:
            total += section * _LARGE[large]
            section, above = Fraction(0), math.inf
    return total + section
