"""Near-duplicates by meaning: embeddings in FAISS, one of each pair kept.

Rows are asked and added one at a time, so of two rows that repeat each other the first stays. Grounded rows are
compared by question and answer together, as their wording is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from corpora.korean.analyse import content_morphemes
from retrieval.embedders import Embedder
from retrieval.guards import negation
from retrieval.index import VectorIndex
from retrieval.near_duplicates import DuplicateHit

__all__ = ["SemanticDuplicates"]

#: Kept rows looked at: the nearest may differ by a negation while the next does not.
NEAREST = 8


@dataclass(frozen=True, slots=True)
class _Row:
    key: str
    text: str
    negated: Counter[str]


class SemanticDuplicates:
    """Kept rows, searchable by cosine."""

    def __init__(self, embedder: Embedder, threshold: float | None = None) -> None:
        self.threshold = embedder.semantic_threshold if threshold is None else threshold
        self._embedder = embedder
        self._index = VectorIndex(embedder.dimension)
        self._rows: list[_Row] = []

    @property
    def fingerprint(self) -> str:
        """The embedder's."""
        return self._embedder.fingerprint

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, text: str) -> DuplicateHit | None:
        """The nearest kept row when its cosine is above the threshold, else None."""
        negated = negation(content_morphemes(text))
        for number, score in self._index.search(self._embedder.embed([text])[0], NEAREST):
            if score <= self.threshold:
                return None
            row = self._rows[number]
            # Near in every vector space and opposite in meaning: not one row said twice.
            if row.negated == negated:
                return DuplicateHit(key=row.key, question=row.text, score=score)
        return None

    def add(self, key: str, text: str) -> None:
        """Keep a row."""
        self._index.add([len(self._rows)], self._embedder.embed([text]))
        self._rows.append(_Row(key, text, negation(content_morphemes(text))))
