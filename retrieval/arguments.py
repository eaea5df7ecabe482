"""Who does what to whom: the part that each word of a Korean sentence plays, and when two have changed places.

"A에서 B로 옮기려면" and "B에서 A로 옮기려면" have the same words; order alone does not tell, since "B로 A에서
옮기려면" says the same as the first. What tells is the particle or ending behind each word. ``exchanged`` asks whether
two words have taken each other's. Words joined by 와, 고 or a comma share the part of the last one, so that "입고와
출고의 차이" and "출고와 입고의 차이" are one question. Knows no thresholds and no verdicts.

It does not see the order inside a compound without particles ("주문 취소", "취소 주문").
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Set

from corpora.korean.analyse import Morpheme
from retrieval.predicates import analysed

__all__ = ["exchanged", "parts"]

_NOUNS = frozenset(("NNG", "NNP", "NR", "SL", "SN", "SH", "XR"))
_VERBS = frozenset(("VV", "VA"))
#: Particles and endings that say the same of the word before them; all others stand for themselves.
_SAME = {
    "으로": "to",
    "로": "to",
    "까지": "to",
    "에게": "to",
    "한테": "to",
    "께": "to",
    "에서": "from",
    "서": "from",
    "부터": "from",
    "에게서": "from",
    "한테서": "from",
    "로부터": "from",
    "으로부터": "from",
    "은": "topic",
    "는": "topic",
    "ᆫ": "topic",
}
_BY_TAG = {
    "JKS": "subject",
    "JKO": "object",
    "JKG": "of",
    "JKC": "complement",
    "ETM": "modifier",
    "ETN": "noun",
    "EF": "end",
}
#: What joins equals; the words before it share the part of the words behind it.
_JOINS = frozenset(("와", "과", "하고", "랑", "이랑", "및", "고", "며", "거나", "나", "이나", "든지", ",", "·", "/"))
_JOINING = frozenset(("EC", "SP", "MAJ", "JX"))
_ARROWS = frozenset("→⇒➡>")
#: Words that have one of these may exchange it: "A가 B와 충돌하면", "B가 A와 충돌하면".
_COMPANION = "with"
#: 은 and 는 hide the case: "위험이 큰 곳은", "위험은 어느 곳이 큰지".
_HIDDEN = frozenset(("topic", "subject"))


def exchanged(first: str, second: str) -> bool:
    """Two words of these texts have taken each other's part: A에서 B로, B에서 A로; 화주가 고객에게, 고객이 화주에게."""
    ours, theirs = parts(first), parts(second)
    moved = [word for word in ours if word in theirs and ours[word] != theirs[word]]
    return any(
        ours[a] == theirs[b] and ours[b] == theirs[a] and _tells(ours[a].keys() | ours[b].keys())
        for a, b in itertools.combinations(moved, 2)
    )


def _tells(exchanged_parts: Set[str]) -> bool:
    """Whether an exchange of these parts changes who does what."""
    return _COMPANION not in exchanged_parts and not exchanged_parts <= _HIDDEN


@functools.lru_cache(maxsize=100_000)
def parts(text: str) -> dict[str, Counter[str]]:
    """The words of ``text`` with the parts that each plays, by the particle or ending behind its phrase."""
    found: dict[str, Counter[str]] = {}
    phrase: list[str] = []  # words that wait for their particle or ending
    joined: list[str] = []  # words that share the part of the next phrase

    def close(words: list[str], part: str) -> None:
        for word in words:
            found.setdefault(word, Counter())[part] += 1
        words.clear()

    for token in analysed(text):
        tag = token.tag.partition("-")[0]
        if tag in _NOUNS:
            phrase.append(token.form.lower())
        elif tag in _VERBS:
            close(phrase, "bare")  # "재고 옮기": its particle is dropped
            phrase.append(token.form)
        elif tag == "JC" or (tag in _JOINING and token.form in _JOINS):
            joined += phrase
            phrase.clear()
        elif phrase:
            part = _part(token, tag)
            if part is not None:
                close(joined, part)
                close(phrase, part)
    close(joined, "end")
    close(phrase, "end")
    return found


def _part(token: Morpheme, tag: str) -> str | None:
    """What a token makes of the words before it; None where the phrase goes on."""
    form = token.form
    if tag in _BY_TAG:
        return _BY_TAG[tag]
    if tag == "JKB" and form in _JOINS:
        return _COMPANION
    if tag in ("JKB", "JX", "JKQ"):
        return _SAME.get(form, form)
    if tag == "EC":
        return form.removeprefix("으").replace("아", "어", 1) if form[:1] in "으아" else form
    if form in _ARROWS:
        return "from"
    return "end" if tag == "SF" else None
