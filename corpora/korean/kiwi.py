"""The one Kiwi of a process and dictionary: loaded at first use (1.4 s, 300 MB), shared by everything Korean.

``kiwi(nouns)`` is a cached factory. ``prefetch(texts)`` analyses many texts on all cores; asked for one by one later,
they cost nothing until ``forget``. What it gives is what Kiwi gives for a text alone. Knows no linguistics of ours.
"""

from __future__ import annotations

import functools
import os
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kiwipiepy import Kiwi, Token

__all__ = ["DOMAIN_NOUNS", "Analyser", "analyser"]

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

Spans = list[tuple[int, int]]


class Analyser:
    """Kiwi with a dictionary, and the texts that were analysed ahead."""

    def __init__(self, kiwi: Kiwi) -> None:
        self.kiwi = kiwi
        self._ready: dict[str, tuple[list[Token], Spans]] = {}

    def tokens(self, text: str) -> list[Token]:
        """Kiwi's tokens of ``text``, which must be NFC."""
        ready = self._ready.get(text)
        return ready[0] if ready is not None else self.kiwi.tokenize(text)

    def sentences(self, text: str) -> Spans:
        """Offsets of the sentences of ``text``, which must be NFC."""
        ready = self._ready.get(text)
        return ready[1] if ready is not None else [(s.start, s.end) for s in self.kiwi.split_into_sents(text)]

    def prefetch(self, texts: Iterable[str]) -> None:
        """Analyse ``texts`` on every core."""
        distinct = dict.fromkeys(unicodedata.normalize("NFC", text) for text in texts)
        wanted = [text for text in distinct if text not in self._ready]
        ready = dict(self._ready)
        for text, found in zip(wanted, self.kiwi.split_into_sents(wanted, return_tokens=True), strict=True):
            flat = [token for sentence in found for token in sentence.tokens]
            ready[text] = (flat, [(sentence.start, sentence.end) for sentence in found])
        self._ready = ready

    def ready(self, texts: Iterable[str]) -> bool:
        """Whether all of ``texts`` were analysed ahead."""
        return all(text in self._ready for text in texts)

    def forget(self) -> None:
        """Drop what was analysed ahead."""
        self._ready = {}


def analyser(nouns: tuple[str, ...] = ()) -> Analyser:
    """The analyser whose dictionary holds ``DOMAIN_NOUNS`` and ``nouns``."""
    # Not cached itself: analyser() and analyser(()) would be two entries, and two Kiwis.
    return _load(nouns)


@functools.lru_cache(maxsize=3)
def _load(nouns: tuple[str, ...]) -> Analyser:
    from kiwipiepy import Kiwi

    # Two workers double Kiwi's speed on two cores.
    kiwi = Kiwi(num_workers=len(os.sched_getaffinity(0)))
    for noun in (*DOMAIN_NOUNS, *nouns):
        kiwi.add_user_word(noun, "NNP", 0.0)
    return Analyser(kiwi)
