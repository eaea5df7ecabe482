"""Morphemes and sentences by Kiwi, through one cached analyser a process.

``content_morphemes`` is the token sequence that near-duplicates, ROUGE and the default embedder are built on: what a
text is about, with its negation, without particles and endings. Its version goes into every fingerprint.
"""

from __future__ import annotations

import functools
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kiwipiepy import Kiwi, Token

__all__ = [
    "DOMAIN_NOUNS",
    "Morpheme",
    "content_morphemes",
    "content_morphemes_many",
    "nouns",
    "sentences",
    "tokenizer_version",
    "tokens",
]

#: Nouns of warehouses that Kiwi would split (피킹 becomes 피+킹); a caller may add its own.
DOMAIN_NOUNS = (
    "피킹",
    "패킹",
    "로케이션",
    "크로스도킹",
    "팔레트",
    "토트",
    "웨이브",
    "바코드",
    "적치",
    "검수",
    "입고",
    "출고",
    "재고",
    "반품",
    "로트",
    "유통기한",
    "송장",
    "도크",
    "랙",
    "보충",
    "할당",
    "실사",
    "상차",
    "하차",
    "오더",
)
#: Bumped when the choice of content morphemes changes.
CONTENT_VERSION = 1
#: Negation is kept although its tags are dropped: without it, "되지 않으면" and "되면" would be equal.
NEGATION = {
    ("않", "VX"): "않",
    ("아니하", "VX"): "않",
    ("못하", "VX"): "못",
    ("말", "VX"): "말",
    ("안", "MAG"): "안",
    ("못", "MAG"): "못",
    ("아니", "VCN"): "아니",
}
#: XPN too: 불가능 is 불+가능, and 재출고 is no 출고.
CONTENT_PREFIXES = ("NN", "NP", "NR", "VV", "VA", "MM", "MA", "XR", "XPN")
#: Nouns of the question itself: one asked for the 방법 and one for the 절차 ask the same.
ASKING_NOUNS = frozenset(
    ("방법", "절차", "과정", "순서", "설명", "소개", "답변", "질문", "안내", "요약", "정리", "이유", "말", "내용")
)
CONTENT_TAGS = frozenset({"SL", "SN", "SH"})
#: Two workers double Kiwi's speed on two cores; more gain nothing there.
WORKERS = 2


@dataclass(frozen=True, slots=True)
class Morpheme:
    """One morpheme; offsets point into the NFC text that was analysed."""

    form: str  #: Surface form as Kiwi restores it.
    tag: str  #: Part of speech in the Sejong set.
    start: int  #: Offset of its first character.
    end: int  #: Offset behind its last character.


@functools.cache
def _kiwi(nouns: tuple[str, ...] = DOMAIN_NOUNS) -> Kiwi:
    from kiwipiepy import Kiwi

    kiwi = Kiwi(num_workers=WORKERS)
    for noun in nouns:
        kiwi.add_user_word(noun, "NNP", 0.0)
    return kiwi


def tokenizer_version() -> str:
    """Versions of Kiwi and its model and of our choice, for manifests and fingerprints."""
    kiwi, model = metadata.version("kiwipiepy"), metadata.version("kiwipiepy_model")
    return f"kiwipiepy {kiwi}/{model} content-v{CONTENT_VERSION}"


def tokens(text: str) -> list[Morpheme]:
    """Every morpheme of ``text``, which must be NFC."""
    return [Morpheme(t.form, t.tag, t.start, t.end) for t in _kiwi().tokenize(text)]


def _content(found: Iterable[Token]) -> tuple[str, ...]:
    kept = []
    for token in found:
        tag = token.tag.partition("-")[0]  # VV-R and VV-I are the same part of speech
        if tag == "NNB":
            continue
        negation = NEGATION.get((token.form, tag))
        if negation is not None:
            kept.append(negation)
        elif tag.startswith(CONTENT_PREFIXES) or tag in CONTENT_TAGS:
            kept.append(token.form.lower())
    return tuple(kept)


def content_morphemes(text: str) -> tuple[str, ...]:
    """The content morphemes of ``text`` in order: nouns, verbs, adjectives, modifiers, Latin, numbers, negation."""
    return _content(_kiwi().tokenize(unicodedata.normalize("NFC", text)))


def content_morphemes_many(texts: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """``content_morphemes`` of each text, in order, on several threads."""
    for found in _kiwi().tokenize([unicodedata.normalize("NFC", text) for text in texts]):
        yield _content(found)


def nouns(text: str) -> Counter[str]:
    """The nouns, numbers and Latin words of ``text`` with their counts; words that only ask (방법, 설명) left out."""
    found = _kiwi().tokenize(unicodedata.normalize("NFC", text))
    return Counter(
        token.form.lower()
        for token in found
        if (token.tag in ("NNG", "NNP", "SL", "SN", "SH", "XR", "NR")) and token.form not in ASKING_NOUNS
    )


def sentences(text: str) -> list[tuple[int, int]]:
    """Offsets of the sentences of ``text``, which must be NFC."""
    return [(s.start, s.end) for s in _kiwi().split_into_sents(text)]
