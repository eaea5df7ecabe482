"""The gate of denial: an answer that repeats a sentence of its passages with "not" put in or taken out.

Refuses only what is seen for certain: one sentence of the passages says the same verb of the same things, and that
verb alone is denied on one side. Everything else (금지합니다 for 하지 않습니다, other words) is for a judge. Pure
functions of texts; Kiwi for morphemes.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from corpora.korean.analyse import nouns
from corpora.korean.negation import predicates
from corpora.records import Verdict
from generators.gate_verdicts import refused

__all__ = ["turned_round"]

#: Share of the shorter sentence's nouns that the other must hold: they speak of the same things.
_MIN_SHARED = 0.75
_END = re.compile(r"(?<=[.!?。])\s+|\n+")
#: Letters without which nothing is denied.
_DENIAL = re.compile(r"않|없|못|안|마|말|아니|아닌|아닙")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Said:
    text: str
    stem: str  #: Of the last predicate.
    denied: bool
    others: frozenset[tuple[str, bool]]  #: The predicates before it, denied or not.
    nouns: frozenset[str]


def turned_round(answer: str, contexts: Sequence[str]) -> Verdict | None:
    """Refuse an answer one sentence of which denies what its passages say, or the other way round."""
    said = [(text, one) for text in _sentences(answer) if (one := _read(text)) is not None]
    known = [text for context in contexts for text in _sentences(context)] if said else []
    for text, one in said:
        # A sentence without a word of denial can only be turned round by one that has it: few need be read.
        rivals = known if _DENIAL.search(text) else [other for other in known if _DENIAL.search(other)]
        alike = [other for other in _alike(one, rivals) if other.denied != one.denied]
        if not alike or any(other.denied == one.denied for other in _alike(one, known)):
            continue
        other = max(alike, key=lambda entry: _shared(one, entry))
        return refused("answer_turned_round", predicate=one.stem, answer=one.text[:80], context=other.text[:80])
    return None


def _alike(one: _Said, texts: Sequence[str]) -> list[_Said]:
    """The sentences that say the same verb of the same things."""
    found = [_read(text) for text in texts if any(noun in text.casefold() for noun in one.nouns)]
    return [
        other
        for other in found
        if other is not None
        and other.stem == one.stem
        and _shared(one, other) >= _MIN_SHARED
        and not _others_turned(one, other)
    ]


def _sentences(text: str) -> list[str]:
    """By marks and lines alone: Kiwi reads only what may be turned round."""
    parts = (part.strip() for part in _END.split(unicodedata.normalize("NFC", text)))
    return [part for part in parts if part and not part.endswith("?")]


@functools.lru_cache(maxsize=1_000)
def _read(sentence: str) -> _Said | None:
    """What one sentence says; None without a predicate. Kept, since many answers rest on one passage."""
    done = predicates(sentence)
    if not done:
        return None
    last = done[-1]
    others = frozenset((one.stem, one.denied) for one in done[:-1])
    things = frozenset(nouns(sentence)) - {last.stem}
    return _Said(text=sentence, stem=last.stem, denied=last.denied, others=others, nouns=things)


def _shared(one: _Said, other: _Said) -> float:
    """Share of the shorter side's nouns that the other has too; without nouns nothing is known."""
    least = min(len(one.nouns), len(other.nouns))
    return len(one.nouns & other.nouns) / least if least else 0.0


def _others_turned(one: _Said, other: _Said) -> bool:
    """Whether a condition is turned too: "검수하지 않으면 못 나갑니다" is "검수하면 나갑니다"."""
    return any((stem, not denied) in other.others for stem, denied in one.others)
