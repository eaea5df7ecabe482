"""The gate of codes: what only its letters tell apart (SKU-01, HOLD, B존) must stand in the passages letter for letter.

``codes`` finds codes with digits or joined capitals; ``names`` finds words of capitals and lettered zones, which an
answer may have only from its passages. Hyphens of every kind are one. Pure functions of texts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from corpora.records import Verdict
from generators.gate_verdicts import refused

__all__ = ["codes", "names", "unsupported_code"]

# Codes: letters with digits in them (SKU-01, ERR-17, A1-02-03, 3PL-KR), joined capitals (IN_PROGRESS, PICK-OK), and
# three groups of digits (01-02-03, 02-123-4567) that are no date. Units behind digits (10kg) and versions (v2.1) are
# numbers and no codes.
_CODE = re.compile(
    r"(?<![A-Za-z0-9])(?![Vv]\d[\d.]*(?![A-Za-z0-9]))(?:"
    r"[A-Za-z]+(?:[-_./]?[A-Za-z0-9]+)*?(?:[-_./]?\d[A-Za-z0-9]*)(?:[-_./][A-Za-z0-9]+)*"
    r"|[A-Z]{2,}(?:[-_][A-Z0-9]+)+"
    r"|\d{1,3}(?:-\d{1,4}){2,}"
    r"|\d+[A-Z]+(?:[-_][A-Z0-9]+)+"
    r")(?![A-Za-z0-9])"
)
_HYPHENS = str.maketrans(dict.fromkeys("‐‑‒–—−﹣－", "-"))

_CAPITALS = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2,}(?![A-Za-z0-9])")
_LATIN = re.compile(r"[A-Za-z]+")
#: Systems, devices, formats and units that any answer may name; as the value of something (상태를 OK로) they are facts.
_COMMON = frozenset({
    "WMS", "ERP", "TMS", "OMS", "MES", "SCM", "PDA", "PC", "QR", "RFID", "GPS", "ID", "PW", "IT", "AI", "SMS", "URL",
    "PDF", "CSV", "XML", "JSON", "HTML", "HTTP", "HTTPS", "API", "SKU", "EA", "BOX", "PLT", "SET", "KG", "CM", "MM",
    "KM", "CBM", "OK", "FAQ", "TV", "USB", "LAN", "WIFI", "IP", "USD", "KRW",
})  # fmt: skip
_AS_VALUE = re.compile(
    r"['\"’”]?(?:\s?(?:상태|버튼|키|코드|판정|등급|처리)"
    r"|(?:이?라고|으로|로) ?(?:바꾸|바꿉|바뀌|변경|표시|처리|설정|입력|기록|선택|판정))"
)
_ZONE_NOUN = r"(?:존|구역|동|열|랙|도크|등급|라인|게이트|창고|블록|타입|형|급|조|코스|구간)"
_ZONE = re.compile(
    rf"(?<![A-Za-z0-9])([A-Z])[ -]?({_ZONE_NOUN})"
    r"(?=[은는이가을를의에로과와도만]|에서|으로|입니|이며|이고|이나|까지|부터|[^가-힣]|\Z)"
)
_LETTER = re.compile(r"(?<![A-Za-z0-9])([A-Za-z])(?![A-Za-z])")
_LETTERS_RANGE = re.compile(r"(?<![A-Za-z])([A-Z]) ?[가-힣]{0,3} ?(?:~|-|∼|〜|에서|부터) ?([A-Z])(?![A-Za-z])")


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).translate(_HYPHENS)


def codes(text: str) -> dict[str, str]:
    """Codes of a text as they are written, by the form in which they are compared."""
    return {match.group(0).casefold(): match.group(0) for match in _CODE.finditer(_folded(text))}


def names(text: str) -> list[str]:
    """Words of two or more capitals (HOLD) and lettered zones (A존, B 구역) of a text, as they are written.

    Words that any answer may use (WMS, PDA, QR) are left out, unless they stand as the value of something.
    """
    text = _folded(text)
    spans = [match.span() for match in _CODE.finditer(text)]
    found = [
        match.group(0)
        for match in _CAPITALS.finditer(text)
        if (match.group(0) not in _COMMON or _AS_VALUE.match(text, match.end()))
        and not any(start <= match.start() < end for start, end in spans)
    ]
    return [*found, *(match.group(0) for match in _ZONE.finditer(text))]


def unsupported_code(
    text: str, contexts: Sequence[str], reason: str = "code_not_in_context", *, only_codes: bool = False
) -> Verdict | None:
    """Refuse a text with a code ("SKU-01", "HOLD", "B존") that none of ``contexts`` has, mark for mark, case aside.

    The digits alone do not support it: "ERR-17" is not in "ERR-71, 17건".

    Args:
        text: Answer or question.
        contexts: What may hold its codes.
        reason: Of the verdict.
        only_codes: Leave words of capitals and zones alone: what no document answers may name another system.
    """
    wanted = codes(text)
    known = {code for context in contexts for code in codes(context)} if wanted else set()
    missing = [written for code, written in wanted.items() if code not in known]
    if not missing and not only_codes:
        missing = _unknown_names(text, contexts)
    return refused(reason, code=missing[0]) if missing else None


def _unknown_names(text: str, contexts: Sequence[str]) -> list[str]:
    wanted = names(text)
    if not wanted:
        return []
    folded = [_folded(context) for context in contexts]
    words = {word.casefold() for context in folded for word in _LATIN.findall(context)}
    zones = {(m.group(1), m.group(2)) for context in folded for m in _ZONE.finditer(context)}
    letters = _lone_letters(folded)
    missing = []
    for written in wanted:
        zone = _ZONE.fullmatch(written)
        if zone is None:
            held = written.casefold() in words
        else:
            # "존 A", a cell of a table, "A·B존" and "A~C존" name it without its noun.
            held = (zone.group(1), zone.group(2)) in zones or zone.group(1) in letters
        if not held:
            missing.append(written)
    return missing


def _lone_letters(contexts: Sequence[str]) -> set[str]:
    """Letters that stand alone and before no zone's noun, those between the ends of a range too."""
    found = set()
    for context in contexts:
        taken = {match.start(1) for match in _ZONE.finditer(context)}
        found |= {m.group(1).upper() for m in _LETTER.finditer(context) if m.start(1) not in taken}
        for span in _LETTERS_RANGE.finditer(context):
            found |= {chr(one) for one in range(ord(span.group(1)), ord(span.group(2)) + 1)}
    return found
