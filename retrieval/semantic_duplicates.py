"""Near-duplicates by meaning: embeddings in FAISS, one of each pair kept.

Rows come in order of arrival and are asked before they are added, so of two rows that repeat each other the first
stays, never neither. Up to ``EXACT_LIMIT`` kept rows the search is exact; beyond, an inverted file whose recall is
measured on the rows themselves when it is built (``recall``). Grounded rows are compared by question and answer
together, as their wording is.

Use one at a time (``find``, ``add``), or in batches, where the search is one matrix product::

    batch = index.prepare([(question, answer, group_id), ...])
    for number in range(len(batch)):
        if batch.find(number) is None:
            batch.keep(number, key)
    batch.close()
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpora.korean.analyse import content_morphemes_many
from retrieval.embedders import Embedder, Vectors
from retrieval.guards import negation
from retrieval.near_duplicates import DuplicateHit
from retrieval.nearest import NearestVectors

__all__ = ["EXACT_LIMIT", "SemanticBatch", "SemanticDuplicates"]

#: Kept rows up to which every one is compared.
EXACT_LIMIT = 200_000
#: Kept rows looked at first; when all of them are near and opposite in meaning, more are.
NEAREST = 8


@dataclass(frozen=True, slots=True)
class _Row:
    key: str
    text: str
    negated: tuple[tuple[str, int], ...]
    group_id: str | None = None

    def may_repeat(self, other: _Row) -> bool:
        """Whether the two may be one row said twice: no variants of one group, and negated alike."""
        apart = self.group_id is not None and self.group_id == other.group_id
        return not apart and self.negated == other.negated


class SemanticDuplicates:
    """Kept rows, searchable by cosine."""

    def __init__(self, embedder: Embedder, threshold: float | None = None, *, exact_limit: int = EXACT_LIMIT) -> None:
        self.threshold = embedder.semantic_threshold if threshold is None else threshold
        self._embedder = embedder
        self._nearest = NearestVectors(embedder.dimension, exact_limit=exact_limit)
        self._rows: list[_Row] = []

    @property
    def fingerprint(self) -> str:
        """The embedder's."""
        return self._embedder.fingerprint

    @property
    def recall(self) -> float:
        """Share of nearest rows that the search finds: 1 while it is exact, else as measured when it was built."""
        return self._nearest.recall

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, text: str, answer: str | None = None, group_id: str | None = None) -> DuplicateHit | None:
        """The nearest kept row when its cosine is above the threshold, else None."""
        return self.prepare([(text, answer, group_id)]).find(0)

    def add(self, key: str, text: str, answer: str | None = None, group_id: str | None = None) -> None:
        """Keep a row."""
        batch = self.prepare([(text, answer, group_id)])
        batch.keep(0, key)
        batch.close()

    def prepare(self, rows: Sequence[tuple[str, str | None, str | None]]) -> SemanticBatch:
        """The next rows (question, answer or None, group or None), embedded and looked up together.

        One batch at a time is open.
        """
        vectors = self._embedder.embed_pairs([(question, answer) for question, answer, _ in rows])
        marks = [negation(tokens) for tokens in content_morphemes_many([question for question, _, _ in rows])]
        answers = content_morphemes_many([answer for _, answer, _ in rows if answer is not None])
        waiting = []
        for (question, answer, group_id), found in zip(rows, marks, strict=True):
            if answer is not None:
                found.update(negation(next(answers)))
            waiting.append(_Row("", question, tuple(sorted(found.items())), group_id))
        return SemanticBatch(self, waiting, vectors)


class SemanticBatch:
    """Some rows on their way in."""

    def __init__(self, owner: SemanticDuplicates, rows: list[_Row], vectors: Vectors) -> None:
        self._owner = owner
        self._rows = rows
        self._vectors = vectors
        self._found = owner._nearest.search(vectors, NEAREST)
        self._inside = vectors @ vectors.T
        self._kept: list[int] = []

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, number: int) -> DuplicateHit | None:
        """The nearest row kept so far, of this batch too, when its cosine is above the threshold, else None."""
        earlier = self._among_earlier(number)
        inside = self._among_kept(number)
        hits = [hit for hit in (earlier, inside) if hit is not None]
        return max(hits, key=lambda hit: hit.score, default=None)

    def keep(self, number: int, key: str) -> None:
        """Row ``number`` stays, under ``key``."""
        row = self._rows[number]
        self._rows[number] = _Row(key, row.text, row.negated, row.group_id)
        self._kept.append(number)

    def close(self) -> None:
        """Hand the kept rows over."""
        self._owner._rows.extend(self._rows[number] for number in self._kept)
        self._owner._nearest.add(self._vectors[self._kept])
        self._kept = []

    def _among_earlier(self, number: int) -> DuplicateHit | None:
        owner, wanted = self._owner, self._rows[number]
        neighbours = self._found[number]
        while True:
            near = [(row, score) for row, score in neighbours if score > owner.threshold]
            for row, score in near:
                # Near in every vector space and opposite in meaning: not one row said twice.
                if owner._rows[row].may_repeat(wanted):
                    return DuplicateHit(key=owner._rows[row].key, question=owner._rows[row].text, score=score)
            if len(near) < len(neighbours) or len(neighbours) == len(owner._nearest):
                return None
            deeper = min(4 * len(neighbours), len(owner._nearest))
            neighbours = owner._nearest.search(self._vectors[number : number + 1], deeper)[0]
            if len(neighbours) < deeper:
                return None

    def _among_kept(self, number: int) -> DuplicateHit | None:
        wanted = self._rows[number]
        same = [other for other in self._kept if self._rows[other].may_repeat(wanted)]
        if not same:
            return None
        best = same[int(np.argmax(self._inside[number, same]))]
        score = float(self._inside[number, best])
        if score <= self._owner.threshold:
            return None
        return DuplicateHit(key=self._rows[best].key, question=self._rows[best].text, score=score)
