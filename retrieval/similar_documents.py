"""Near-identical documents, such as the versions of one manual: how much of one stands in another.

A document is a set of units, its sentences and lines without blanks and marks, as hashes weighted by their letters.
``share`` is the weight of a document's units that another one has too. A unit of many documents (a form's boilerplate)
weighs less the more of them have it, in share and whole alike, so that it makes nobody alike; versions whose every
unit is that common still are.

``UnitIndex`` is filled document by document, from texts, from stored chunks or from units that were kept (``packed``);
a look-up costs what the document is long, not what the index holds. Exact repeats only: a sentence with one word
changed is another sentence. Where the question is whether one file is a new version of another, ``same_manual`` looks
closer. Knows no store.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

__all__ = [
    "SAME_MANUAL",
    "THRESHOLD",
    "Similar",
    "UnitIndex",
    "packed",
    "same_manual",
    "similar_documents",
    "units_of",
    "unpacked",
]

#: Share from which two documents are reported: with a fifth of the sentences replaced 0.68 to 0.88 is left, with half
#: 0.41 to 0.60; different pages of one product's manual that repeat each other's procedures reach 0.60 (Korean, 154
#: pages, 20 of them edited).
THRESHOLD = 0.6
#: ``same_manual`` from which an upload is a new version of the file of that name: half of the sentences replaced leave
#: 0.34 to 0.60, one word changed in each of four fifths 0.56 to 0.80; of pairs of different pages 99 % stay below 0.15.
SAME_MANUAL = 0.3
#: A unit of more documents than this weighs less.
COMMON = 10
#: Documents remembered for one unit; of a larger crowd the first ones are found.
CROWD = 32
#: Words of a shingle of ``same_manual``.
SHINGLE = 3

_PACKED = np.dtype([("unit", "<u8"), ("size", "<u4")])
_END = re.compile(r"(?<=[.!?。！？])\s+|\n")
_MARKS = re.compile(r"[\W_]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Similar:
    """Two documents that share much."""

    document_id: str  #: The document asked about.
    other_id: str  #: The one that holds much of it, or the reverse.
    share: float  #: How much of the document stands in the other, 0 to 1.
    other_share: float  #: How much of the other stands in the document, 0 to 1.
    jaccard: float  #: What both share of what either has, 0 to 1.


class UnitIndex:
    """The units of known documents, searchable for one that shares them."""

    def __init__(self) -> None:
        self._documents: dict[str, dict[int, int]] = {}
        #: Documents of a unit, the first ``CROWD`` of them; most units have one.
        self._holders: dict[int, str | list[str]] = {}
        #: How many documents have a unit, where it is not one.
        self._spread: dict[int, int] = {}
        #: Weights of whole documents, until the next one comes or goes.
        self._totals: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._documents)

    def __contains__(self, document_id: object) -> bool:
        return document_id in self._documents

    def add(self, document_id: str, text: str) -> None:
        """Keep a document; one of the same id is replaced."""
        self.add_passages(document_id, (text,))

    def add_passages(self, document_id: str, passages: Iterable[str]) -> None:
        """Keep a document that is at hand in passages, such as the texts of its stored chunks."""
        self.add_units(document_id, units_of(passages))

    def add_units(self, document_id: str, units: dict[int, int]) -> None:
        """Keep a document whose units are known; the dict is kept too."""
        self.remove(document_id)
        self._documents[document_id] = units
        for unit in units:
            holders = self._holders.get(unit)
            if holders is None:
                self._holders[unit] = document_id
                continue
            self._spread[unit] = self._spread.get(unit, 1) + 1
            if isinstance(holders, str):
                self._holders[unit] = [holders, document_id]
            elif len(holders) < CROWD:
                holders.append(document_id)

    def remove(self, document_id: str) -> bool:
        """Forget a document; whether it was known. Later members of a crowd do not move up."""
        self._totals.clear()
        units = self._documents.pop(document_id, None)
        for unit in units or ():
            left = self._spread.get(unit, 1) - 1
            if left > 1:
                self._spread[unit] = left
            else:
                self._spread.pop(unit, None)
            holders = self._holders.get(unit)
            if holders == document_id or left == 0:
                self._holders.pop(unit, None)
            elif isinstance(holders, list) and document_id in holders:
                holders.remove(document_id)
        return units is not None

    def similar(self, document_id: str, text: str, threshold: float = THRESHOLD) -> list[Similar]:
        """Known documents that share at least ``threshold`` of this one or of themselves, most alike first."""
        return self._similar(document_id, units_of((text,)), threshold)

    def similar_to(self, document_id: str, threshold: float = THRESHOLD) -> list[Similar]:
        """The same for a document that is kept itself; KeyError where it is not."""
        return self._similar(document_id, self._documents[document_id], threshold)

    def _similar(self, document_id: str, units: Mapping[int, int], threshold: float) -> list[Similar]:
        whole = self._weight(units)
        shared, hidden = self._shared(units)
        found: list[Similar] = []
        for other_id, seen in shared.items():
            if other_id == document_id:
                continue
            other = self._documents[other_id]
            total = self._totals.get(other_id)
            if total is None:
                total = self._totals[other_id] = self._weight(other)
            # Rounding must not lose a pair at the threshold.
            least = threshold * min(whole, total) * (1 - 1e-9)
            if seen + hidden < least:
                continue
            common = self._weight({unit: size for unit, size in units.items() if unit in other})
            if common >= least:
                found.append(
                    Similar(
                        document_id=document_id,
                        other_id=other_id,
                        share=common / whole,
                        other_share=common / total,
                        jaccard=common / (whole + total - common),
                    )
                )
        return sorted(found, key=lambda pair: (-pair.jaccard, pair.other_id))

    def _shared(self, units: Mapping[int, int]) -> tuple[dict[str, float], float]:
        """What each document is seen to share, and the weight of units whose later holders are not remembered."""
        shared: dict[str, float] = {}
        hidden = 0.0
        for unit, size in units.items():
            holders = self._holders.get(unit)
            if holders is None:
                continue
            if isinstance(holders, str):
                shared[holders] = shared.get(holders, 0.0) + size
                continue
            spread = self._spread.get(unit, 1)
            weight = size * min(1.0, COMMON / spread)
            if spread > len(holders):
                hidden += weight
            for holder in holders:
                shared[holder] = shared.get(holder, 0.0) + weight
        return shared, hidden

    def _weight(self, units: Mapping[int, int]) -> float:
        spread = self._spread
        return sum(
            size if unit not in spread else size * min(1.0, COMMON / spread[unit]) for unit, size in units.items()
        )


def similar_documents(
    new: Mapping[str, str], known: Mapping[str, str] | UnitIndex, *, threshold: float = THRESHOLD
) -> list[Similar]:
    """Which of ``new`` are near-identical to ``known`` documents or to new ones before them.

    Args:
        new: Texts by document id.
        known: Texts by document id, or an index of them, which is filled with ``new``.
        threshold: Least share of either document that the other one holds, above 0.

    Returns:
        For each new document in order its pairs, most alike first.
    """
    if isinstance(known, UnitIndex):
        index = known
    else:
        index = UnitIndex()
        for document_id, text in known.items():
            index.add(document_id, text)
    for document_id, text in new.items():
        index.add(document_id, text)
    order = {document_id: number for number, document_id in enumerate(new)}
    return [
        pair
        for document_id in new
        for pair in index.similar_to(document_id, threshold)
        if order.get(pair.other_id, -1) < order[document_id]
    ]


def same_manual(old_text: str, new_text: str) -> float:
    """How much two texts have in common, 0 to 1: twice the shared shingles of three words by those of both.

    Finer than whole sentences: a product's new name or another ending in every sentence leaves most of it. From
    ``SAME_MANUAL`` on an upload of the same file name is a new version, below another document.
    """
    old, new = _shingles(old_text), _shingles(new_text)
    if not old and not new:
        return 1.0
    return 2 * len(old & new) / (len(old) + len(new))


def units_of(passages: Iterable[str]) -> dict[int, int]:
    """Sentences and lines as hashes of 64 bits, with the number of letters and digits in each."""
    found: dict[int, int] = {}
    for passage in passages:
        for piece in _END.split(unicodedata.normalize("NFC", passage).casefold()):
            letters = "".join(filter(str.isalnum, piece))
            if letters:
                digest = hashlib.blake2b(letters.encode(), digest_size=8).digest()
                found[int.from_bytes(digest, "big")] = len(letters)
    return found


def packed(units: Mapping[int, int]) -> bytes:
    """The units as bytes, 12 each, little end first."""
    return np.array(list(units.items()), dtype=_PACKED).tobytes() if units else b""


def unpacked(data: bytes) -> dict[int, int]:
    """What ``packed`` was given."""
    pairs = np.frombuffer(data, dtype=_PACKED)
    return dict(zip(pairs["unit"].tolist(), pairs["size"].tolist(), strict=True))


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = [
        word
        for word in (_MARKS.sub("", word).casefold() for word in unicodedata.normalize("NFC", text).split())
        if word
    ]
    if len(words) < SHINGLE:
        return {tuple(words)} if words else set()
    return {tuple(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1)}
