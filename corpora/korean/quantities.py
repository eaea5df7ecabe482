"""Numbers of a Korean text with their units, read so that different ways of writing one fact compare equal.

``3회`` and ``세 번`` are one fact; so are ``12,000개`` and ``1만 2천 개``, ``하루`` and ``1일``, ``오후 2시`` and
``14:00``. Words are numerals only before a counter that ends there (이 경우, 사용, 오류 are none). Must not know
contexts, answers or verdicts; ``generators.rag_gates`` compares. Use: ``quantities("두 달 안에 3회")``.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from fractions import Fraction

from corpora.korean.clock import HOURS, clock_readings
from corpora.korean.limits import limits_at
from corpora.korean.numerals import DAYS, NATIVE, PLAIN, SCALED, SINO, read_scaled, read_sino
from corpora.korean.units import UNITS, measure, unit_at

__all__ = ["Quantity", "quantities"]

#: A reading is the name of what is measured and its amount in the smallest unit.
Reading = tuple[str, Fraction]


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """One number of a text; ``start`` and ``end`` point into its NFKC form."""

    number: str  #: As written, thousands separators aside.
    values: frozenset[Fraction | str]  #: Its value, unit aside; versions and ratios stay text; two where ambiguous.
    unit: str | None  #: Canonical unit, None where none is written.
    readings: frozenset[Reading]  #: What it can mean with its unit; empty without one.
    start: int  #: Offset of its first character.
    end: int  #: Offset behind its unit.
    firm: bool = True  #: False for words that count what the sentence lists, or say 한 and 하루 without measuring.
    listing: str = ""  #: The counter of a numeral in words that may only count what the sentence lists (세 가지).
    limits: frozenset[str] = frozenset()  #: Marks of the words that limit it (``corpora.korean.limits``).


_NUMBER = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:[.:]\d+)*")
_RANGE = re.compile(rf" ?(?:~|∼|〜|–|-|에서|부터|내지) ?(?:{SCALED.pattern}|{PLAIN})")
_DATE = re.compile(r"\d{4}\.\d{1,2}\.\d{1,2}")
_CLOCK = re.compile(r"(\d{1,2}):([0-5]\d)")
_WORD_START = r"(?<![가-힣A-Za-z0-9])"
_NATIVE = re.compile(rf"{_WORD_START}({'|'.join(sorted(NATIVE, key=len, reverse=True))})(?= ?[가-힣])")
_SINO = re.compile(rf"{_WORD_START}({SINO})(?= ?[가-힣%A-Za-z℃])")
_DAYS = re.compile(
    rf"{_WORD_START}({'|'.join(DAYS)})(?:간)?(?=[^가-힣]|$|[이의에을를은는만로도]|마다|동안|까지|이내|안에|전|후)"
)
#: A sign stands at the start of a word; behind a digit or a letter a hyphen joins: 2-8℃, A-18.
_MINUS = re.compile(r"(?<![A-Za-z0-9)\]])[-−–]\Z")
_BELOW_ZERO = re.compile(r"(?:영하|마이너스) ?(?:약 ?)?\Z")
_BELOW_ZERO_RANGE = re.compile(r"영하 ?[\d.]+ ?(?:도|℃|°C)? ?(?:~|∼|〜|–|-|에서|내지) ?\Z")
_UNSIGNED = frozenset({"시", "월", "년", "번째", "차", "페이지", "층"})
_SIGNED = frozenset({"도", "%"})
#: "파렛트 10개" are 10파렛트.
_CONTAINER = re.compile(r"(?<![가-힣])(팔레트|파렛트|파레트|팔렛트|팰릿|상자|박스|세트|묶음) ?\Z")
#: Only these say that a length of time is meant: 하루 alone is mostly "a day" of 하루에 두 번.
_LASTING = re.compile(r"(?:간|만에)? ?(?:이내|안에|동안|전|후|뒤|이상|이하|미만|넘|지나|걸|까지|소요)")
_EVERY = re.compile(rf"{_WORD_START}(?:매(일|주|월|달|년|시간)|(일|주|월|연|년) ?(?=\d+ ?[회번]))")
_NOON = re.compile(rf"{_WORD_START}(정오|자정)")

_METRIC = frozenset({"kg", "g", "km", "m", "cm", "mm", "l", "ml", "t", "m2", "m3"})
#: Counters of native numerals that may be written without a space; 세대, 한층, 세배, 네시 may be other words.
_ATTACHED_NATIVE = frozenset({"회", "개", "개월", "시간", "명", "곳", "상자", "팔레트", "번째", "세트", "묶음", "단계"})
_NATIVE_UNITS = (
    _ATTACHED_NATIVE | {"시", "건", "대", "장", "층", "칸", "년", "배", "주", "분", "페이지", "열"} | _METRIC
)
#: 열 before these is a row of racks, not ten.
_ROW_UNITS = frozenset({"칸", "층", "열"})
#: What words count without measuring: an answer that lists three things may say 세 가지.
_LISTED = frozenset({"개", "곳", "단계", "번째", "명"})
#: A verb's 한 ("하기로 한 시간") is no numeral.
_VERB_BEFORE = re.compile(r"(?:기로|려고|도록|게|야|지|라고|다고|고) \Z")
_LONG_SINO_UNITS = _METRIC | {"개월", "%"}
#: Counters of a single Sino-Korean syllable, with a space: 오 분, 삼 일; 사회, 오일, 구분, 이 건 are other words.
_SHORT_SINO_UNITS = _LONG_SINO_UNITS | {"년", "분", "초", "회", "일", "층", "주", "원"}
#: Units of which the second goes on where the first ends: 1시간 30분, 2시 30분.
_PAIRS = frozenset(
    {("시간", "분"), ("분", "초"), ("일", "시간"), ("주", "일"), ("년", "개월"), ("시", "분"), ("m", "cm"), ("kg", "g")}
)


def quantities(text: str) -> list[Quantity]:
    """Every number of ``text`` in order of place; compatibility forms (℃, ㎏, ％) read as what they stand for."""
    text = unicodedata.normalize("NFKC", text)
    found = [*_digits(text), *_words(text), *_days(text), *_implied(text)]
    found = [replace(one, limits=limits_at(text, one.start, one.end)) for one in found]
    return _joined(sorted(found, key=lambda one: (one.start, -one.end)), text)


def _digits(text: str) -> list[Quantity]:
    found: list[Quantity] = []
    position = 0
    while match := _NUMBER.search(text, position):
        scaled = SCALED.match(text, match.start())
        value = read_scaled(scaled.group(0)) if scaled else None
        if scaled and value is not None:
            match = scaled
        found.extend(_digit_quantities(text, match, value))
        position = match.end()
    return found


def _digit_quantities(text: str, match: re.Match[str], scaled: Fraction | None) -> list[Quantity]:
    written = match.group(0).replace(",", "")
    start, end = match.span()
    clock = _CLOCK.fullmatch(written)
    if clock and int(clock.group(1)) <= HOURS:
        unit_end = unit_at(text, end)
        return [
            _clock(text, written, (int(clock.group(1)), int(clock.group(2))), (start, unit_end[1] if unit_end else end))
        ]
    reach = _RANGE.match(text, end)
    unit = unit_at(text, end)
    shared = unit_at(text, reach.end()) if reach and unit is None else None
    stop = unit[1] if unit else end
    name = unit[0] if unit else shared[0] if shared else None
    values: set[Fraction | str] = {scaled} if scaled is not None else {_plain(written)}
    if scaled is not None and name is None and re.fullmatch(r"[\d.]+만", written):
        values.add(Fraction(written[:-1]))  # "구역 3만 씁니다": only zone 3
    values, written = _signed(text, start, name, values, written)
    dated = [_bare(part, start, end) for part in written.split(".")] if _DATE.fullmatch(written) else []
    one = Quantity(number=written, values=frozenset(values), unit=name, readings=frozenset(), start=start, end=stop)
    return [_with_readings(one, text), *dated]


def _plain(written: str) -> Fraction | str:
    """The value of plain digits; versions and ratios ("10.0.25", "4:3") have none and stay as written."""
    return Fraction(written) if re.fullmatch(r"\d+(?:\.\d+)?", written) else written


def _signed(
    text: str, start: int, unit: str | None, values: set[Fraction | str], written: str
) -> tuple[set[Fraction | str], str]:
    """Values below zero where a sign or 영하 stands before the digits; both where a hyphen may be something else."""
    amounts = {value for value in values if isinstance(value, Fraction) and value}
    if not amounts or unit in _UNSIGNED:
        return values, written
    below: set[Fraction | str] = {-value for value in amounts}
    if _BELOW_ZERO.search(text, max(0, start - 8), start):
        return below, f"-{written}"
    if _BELOW_ZERO_RANGE.search(text, max(0, start - 16), start):
        return values | below, written
    mark = _MINUS.search(text, max(0, start - 2), start)
    if mark is None:
        return values, written
    before = text[mark.start() - 1 : mark.start()]
    # "온도-18℃" may join, and "-24시간" at the start of a line may be a bullet.
    bullet = (not before or before == "\n") and unit not in _SIGNED
    return (values | below, written) if bullet or "가" <= before <= "힣" else (below, f"-{written}")


def _bare(part: str, start: int, end: int) -> Quantity:
    values: frozenset[Fraction | str] = frozenset({Fraction(part)})
    return Quantity(number=part, values=values, unit=None, readings=frozenset(), start=start, end=end, firm=False)


def _with_readings(one: Quantity, text: str) -> Quantity:
    amounts = [value for value in one.values if isinstance(value, Fraction)]
    if one.unit is None:
        return one
    if one.unit == "시" and len(amounts) == 1 and amounts[0] <= HOURS and amounts[0].denominator == 1:
        return replace(
            one, readings=clock_readings(text, one.start, int(amounts[0]) * 60, leading=one.number[0] == "0")
        )
    held = _CONTAINER.search(text, max(0, one.start - 5), one.start) if one.unit == "개" else None
    units = (one.unit, UNITS[held.group(1)]) if held else (one.unit,)
    return replace(one, readings=frozenset(measure(value, unit) for value in amounts for unit in units))


def _clock(text: str, written: str, time: tuple[int, int], place: tuple[int, int]) -> Quantity:
    minutes = time[0] * 60 + time[1]
    values: set[Fraction | str] = {written}
    if time[1] == 0:
        values.add(Fraction(time[0]))
    readings = clock_readings(text, place[0], minutes, leading=written.startswith("0"))
    return Quantity(
        number=written, values=frozenset(values), unit="시", readings=readings, start=place[0], end=place[1]
    )


def _words(text: str) -> list[Quantity]:
    found: list[Quantity] = []
    for pattern, native in ((_NATIVE, True), (_SINO, False)):
        for match in pattern.finditer(text):
            word = match.group(1)
            value = NATIVE[word] if native else read_sino(word)
            unit = unit_at(text, match.end())
            if value is None or unit is None:
                continue
            attached = text[match.end() : match.end() + 1] != " "
            fits = _native_fits(text, match, unit[0], attached) if native else _sino_fits(word, value, unit, attached)
            if not fits:
                continue
            # 다섯 분 are persons: minutes are counted in Sino-Korean.
            name = "명" if native and unit[0] == "분" else unit[0]
            firm = name not in _LISTED and (value > 1 or name in ("시간", "개월", "주", "시", *_LONG_SINO_UNITS))
            below = -1 if _BELOW_ZERO.search(text, max(0, match.start() - 8), match.start()) else 1
            one = Quantity(
                number=word, values=frozenset({Fraction(value * below)}), unit=name, readings=frozenset(),
                start=match.start(), end=unit[1], firm=firm,
                listing="" if firm or name == "번째" else text[match.end() : unit[1]].strip(),
            )  # fmt: skip
            found.append(_with_readings(one, text))
    return found


def _native_fits(text: str, match: re.Match[str], unit: str, attached: bool) -> bool:
    word = match.group(1)
    if unit not in (_ATTACHED_NATIVE if attached else _NATIVE_UNITS):
        return False
    if word == "열" and unit in _ROW_UNITS:
        return False
    if unit == "시" and NATIVE[word] > 12:
        return False
    return not (word == "한" and _VERB_BEFORE.search(text[max(0, match.start() - 4) : match.start()]))


def _sino_fits(word: str, value: int, unit: tuple[str, int], attached: bool) -> bool:
    name = unit[0]
    if name in ("시", "번째", "곳", "배"):
        return name == "시" and 10 < value <= HOURS
    if len(word) > 1:
        # 십분 is also "enough", 백개 and 천장 also other words: without a space only numerals of three syllables.
        return not attached or len(word) > 2 or name in _LONG_SINO_UNITS | {"원", "일", "년"}
    if word in "십백천만억":
        return not attached or name in _LONG_SINO_UNITS | {"원"}
    if word == "이" or attached:
        return name in _LONG_SINO_UNITS
    return name in _SHORT_SINO_UNITS


def _days(text: str) -> list[Quantity]:
    found = []
    for match in _DAYS.finditer(text):
        word = match.group(1)
        # 이레 and 보름 are rare enough; 하루 and 이틀 are firm only where a length is meant.
        firm = bool(_LASTING.match(text, match.end(1)))
        value = Fraction(DAYS[word])
        found.append(
            Quantity(
                number=word, values=frozenset({value}), unit="일", readings=frozenset({measure(value, "일")}),
                start=match.start(), end=match.end(), firm=firm,
            )
        )  # fmt: skip
    return found


def _implied(text: str) -> list[Quantity]:
    """매일, 월 (1회), 정오: they support 1일, 1개월 and 12시, and claim nothing themselves."""
    found = []
    units = {"달": "개월", "월": "개월", "연": "년"}
    for match in _EVERY.finditer(text):
        word = match.group(1) or match.group(2)
        unit = units.get(word, word)
        reading = measure(Fraction(1), unit)
        found.append(_support(match, Fraction(1), unit, reading))
    for match in _NOON.finditer(text):
        hour = 12 if match.group(1) == "정오" else 0
        found.append(_support(match, Fraction(hour), "시", ("clock", Fraction(hour * 60))))
    return found


def _support(match: re.Match[str], value: Fraction, unit: str, reading: Reading) -> Quantity:
    return Quantity(
        number=match.group(0), values=frozenset({value}), unit=unit, readings=frozenset({reading}),
        start=match.start(), end=match.end(), firm=False,
    )  # fmt: skip


def _joined(found: list[Quantity], text: str) -> list[Quantity]:
    """Parts of one amount know their sum: 1시간 30분 is 90분 too, 2시 30분 is 14:30 too."""
    joined = list(found)
    for at in range(len(joined) - 1):
        first, second = joined[at], joined[at + 1]
        if text[first.end : second.start].strip() or (first.unit, second.unit) not in _PAIRS:
            continue
        if first.unit == "시":
            sums = {("clock", one + minutes) for _, one in first.readings for minutes in _amounts(second)}
            joined[at + 1] = replace(second, readings=second.readings | sums)
            joined[at] = replace(first, readings=first.readings | sums)
            continue
        sums = {(name, one + other) for name, one in first.readings for _, other in second.readings}
        joined[at] = replace(first, readings=first.readings | sums)
        joined[at + 1] = replace(second, readings=second.readings | sums)
    return joined


def _amounts(one: Quantity) -> list[Fraction]:
    return [value for value in one.values if isinstance(value, Fraction)]
