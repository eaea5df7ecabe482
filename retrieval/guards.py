"""Guards: what shares nearly all of its words and still says something else.

A guard is a pure function of two texts and their tokens that answers "these differ in meaning". It is asked only of
pairs above the threshold, so it may cost. ``GUARDS`` names them for settings and manifests.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence

from corpora.korean.analyse import nouns
from retrieval.arguments import exchanged
from retrieval.predicates import opposed, replaced

__all__ = [
    "GUARDS",
    "Guard",
    "arguments_exchanged",
    "guard_nouns",
    "negation",
    "negation_differs",
    "noun_substituted",
    "opposites",
    "predicate_substituted",
]

Guard = Callable[[str, Sequence[str], str, Sequence[str]], bool]

#: Morphemes that turn a sentence around, by what they mean: "안 하면" and "하지 않으면" say the same. Kiwi splits the
#: prefixes off (부적합 is 부+적합). Prefixes stay apart from 않: "부적합한 로트를 출고하면" and "적합한 로트를 출고하지
#: 않으면" share everything else. A homograph (비 as rain, 부 as department) at worst keeps two rows.
NEGATION = {
    "않": "않",
    "안": "않",
    "아니하": "않",
    "못": "못",
    "못하": "못",
    "말": "말",
    "아니": "아니",
    "없": "없",
    "없이": "없",
    "모르": "모르",
    "불": "불",
    "불가": "불",
    "부": "부",
    "미": "미",
    "비": "비",
    "무": "무",
    "무상": "무",
    "무료": "무",
    "무효": "무",
    "무단": "무",
    # Nouns that say the same as a negated verb.
    "금지": "금지",
    "제외": "제외",
    "누락": "누락",
    "부재": "부재",
}


def negation(tokens: Sequence[str]) -> Counter[str]:
    """The negating morphemes of a text by meaning, each with its count."""
    return Counter(NEGATION[token] for token in tokens if token in NEGATION)


def negation_differs(_first: str, first_tokens: Sequence[str], _second: str, second_tokens: Sequence[str]) -> bool:
    """One is negated and the other is not: "…되면…", "…되지 않으면…" (ROUGE-L 0.889)."""
    return negation(first_tokens) != negation(second_tokens)


def noun_substituted(first: str, _first_tokens: Sequence[str], second: str, _second_tokens: Sequence[str]) -> bool:
    """Each text has a noun, number or Latin word that the other lacks: 장점/단점, 입고/출고, 10분/30분."""
    ours, theirs = guard_nouns(first), guard_nouns(second)
    return bool(ours - theirs) and bool(theirs - ours)


@functools.lru_cache(maxsize=100_000)
def guard_nouns(text: str) -> Counter[str]:
    """The nouns of a text that may be asked for again and again: rows of one template all meet one another."""
    return nouns(text)


def opposites(first: str, _first_tokens: Sequence[str], second: str, _second_tokens: Sequence[str]) -> bool:
    """Each text has a verb, adjective or adverb whose opposite the other has: 켜다/끄다, 두/세."""
    return opposed(first, second)


def predicate_substituted(first: str, _first_tokens: Sequence[str], second: str, _second_tokens: Sequence[str]) -> bool:
    """The same but for one verb, adjective, adverb or numeral that is no synonym: 발행하다/폐기하다, 두 번/세 번."""
    return replaced(first, second)


def arguments_exchanged(first: str, _first_tokens: Sequence[str], second: str, _second_tokens: Sequence[str]) -> bool:
    """Two words have taken each other's particle or ending: A에서 B로/B에서 A로."""
    return exchanged(first, second)


GUARDS: dict[str, Guard] = {
    "negation": negation_differs,
    "noun_substitution": noun_substituted,
    "opposites": opposites,
    "predicate_substitution": predicate_substituted,
    "argument_order": arguments_exchanged,
}
