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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from corpora.korean.analyse import content_morphemes_many
from retrieval.arguments import exchanged
from retrieval.embedders import Embedder, Vectors
from retrieval.guards import negation
from retrieval.near_duplicates import DuplicateHit
from retrieval.nearest import NearestVectors
from retrieval.predicates import opposed

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
        """Whether the two may be one row said twice: no variants of one group, negated alike, no opposites.

        What is near in every vector space and says something else: 켜다/끄다, A에서 B로/B에서 A로.
        """
        if (self.group_id is not None and self.group_id == other.group_id) or self.negated != other.negated:
            return False
        return not opposed(self.text, other.text) and not exchanged(self.text, other.text)


class SemanticDuplicates:
    """Kept rows, searchable by cosine."""

    def __init__(self, embedder: Embedder, threshold: float | None = None, *, exact_limit: int = EXACT_LIMIT) -> None:
        self.threshold = embedder.semantic_threshold if threshold is None else threshold
        self.embedder = embedder
        self._nearest = NearestVectors(embedder.dimension, exact_limit=exact_limit)
        self._rows: list[_Row] = []

    @property
    def fingerprint(self) -> str:
        """The embedder's."""
        return self.embedder.fingerprint

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
        vectors = self.embedder.embed_pairs([(question, answer) for question, answer, _ in rows])
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

    def near(self, number: int) -> Iterator[int]:
        """The place, in order of keeping, of every row kept so far whose cosine is above the threshold."""
        yield from (row for row, _ in self._near_earlier(number))
        kept = len(self._owner._rows)
        yield from (kept + place for place, _ in self._near_kept(number))

    def _near_earlier(self, number: int) -> Iterator[tuple[int, float]]:
        """Kept rows of earlier batches that the row repeats, nearest first."""
        owner, wanted = self._owner, self._rows[number]
        neighbours, seen = self._found[number], 0
        while True:
            near = [(row, score) for row, score in neighbours if score > owner.threshold]
            for row, score in near[seen:]:
                if owner._rows[row].may_repeat(wanted):
                    yield row, score
            if len(near) < len(neighbours) or len(neighbours) == len(owner._nearest):
                return
            seen = len(neighbours)
            deeper = min(4 * len(neighbours), len(owner._nearest))
            neighbours = owner._nearest.search(self._vectors[number : number + 1], deeper)[0]
            if len(neighbours) < deeper:
                return

    def _near_kept(self, number: int) -> Iterator[tuple[int, float]]:
        """Places, among the kept rows of this batch, of those that the row repeats, nearest first."""
        wanted = self._rows[number]
        scores = self._inside[number, self._kept]
        near = np.flatnonzero(scores > self._owner.threshold)
        for place in near[np.argsort(-scores[near], kind="stable")]:
            if self._rows[self._kept[place]].may_repeat(wanted):
                yield int(place), float(scores[place])

    def _among_earlier(self, number: int) -> DuplicateHit | None:
        for row, score in self._near_earlier(number):
            kept = self._owner._rows[row]
            return DuplicateHit(key=kept.key, question=kept.text, score=score)
        return None

    def _among_kept(self, number: int) -> DuplicateHit | None:
        for place, score in self._near_kept(number):
            row = self._rows[self._kept[place]]
            return DuplicateHit(key=row.key, question=row.text, score=score)
        return None
