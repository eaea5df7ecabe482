"""Units and counters of numbers in Korean text: how they are written, what they mean, where one ends.

``unit_at`` finds one behind a number; ``measure`` turns a value with a unit into something that can be compared, so
that 2개월 and 두 달, 90분 and 1.5시간, 500g and 0.5kg are equal and 24시간 and 24일 are not.
"""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ["COUNTER", "UNITS", "measure", "unit_at"]

_SPELLINGS: dict[str, str] = {
    "시간": "시간 h hr hrs", "시": "시", "분": "분 min", "초": "초 sec", "일": "일 일간", "주": "주 주일 주간",
    "개월": "개월 달", "월": "월", "분기": "분기", "년": "년 연간 해",
    "회": "회 번 차례", "번째": "번째", "차": "차 회차", "단계": "단계",
    "개": "개 가지 ea", "곳": "곳 군데 개소", "건": "건", "명": "명 사람", "대": "대", "장": "장 매",
    "상자": "상자 박스 box",
    "팔레트": "팔레트 파렛트 파레트 팔렛트 팰릿 plt", "세트": "세트 set", "묶음": "묶음", "층": "층", "열": "열 줄",
    "칸": "칸", "페이지": "페이지 쪽", "원": "원", "배": "배",
    "%": "% 퍼센트 프로 퍼센트포인트", "도": "도 ℃ °c °", "kg": "kg 킬로그램 킬로", "g": "g 그램", "mg": "mg 밀리그램",
    "t": "t 톤", "km": "km 킬로미터", "m": "m 미터", "cm": "cm 센티미터 센티 센치", "mm": "mm 밀리미터 밀리",
    "l": "l ℓ 리터", "ml": "ml 밀리리터", "m2": "m2 제곱미터 평방미터", "m3": "m3 세제곱미터 입방미터 cbm",
}  # fmt: skip
#: Canonical unit by spelling, in lower case.
UNITS: dict[str, str] = {word: unit for unit, words in _SPELLINGS.items() for word in words.split()}
#: Units that measure one thing, with what one is worth in the smallest.
_DIMENSIONS: dict[str, tuple[str, Fraction]] = {
    unit: (dimension, Fraction(factor))
    for dimension, factors in {
        "seconds": {"초": 1, "분": 60, "시간": 3600, "일": 86400, "주": 604800},
        "months": {"개월": 1, "년": 12},
        "mg": {"mg": 1, "g": 1000, "kg": 10**6, "t": 10**9},
        "mm": {"mm": 1, "cm": 10, "m": 1000, "km": 10**6},
        "ml": {"ml": 1, "l": 1000},
    }.items()
    for unit, factor in factors.items()
}

_ALTERNATIVES = "|".join(re.escape(word) for word in sorted(UNITS, key=len, reverse=True))
#: Any spelling of a unit, the longest first: 시간 before 시, 개월 before 개.
COUNTER = rf"(?:{_ALTERNATIVES})"
_UNIT = re.compile(rf"(?: ?여)? ?({_ALTERNATIVES})", re.IGNORECASE)
# What may follow a unit: the end of the word, a particle, or a noun that limits it. Anything else continues another
# word: 3번호, 2주문, 2도크, 5분류, 3회사 have no unit.
_BEHIND_HANGUL = re.compile(
    r"$|[^가-힣]|[은는이가을를의에와과로도만씩당째간내안인후전뒤쯤중등및면며고나뿐밖]|으로|까지|부터|마다|입니|예요|이에|동안|보다"
    r"|정도|가량|짜리|처럼|여(?![가-힣])|분(?![가-힣류])|차(?![가-힣])|라[면고는]|이상|이하|미만|넘|걸|단위|이내|하고"
    r"|기준|한정|초과|남짓|[이가] |경(?![가-힣])|경[에까부]"
)
_BEHIND_LATIN = re.compile(r"$|[^A-Za-z0-9]")
# Words that begin with a unit and go on with what could be a particle: "3 초과" is no seconds, "2 주의" no weeks.
_WORDS = re.compile(
    r" ?초과| (?:회의|주의|주로|주요|대여|대로|대가|차이|차로|도로|도면|원인|원가|건의|명의|배로|시도|시가|시내|시중)"
)
#: 5G, 5M and 10T are no grams, metres or tons.
_NO_UNITS = frozenset("GMTH")


def unit_at(text: str, position: int) -> tuple[str, int] | None:
    """The canonical unit that stands at ``position``, one space allowed before it, and where it ends."""
    match = _UNIT.match(text, position)
    if match is None or _WORDS.match(text, position):
        return None
    word = match.group(1)
    if word in _NO_UNITS:
        return None
    behind = _BEHIND_LATIN if word[-1].isascii() and word[-1].isalnum() else _BEHIND_HANGUL
    if word not in ("%", "°") and not behind.match(text, match.end()):
        return None
    return UNITS[word.lower()], match.end()


def measure(value: Fraction, unit: str) -> tuple[str, Fraction]:
    """``value`` in the smallest unit of what ``unit`` measures, with the name of that; counters stay what they are."""
    dimension, factor = _DIMENSIONS.get(unit, (unit, Fraction(1)))
    return dimension, value * factor
