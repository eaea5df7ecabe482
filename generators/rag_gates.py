"""The gates of a question-answer pair that claims to rest on passages: quotes, numbers, a question that stands alone.

Pure functions of texts. Each gives a ``Verdict`` of stage ``grounding`` with its evidence, or None where it sees no
fault. Must not know models, prompts or the index; ``rag_qa`` runs them in order.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from corpora.korean.quantities import quantities
from corpora.records import Verdict
from generators.curation.standalone import pointing_phrase

__all__ = [
    "MIN_QUOTE_CHARS",
    "find_quote",
    "mentions_passages",
    "refused",
    "stands_alone",
    "unsupported_number",
]

#: Characters, blanks not counted, that a quote needs to be evidence: a shorter one ("입고", "48시간") occurs anywhere.
MIN_QUOTE_CHARS = 8

_PASSAGE_MENTION = re.compile(r"\[\d+\]|\d+번\s?지문|지문(?:에|의|\s?\d)|passage\s?\d", re.IGNORECASE)

# Line numbers of an enumerated answer ("1. …", "2) …") are layout, not facts.
_LIST_NUMBER = re.compile(r"^[ \t]*(\d{1,2})[.)][ \t]", re.MULTILINE)


def refused(reason: str, **evidence: Any) -> Verdict:
    """A verdict of this stage."""
    return Verdict(stage="grounding", reason=reason, evidence=evidence)


def find_quote(quote: str, source: str) -> tuple[int, int] | None:
    """Where a quote stands in a text, runs of blanks and line breaks counting as one blank.

    Returns:
        The half-open range in ``source`` of the first occurrence, or None. Nothing else is forgiven: letters, marks
        and digits must be the same.
    """
    wanted = " ".join(unicodedata.normalize("NFC", quote).split())
    if not wanted:
        return None
    # One character of `flat` for each kept character of the source, and where it came from.
    flat: list[str] = []
    origin: list[int] = []
    for position, character in enumerate(source):
        if not character.isspace():
            flat.append(character)
        elif flat and flat[-1] != " ":
            flat.append(" ")
        else:
            continue
        origin.append(position)
    start = "".join(flat).find(wanted)
    if start < 0:
        return None
    return origin[start], origin[start + len(wanted) - 1] + 1


def stands_alone(question: str) -> Verdict | None:
    """Refuse a question that points into a text its reader does not see ("이 표", "위 문서", "1장에서")."""
    phrase = pointing_phrase(question)
    return refused("question_not_standalone", pattern=phrase) if phrase else None


def mentions_passages(answer: str) -> Verdict | None:
    """Refuse an answer that names the prompt's passages ("[2]", "지문에 따르면")."""
    match = _PASSAGE_MENTION.search(answer)
    return refused("answer_mentions_passage", pattern=match.group(0)) if match else None


def unsupported_number(answer: str, question: str, contexts: Sequence[str]) -> Verdict | None:
    """Refuse an answer with a number that stands in no cited passage, or stands there only with another unit.

    Numbers are compared by what they mean (``corpora.korean.quantities``): 12,000개 and 1만 2천 개, 3회 and 세 번, 90분
    and 1시간 30분 are the same, 24시간 and 24일 are not. A number with a unit is supported by an equal amount or by its
    bare number (a table's cell), one without a unit by that number with any. What the question names may be repeated.
    Numerals in words that only count what the answer lists (세 가지) claim nothing.
    """
    known = [quantity for text in (*contexts, question) for quantity in quantities(text)]
    readings = {reading for quantity in known for reading in quantity.readings}
    bare = {value for quantity in known if quantity.unit is None for value in quantity.values}
    units: dict[Fraction | str, set[str]] = {}
    for quantity in known:
        for value in quantity.values:
            units.setdefault(value, set()).update([quantity.unit] if quantity.unit else [])
    for quantity in quantities(_without_list_numbers(answer)):
        named = [units[value] for value in quantity.values if value in units]
        if quantity.unit is None:
            supported = bool(named)
        else:
            # A ratio has no reading ("1:3kg"): the same writing with the same unit supports it.
            same = any(quantity.unit in found for found in named)
            supported = same or bool(quantity.values & bare or quantity.readings & readings)
        if supported or not quantity.firm:
            continue
        if not named:
            return refused("number_not_in_context", number=quantity.number)
        found = sorted(set().union(*named))
        return refused("number_with_other_unit", number=quantity.number, unit=quantity.unit, context_units=found)
    return None


def _without_list_numbers(answer: str) -> str:
    """Drop the numbers of an enumeration, where they really count up from 1."""
    marks = list(_LIST_NUMBER.finditer(answer))
    if [int(mark.group(1)) for mark in marks] != list(range(1, len(marks) + 1)):
        return answer
    return _LIST_NUMBER.sub("", answer)
