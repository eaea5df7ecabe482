"""The gate of numbers: each that an answer claims must stand in its passages, with its unit, its sign and its limit.

``unsupported_number`` refuses; ``number_claims`` gives every claim with what supports it. Must not know models or
prompts. What a number is and when two are equal, ``corpora.korean.quantities`` says.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from corpora.korean.limits import limits_agree
from corpora.korean.quantities import Quantity, quantities
from corpora.records import Verdict
from generators.gate_verdicts import refused
from generators.list_counts import listed_counts

__all__ = ["NumberClaim", "number_claims", "unsupported_number"]

# Line numbers of an enumerated answer ("1. …", "2) …", "3단계: …") are layout, not facts.
_LIST_NUMBER = re.compile(r"^[ \t]*\**(\d{1,2})(?:[.)][ \t]|단계(?=[ :：.)]))", re.MULTILINE)
#: Counters of what a text may list without saying how many there are.
_KINDS = frozenset({"가지", "단계"})
#: 한 that only says "a" or "once": 한 번 더, 한 곳에 모읍니다, 한 단계 위.
_MERELY_ONE = re.compile(r"한 ?(?:번 ?(?:더|에|이라도|만|쯤|씩)|곳(?:에|으로)|단계 ?(?:위|아래|더|씩)|개씩|명씩|가지)")


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberClaim:
    """A number that an answer claims."""

    quantity: Quantity  #: As the answer has it.
    supported: bool  #: Whether passages or question hold it.
    units: tuple[str, ...] | None  #: Units with which they name the bare number; None where they do not name it.
    limits: tuple[str, ...] | None = None  #: How they limit it, where the answer limits it in another way.


def unsupported_number(answer: str, question: str, contexts: Sequence[str]) -> Verdict | None:
    """Refuse an answer with a number that no cited passage has, or has only with another unit, sign or limit.

    Numbers are compared by what they mean (``corpora.korean.quantities``): 12,000개 and 1만 2천 개, 3회 and 세 번, 90분
    and 1시간 30분 are the same; 24시간 and 24일, -18℃ and 18℃, 오전 2시 and 오후 2시 are not. A number with a unit is
    supported by an equal amount or by its bare number (a table's cell), one without a unit by that number with any. A
    limit beside it (이내, 이상, 최대) must be one that the passages put beside it, where they limit it at all. What the
    question names may be repeated. Numerals in words that only count what is listed (세 가지) claim nothing.
    """
    for claim in number_claims(answer, question, contexts):
        number = claim.quantity.number
        if claim.supported and claim.limits is None:
            continue
        if claim.supported:
            ours, theirs = sorted(claim.quantity.limits), list(claim.limits or ())
            return refused("number_with_other_limit", number=number, limits=ours, context_limits=theirs)
        if claim.units is None or claim.quantity.unit in claim.units:
            # With its own unit too: another half of the day.
            return refused("number_not_in_context", number=number)
        return refused(
            "number_with_other_unit", number=number, unit=claim.quantity.unit, context_units=list(claim.units)
        )
    return None


def number_claims(answer: str, question: str, contexts: Sequence[str]) -> list[NumberClaim]:
    """Every number that an answer claims, with whether its passages or its question hold it.

    Left out are line numbers of an enumeration, and numerals in words that claim nothing.
    """
    said = _without_list_numbers(unicodedata.normalize("NFKC", answer))
    claimed = quantities(said)
    if not claimed:
        return []
    known = [quantity for text in (*contexts, question) for quantity in quantities(text)]
    units: dict[Fraction | str, set[str]] = {}
    for quantity in known:
        for value in quantity.values:
            units.setdefault(value, set()).update([quantity.unit] if quantity.unit else [])
    claims = []
    for quantity in claimed:
        supported = any(_supports(one, quantity) for one in known) and not _other_half(quantity, known)
        if not quantity.firm and (supported or not _counts(quantity, said, contexts, known)):
            continue
        named = [units[value] for value in quantity.values if value in units]
        other = tuple(sorted(set().union(*named))) if named else None
        limits = _other_limits(quantity, known) if supported else None
        claims.append(NumberClaim(quantity=quantity, supported=supported, units=other, limits=limits))
    return claims


def _supports(known: Quantity, claimed: Quantity) -> bool:
    if not known.values & claimed.values:
        return bool(known.readings & claimed.readings)
    if known.unit is None or claimed.unit is None:
        return True
    if known.readings and claimed.readings:
        return bool(known.readings & claimed.readings)
    # A ratio has no reading ("1:3kg"): the same writing with the same unit supports it.
    return known.unit == claimed.unit


def _other_half(claimed: Quantity, known: Sequence[Quantity]) -> bool:
    """Whether the texts tell this hour only of the other half of the day; a bare number elsewhere is none then."""
    if claimed.unit != "시":
        return False
    hours = [one for one in known if one.unit == "시" and one.values & claimed.values and one.readings]
    return bool(hours) and not any(one.readings & claimed.readings for one in known)


def _counts(quantity: Quantity, answer: str, contexts: Sequence[str], known: Sequence[Quantity]) -> bool:
    """Whether a numeral in words claims a number of its own: it counts nothing that is listed."""
    if not quantity.listing:
        return False
    (value,) = quantity.values
    if value == 1:
        # 한 is mostly an article. Beside 3명 and no 1명 it is another number.
        rivals = [one for one in known if one.unit == quantity.unit and (one.firm or one.listing)]
        return bool(rivals) and not _MERELY_ONE.match(answer, quantity.start)
    kinds = quantity.listing in _KINDS
    texts = (answer, *contexts) if kinds else (answer,)
    return not any(value in listed_counts(text, clauses=kinds) for text in texts)


def _other_limits(claimed: Quantity, known: Sequence[Quantity]) -> tuple[str, ...] | None:
    """How the texts limit the claimed number, where none of their limits is like its own."""
    if not claimed.limits:
        return None
    limited = [one.limits for one in known if one.limits and _supports(one, claimed)]
    if not limited or any(limits_agree(claimed.limits, limits) for limits in limited):
        return None
    return tuple(sorted(frozenset().union(*limited)))


def _without_list_numbers(answer: str) -> str:
    """Drop the numbers of an enumeration, where they really count up from 1."""
    marks = list(_LIST_NUMBER.finditer(answer))
    if [int(mark.group(1)) for mark in marks] != list(range(1, len(marks) + 1)):
        return answer
    return _LIST_NUMBER.sub("", answer)
