"""Joins the recognisers: every line, every kind asked for, one answer without overlaps; and the masking of it.

What is found is taken out and the line is searched again until nothing is left, because a number can hide behind its
neighbour. So what is masked stays masked: a masked text holds nothing more to find.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator

from corpora.errors import InvalidInputError
from corpora.korean.personal_data.addresses import addresses
from corpora.korean.personal_data.contact import accounts, cards, emails, phones
from corpora.korean.personal_data.identity import (
    business_numbers,
    corporate_numbers,
    driving_licences,
    foreigner_numbers,
    passports,
    resident_numbers,
)
from corpora.korean.personal_data.line import BARRIER, Hit, Line, fold
from corpora.korean.personal_data.model import DEFAULT_KINDS, PLACEHOLDERS, Checksum, PersonalData

__all__ = ["KINDS", "Recogniser", "confident", "find_personal_data", "mask"]

Recogniser = Callable[[Line], Iterator[Hit]]
#: Kinds and their recognisers, those first that win where two find the same characters with the same confidence.
KINDS: dict[str, Recogniser] = {
    "resident_number": resident_numbers,
    "foreigner_number": foreigner_numbers,
    "corporate_number": corporate_numbers,
    "card": cards,
    "driving_licence": driving_licences,
    "phone": phones,
    "business_number": business_numbers,
    "account": accounts,
    "passport": passports,
    "email": emails,
    "address": addresses,
}
_ORDER = {kind: place for place, kind in enumerate(KINDS)}
_HOLDS_ANY = re.compile("[0-9@]")
_CHECKSUMS: dict[bool | None, Checksum] = {True: "passed", False: "failed", None: "not_applicable"}


def find_personal_data(text: str, kinds: Collection[str] | None = None) -> list[PersonalData]:
    """Personal data in ``text`` (NFC), in order and without overlaps; ``kinds`` is ``DEFAULT_KINDS`` unless given.

    Nothing is found across line breaks, except that a Markdown table's header labels its columns. Names of people are
    not found. Linear in the length of the text.

    Raises:
        InvalidInputError: a kind is not one of ``KINDS``.
    """
    chosen = _chosen(DEFAULT_KINDS if kinds is None else kinds)
    found: list[PersonalData] = []
    position, header = 0, None
    for line in fold(text).splitlines(keepends=True):
        tabular = line.lstrip().startswith("|")
        if _HOLDS_ANY.search(line):
            for kind, hit in _in_line(line, header if tabular else None, chosen):
                found.append(_record(text, position, kind, hit))
        header = (header or line) if tabular else None
        position += len(line)
    return found


def confident(found: Iterable[PersonalData]) -> list[PersonalData]:
    """Those of high confidence, which alone may be masked or rejected unasked."""
    return [one for one in found if one.confidence == "high"]


def mask(text: str, found: Iterable[PersonalData]) -> str:
    """``text`` with a placeholder such as ``[전화번호 가림]`` for each of ``found``, low confidence included.

    Raises:
        InvalidInputError: ``found`` overlaps, or was not found in this text.
    """
    parts, position = [], 0
    for one in sorted(found, key=lambda one: one.start):
        if one.start < position or text[one.start : one.end] != one.text:
            raise InvalidInputError(
                f"The {one.kind} at {one.start} to {one.end} does not belong to this text.",
                hint="Mask the very text that was searched, with what was found in it.",
            )
        parts += [text[position : one.start], PLACEHOLDERS[one.kind]]
        position = one.end
    return "".join([*parts, text[position:]])


def _chosen(kinds: Collection[str]) -> list[str]:
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise InvalidInputError(
            f"Unknown kinds of personal data: {', '.join(unknown)}.", hint=f"Known are: {', '.join(KINDS)}."
        )
    return [kind for kind in KINDS if kind in kinds]


def _in_line(text: str, header: str | None, kinds: list[str]) -> list[tuple[str, Hit]]:
    """What the line holds, in order. High confidence is settled first, so that masking only that changes nothing."""
    kept: list[tuple[str, Hit]] = []
    while True:
        line = Line(text, header)
        offered = [(kind, hit) for kind in kinds for hit in KINDS[kind](line)]
        if not offered:
            return sorted(kept, key=lambda one: one[1].start)
        best = any(hit.high for _, hit in offered)
        chosen = _apart([one for one in offered if one[1].high == best], len(text))
        kept += chosen
        text = _without(text, chosen)


def _apart(offered: list[tuple[str, Hit]], length: int) -> list[tuple[str, Hit]]:
    """Those that do not overlap a better one: by the order of ``KINDS``, then the longer, then the earlier."""
    taken, chosen = bytearray(length), []
    for kind, hit in sorted(offered, key=lambda one: (_ORDER[one[0]], one[1].start - one[1].end, one[1].start)):
        if taken.find(1, hit.start, hit.end) < 0:
            taken[hit.start : hit.end] = b"\x01" * (hit.end - hit.start)
            chosen.append((kind, hit))
    return chosen


def _without(text: str, hits: list[tuple[str, Hit]]) -> str:
    parts, position = [], 0
    for _, hit in sorted(hits, key=lambda one: one[1].start):
        parts += [text[position : hit.start], BARRIER * (hit.end - hit.start)]
        position = hit.end
    return "".join([*parts, text[position:]])


def _record(text: str, position: int, kind: str, hit: Hit) -> PersonalData:
    start, end = position + hit.start, position + hit.end
    return PersonalData(
        kind=kind,
        start=start,
        end=end,
        text=text[start:end],
        confidence="high" if hit.high else "low",
        evidence={"checksum": _CHECKSUMS[hit.checksum], "context": hit.label.word if hit.label else None},
    )
