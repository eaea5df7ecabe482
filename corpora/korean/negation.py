"""What a Korean sentence says and whether it denies it: predicates with their stems, each denied or not.

``predicates`` reads 열지 않습니다, 안 엽니다, 열 수 없습니다, 열면 안 됩니다 and 열지 마십시오 as 열, denied. Empty
verbs (하다, 되다) and auxiliaries are no predicates. Must not know questions or verdicts.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from corpora.korean.analyse import Morpheme, tokens

__all__ = ["Predicate", "predicates"]

_LIGHT = frozenset({"하", "되", "이루어지", "말", "말하", "주", "드리", "대하", "위하", "따르", "통하", "의하", "관하"})
_NOUNS = frozenset({"NNG", "NNP", "XR"})
_DENYING = frozenset({"않", "아니하", "못하", "말"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Predicate:
    """One predicate of a sentence."""

    stem: str  #: Its stem, or its noun where 하다 or 되다 makes the verb.
    denied: bool  #: Whether it is denied; a double denial affirms.


def predicates(sentence: str) -> list[Predicate]:
    """The predicates of one sentence in order; the last one is what it says."""
    found: list[Predicate] = []
    morphemes = tokens(unicodedata.normalize("NFC", sentence))
    ahead = False
    for place, morpheme in enumerate(morphemes):
        tag = morpheme.tag.partition("-")[0]
        if tag == "MAG" and morpheme.form in ("안", "못"):
            ahead = True
        elif _denies(morphemes, place, tag):
            # 안 됩니다: the 안 belongs to this, not to a verb behind it.
            ahead = False
            if found:
                found[-1] = Predicate(stem=found[-1].stem, denied=not found[-1].denied)
        elif morpheme.form == "있" and tag.startswith("V") and _possible(morphemes, place):
            continue  # 할 수 있다 says 하다.
        elif stem := _stem(morphemes, place, tag):
            found.append(Predicate(stem=stem, denied=ahead))
            ahead = False
    return found


def _denies(morphemes: list[Morpheme], place: int, tag: str) -> bool:
    morpheme = morphemes[place]
    before = morphemes[place - 1] if place else None
    if tag == "VX":
        return morpheme.form in _DENYING
    if before is None:
        return False
    if morpheme.form == "없" and tag.startswith("V"):
        # 할 수 없다, 할 수가 없다, 할 필요가 없다.
        return _possible(morphemes, place)
    # 열면 안 됩니다.
    return morpheme.form == "되" and tag.startswith("V") and before.form == "안" and before.tag == "MAG"


def _possible(morphemes: list[Morpheme], place: int) -> bool:
    """Whether 있 or 없 at ``place`` stands behind 할 수, 할 필요 or 할 줄, with a particle or without."""
    return any(one.form in ("수", "필요", "줄") for one in morphemes[max(0, place - 2) : place])


def _stem(morphemes: list[Morpheme], place: int, tag: str) -> str:
    """The stem of the predicate at ``place``; empty where there is none."""
    form = morphemes[place].form
    if tag in ("XSV", "XSA") or (tag == "VV" and form in ("하", "되")):
        # 검수하다, 검수를 하다, 이동이 되다: the noun is what is done.
        near = [one for one in morphemes[max(0, place - 2) : place] if not one.tag.startswith("J")]
        return near[-1].form if near and near[-1].tag.partition("-")[0] in _NOUNS else ""
    return form if tag in ("VV", "VA") and form not in _LIGHT else ""
