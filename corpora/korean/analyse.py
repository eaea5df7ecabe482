"""Morphemes and sentences by Kiwi, through one cached analyser a process.

``content_morphemes`` is the token sequence that near-duplicates, ROUGE and the default embedder are built on: what a
text is about, with its negation, without particles and endings. Its version goes into every fingerprint.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from corpora.ids import content_id
from corpora.korean.kiwi import DOMAIN_NOUNS, analyser

if TYPE_CHECKING:
    from kiwipiepy import Token

__all__ = [
    "DOMAIN_NOUNS",
    "Morpheme",
    "content_morphemes",
    "content_morphemes_many",
    "forget",
    "join",
    "nouns",
    "prefetch",
    "sentences",
    "tokenizer_version",
    "tokens",
]

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


@dataclass(frozen=True, slots=True)
class Morpheme:
    """One morpheme; offsets point into the NFC text that was analysed."""

    form: str  #: Surface form as Kiwi restores it.
    tag: str  #: Part of speech in the Sejong set.
    start: int  #: Offset of its first character.
    end: int  #: Offset behind its last character.


def tokenizer_version(dictionary: tuple[str, ...] = ()) -> str:
    """Versions of Kiwi and its model, of our choice and of the caller's nouns, for manifests and fingerprints."""
    kiwi, model = metadata.version("kiwipiepy"), metadata.version("kiwipiepy_model")
    own = f" +{len(dictionary)} nouns {content_id('d', *sorted(dictionary))[2:10]}" if dictionary else ""
    return f"kiwipiepy {kiwi}/{model} content-v{CONTENT_VERSION}{own}"


def tokens(text: str) -> list[Morpheme]:
    """Every morpheme of ``text``, which must be NFC."""
    return [Morpheme(t.form, t.tag, t.start, t.end) for t in analyser().tokens(text)]


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


def content_morphemes(text: str, dictionary: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The content morphemes of ``text`` in order: nouns, verbs, adjectives, modifiers, Latin, numbers, negation.

    Args:
        text: Any text.
        dictionary: Nouns of the caller's domain that must not be split, beside ``DOMAIN_NOUNS``.
    """
    return _content(analyser(dictionary).tokens(unicodedata.normalize("NFC", text)))


def content_morphemes_many(texts: Sequence[str], dictionary: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """``content_morphemes`` of each text, in order, on every core."""
    kiwi = analyser(dictionary)
    texts = [unicodedata.normalize("NFC", text) for text in texts]
    if kiwi.ready(texts):
        yield from (_content(kiwi.tokens(text)) for text in texts)
        return
    for found in kiwi.kiwi.tokenize(texts):
        yield _content(found)


def prefetch(texts: Iterable[str], dictionary: tuple[str, ...] = ()) -> None:
    """Analyse many texts ahead on every core; asked for one by one they then cost nothing, until ``forget``."""
    analyser(dictionary).prefetch(texts)


def forget(dictionary: tuple[str, ...] = ()) -> None:
    """Drop what was analysed ahead."""
    analyser(dictionary).forget()


def nouns(text: str) -> Counter[str]:
    """The nouns, numbers and Latin words of ``text`` with their counts; words that only ask (방법, 설명) left out."""
    found = analyser().tokens(unicodedata.normalize("NFC", text))
    return Counter(
        token.form.lower()
        for token in found
        if (token.tag in ("NNG", "NNP", "SL", "SN", "SH", "XR", "NR")) and token.form not in ASKING_NOUNS
    )


def sentences(text: str) -> list[tuple[int, int]]:
    """Offsets of the sentences of ``text``, which must be NFC."""
    return list(analyser().sentences(text))


def join(morphemes: Iterable[tuple[str, str]]) -> str:
    """The surface of (form, tag) pairs, inflected: 하/XSV and 었/EP and 어요/EF become 했어요."""
    return str(analyser().kiwi.join(list(morphemes)))
