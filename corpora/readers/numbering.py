"""The numbers that Word shows before paragraphs: they are counted from ``numbering.xml``, not stored in the text.

Source: ECMA-376 part 1, 17.9. ``Numbering(document).label(paragraph, styles)`` must see every paragraph in order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from docx.oxml.ns import qn

__all__ = ["Numbering", "ordinal"]

_HANGUL = "가나다라마바사아자차카타파하"
_CHOSUNG = "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎ"
_PLACE = re.compile(r"%([1-9])")
_MAX_LEVEL = 8


@dataclass(frozen=True, slots=True)
class _Level:
    start: int
    form: str  # w:numFmt
    shown: str  # w:lvlText, ``%1.%2.``


def ordinal(number: int, form: str) -> str:
    """A number in one of Word's forms; those that Korean manuals do not use are shown as digits."""
    if form == "ganada":
        return _HANGUL[(number - 1) % len(_HANGUL)]
    if form == "chosung":
        return _CHOSUNG[(number - 1) % len(_CHOSUNG)]
    if form in ("lowerLetter", "upperLetter"):
        letter = chr(ord("a") + (number - 1) % 26)
        return letter.upper() if form == "upperLetter" else letter
    if form in ("decimalEnclosedCircle", "decimalEnclosedCircleChinese") and 1 <= number <= 20:
        return chr(0x2460 + number - 1)
    if form in ("lowerRoman", "upperRoman"):
        roman = _roman(number)
        return roman if form == "upperRoman" else roman.lower()
    return str(number)


class Numbering:
    """Counters of all lists of one document.

    Args:
        document: A python-docx document.
    """

    def __init__(self, document: Any) -> None:
        self._levels: dict[str, dict[int, _Level]] = {}
        self._lists: dict[str, str] = {}  # numId -> abstractNumId
        self._counts: dict[str, dict[int, int]] = {}
        root = _numbering(document)
        if root is None:
            return
        for abstract in root.findall(qn("w:abstractNum")):
            found = {_integer(level.get(qn("w:ilvl")), 0): _level(level) for level in abstract.findall(qn("w:lvl"))}
            self._levels[abstract.get(qn("w:abstractNumId"))] = found
        for entry in root.findall(qn("w:num")):
            abstract_id = entry.find(qn("w:abstractNumId"))
            if abstract_id is not None:
                self._lists[entry.get(qn("w:numId"))] = abstract_id.get(qn("w:val"))

    def label(self, paragraph: Any, styles: list[Any]) -> tuple[str, int] | None:
        """The label that stands before a paragraph and the depth of its list; None where it is in none."""
        for holder in (paragraph, *styles):
            properties = holder.find(f"{qn('w:pPr')}/{qn('w:numPr')}")
            if properties is None:
                continue
            number = properties.find(qn("w:numId"))
            depth = properties.find(qn("w:ilvl"))
            if number is not None:
                at = _integer(depth.get(qn("w:val")) if depth is not None else None, 0)
                return self._count(number.get(qn("w:val")), min(max(0, at), _MAX_LEVEL))
        return None

    def _count(self, number_id: str, depth: int) -> tuple[str, int] | None:
        levels = self._levels.get(self._lists.get(number_id, ""))
        if not levels or depth not in levels:
            return None
        counts = self._counts.setdefault(number_id, {})
        counts[depth] = counts.get(depth, levels[depth].start - 1) + 1
        for deeper in [level for level in counts if level > depth]:
            del counts[deeper]
        level = levels[depth]
        if level.form in ("bullet", "none"):
            return ("-", depth) if level.form == "bullet" else None

        def place(match: re.Match[str]) -> str:
            at = int(match.group(1)) - 1
            other = levels.get(at, level)
            return ordinal(counts.get(at, other.start), other.form)

        shown = _PLACE.sub(place, level.shown).strip()
        return (shown, depth) if shown else ("-", depth)


def _numbering(document: Any) -> Any:
    for relation in document.part.rels.values():
        if relation.reltype.endswith("/numbering") and not relation.is_external:
            return relation.target_part.element
    return None


def _level(level: Any) -> _Level:
    def value(tag: str, default: str) -> str:
        node = level.find(qn(tag))
        found = node.get(qn("w:val")) if node is not None else None
        return default if found is None else str(found)

    return _Level(_integer(value("w:start", "1"), 1), value("w:numFmt", "decimal"), value("w:lvlText", "%1."))


def _integer(value: str | None, default: int) -> int:
    return int(value) if value is not None and re.fullmatch(r"-?\d{1,6}", value) else default


def _roman(number: int) -> str:
    if not 0 < number < 4000:
        return str(number)
    values = (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1)
    signs = ("M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I")
    parts = []
    for value, sign in zip(values, signs, strict=True):
        count, number = divmod(number, value)
        parts.append(sign * count)
    return "".join(parts)
