"""The index of one corpus: its chunks by meaning and by words, under the numbers that the store gives them.

Two halves over the same rows: vectors (``VectorIndex``) and inverted lists (``LexicalIndex``). On disk they are one
folder that is there whole or not at all. Knows texts and numbers, not chunks, documents or where the folder lies::

    index = CorpusIndex.empty(embedder)
    index.add([7, 9], ["반품은 7일 안에 접수합니다.", "출고는 오후 3시에 마감합니다."], embedder)
    best = index.search("반품 기한", 5, embedder)
    index.save(folder)

The store is the truth and this is a cache of it: every ``BrokenIndexError`` is answered by building it again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from retrieval.embedders import Embedder, Vectors
from retrieval.index.diversity import diversified
from retrieval.index.files import BrokenIndexError, Manifest, content_hash, open_sealed, seal, whole_folder
from retrieval.index.hybrid import mix
from retrieval.index.inverted import Choice
from retrieval.index.lexical import LexicalIndex, LexicalScores
from retrieval.index.vectors import VectorIndex

__all__ = ["CorpusIndex", "Mode", "Scored"]

Mode = Literal["hybrid", "dense", "lexical"]

VECTORS, LEXICAL = "vectors.faiss", "lexical.npz"
#: Texts that are embedded at a time: bounds the memory of an addition.
BATCH = 2_000
#: Hits among which those that differ are chosen, at least and for each that is wanted.
DIVERSE_AMONG, DIVERSE_EACH = 50, 5
#: Best rows of each half that are mixed where cosines with all rows are too dear, at least and for each wanted.
CANDIDATES, CANDIDATES_EACH = 200, 10
#: Stored rows whose cosines stand for those of all rows then: the mean is right to 2 % of a standard deviation.
SAMPLE = 2_000
SEED = 7

Ids = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """One row that was found."""

    number: int  #: Its id.
    score: float  #: What it is ranked by: the cosine (dense) or a sum of standardised scores, which may be negative.
    dense: float | None  #: Cosine with the query; None in the lexical mode.
    lexical: (
        float | None
    )  #: BM25 over morphemes and over n-grams, added; 0 without a common one; None in the dense mode.


class CorpusIndex:
    """Both halves over the same rows. One thread writes, and nobody searches beside it; any number may search."""

    def __init__(self, vectors: VectorIndex, lexical: LexicalIndex, fingerprint: str) -> None:
        self._vectors = vectors
        self._lexical = lexical
        self._fingerprint = fingerprint
        self._sample: Vectors | None = None

    @classmethod
    def empty(cls, embedder: Embedder) -> CorpusIndex:
        """An index without rows, for vectors of this embedder."""
        return cls(VectorIndex(embedder.dimension), LexicalIndex(), embedder.fingerprint)

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def fingerprint(self) -> str:
        """Of the embedder that made the vectors."""
        return self._fingerprint

    @property
    def choice(self) -> Choice:
        """How vectors are searched, and with which recall."""
        return self._vectors.choice

    def ids(self) -> set[int]:
        """Every id."""
        return set(self._vectors.ids())

    def add(self, ids: Sequence[int], texts: Sequence[str], embedder: Embedder) -> None:
        """Add texts under new ids; both halves have them afterwards, or neither where something fails.

        Raises:
            ValueError: an id is there already or stands twice, there are not as many texts as ids, or the embedder is
                not the one of this index.
        """
        self._require(embedder)
        # Before anything else: it refuses ids that are there, which the cleaning up below must not remove.
        self._lexical.add(ids, texts)
        self._sample = None
        try:
            for start in range(0, len(ids), BATCH):
                vectors = embedder.embed(texts[start : start + BATCH])
                self._vectors.add(ids[start : start + BATCH], vectors, settle=False)
            self._vectors.settle()
        except BaseException:
            self.remove(ids)
            raise

    def remove(self, ids: Sequence[int]) -> int:
        """Remove ids; returns how many were there."""
        self._sample = None
        self._vectors.remove(ids)
        return self._lexical.remove(ids)

    def search(
        self,
        query: str,
        k: int,
        embedder: Embedder,
        *,
        mode: Mode = "hybrid",
        allowed: Collection[int] | None = None,
        diversity: float | None = None,
    ) -> list[Scored]:
        """At most ``k`` rows, best first, equal ones by id; what shares nothing with the query is no hit.

        Args:
            query: The question.
            k: How many.
            embedder: The one of this index.
            mode: By words and meaning, by meaning, or by words.
            allowed: Only these rows; scores are what they are without it.
            diversity: From 0 (by score alone) to 1; how much rows that say the same are pushed back
                (maximal marginal relevance). The order is then that of the choice, not of the score.

        Raises:
            ValueError: the embedder is not the one of this index, or ``diversity`` is outside 0 to 1.
        """
        self._require(embedder)
        if k <= 0 or not len(self):
            return []
        wanted = k if diversity is None else max(DIVERSE_AMONG, DIVERSE_EACH * k)
        vector = None if mode == "lexical" else embedder.embed_queries([query])[0]
        if mode == "dense":
            found = self._vectors.search(vector, wanted, allowed) if vector is not None else []
            hits = [Scored(number=i, score=score, dense=score, lexical=None) for i, score in found if score > 0]
        else:
            hits = self._mixed(query, vector, wanted, allowed, by_words=embedder.by_words)
        if diversity is None:
            return hits
        rows = self._vectors.vectors([hit.number for hit in hits])
        scores = np.array([hit.score for hit in hits], dtype=np.float32)
        return [hits[place] for place in diversified(scores, rows, k, diversity)]

    def _mixed(
        self, query: str, vector: Vectors | None, k: int, allowed: Collection[int] | None, *, by_words: bool
    ) -> list[Scored]:
        """By words, and by meaning too where there is a vector."""
        lexical = self._lexical.scores(query)
        inside = None if allowed is None else np.isin(lexical.ids, np.fromiter(allowed, dtype=np.int64))
        dense = None
        if vector is not None and self._vectors.exact:
            dense = self._aligned(self._vectors.all_scores(vector), lexical.ids)
        elif vector is not None:
            dense, near = self._estimated(vector, lexical, k, inside)
            inside = near if inside is None else inside & near
        scores = mix(lexical, dense, by_words=by_words)
        if inside is not None:
            scores = np.where(inside, scores, -np.inf).astype(np.float32)
        best = _best(scores, lexical.ids, k)
        ids = lexical.ids[best]
        cosines = None if vector is None else self._vectors.scores(vector, ids)
        return [
            Scored(
                number=int(ids[place]),
                score=float(scores[row]),
                dense=None if cosines is None else float(cosines[place]),
                lexical=float(lexical.bm25[row]) + float(lexical.grams[row]),
            )
            for place, row in enumerate(best)
        ]

    def _estimated(
        self, vector: Vectors, lexical: LexicalScores, k: int, inside: NDArray[np.bool_] | None
    ) -> tuple[Vectors, NDArray[np.bool_]]:
        """Cosines where only those of candidates are known, and which rows are candidates.

        The best of each half are candidates. The others get the cosines of a fixed sample of stored rows in turn, so
        that the mix standardises by the mean and spread of all rows; they are no hits.
        """
        count = max(CANDIDATES, CANDIDATES_EACH * k)
        words = mix(lexical, None)
        if inside is not None:
            words = np.where(inside, words, -np.inf).astype(np.float32)
        only = None if inside is None else lexical.ids[inside].tolist()
        near = np.isin(lexical.ids, [number for number, _ in self._vectors.search(vector, count, only)])
        near[_best(words, lexical.ids, count)] = True
        dense = np.resize(self._sampled() @ vector, len(lexical.ids))
        dense[near] = self._vectors.scores(vector, lexical.ids[near])
        return dense, near

    def _sampled(self) -> Vectors:
        sample = self._sample
        if sample is None:
            ids = np.sort(self._vectors.id_array())
            chosen = np.random.default_rng(SEED).choice(ids, min(SAMPLE, len(ids)), replace=False)
            sample = self._sample = self._vectors.vectors(chosen)
        return sample

    def _aligned(self, scores: Vectors, ids: Ids) -> Vectors:
        """Scores in the order of the vectors, put into the order of ``ids``."""
        own = self._vectors.id_array()
        if np.array_equal(own, ids):
            return scores
        order = np.argsort(own)
        aligned: Vectors = scores[order[np.searchsorted(own, ids, sorter=order)]]
        return aligned

    def _require(self, embedder: Embedder) -> None:
        if embedder.fingerprint != self._fingerprint:
            raise ValueError(f"The index is of {self._fingerprint}, the embedder is {embedder.fingerprint}.")

    def save(self, folder: Path) -> None:
        """Write the folder; it appears whole or not at all, and replaces one of its name."""
        manifest = Manifest(
            fingerprint=self._fingerprint,
            dimension=self._vectors.dimension,
            count=len(self),
            content=content_hash(self._vectors.id_array()),
            vectors=dataclasses.asdict(self._vectors.choice),
        )
        with whole_folder(folder) as temporary:
            self._vectors.write(temporary / VECTORS)
            self._vectors.write_columns(temporary)
            self._lexical.save(temporary / LEXICAL)
            seal(temporary, manifest)

    @classmethod
    def load(cls, folder: Path, embedder: Embedder) -> CorpusIndex:
        """The index in ``folder``, which must have been made with this embedder; nothing may change in it afterwards.

        Raises:
            BrokenIndexError: fingerprint, dimension, ids, a size or a hash differ, or something is missing.
        """
        manifest = open_sealed(folder)
        for what, found, expected in (
            ("embedder", manifest.fingerprint, embedder.fingerprint),
            ("dimension", manifest.dimension, embedder.dimension),
        ):
            if found != expected:
                raise BrokenIndexError(f"{folder} is of another {what}: {found} instead of {expected}.")
        vectors = VectorIndex.load(folder / VECTORS, Choice(**manifest.vectors), mapped=True)
        lexical = LexicalIndex.load(folder / LEXICAL)
        ids = vectors.id_array()
        for what, found, expected in (
            ("dimension", vectors.dimension, manifest.dimension),
            ("count", len(ids), manifest.count),
            ("count of the lexical half", len(lexical), manifest.count),
            ("content", content_hash(ids), manifest.content),
            ("content of the lexical half", content_hash(lexical.ids()), manifest.content),
        ):
            if found != expected:
                raise BrokenIndexError(f"{folder} has another {what}: {found} instead of {expected}.")
        return cls(vectors, lexical, manifest.fingerprint)


def _best(scores: NDArray[np.float32], ids: Ids, k: int) -> Ids:
    """Places of the at most ``k`` greatest finite scores, best first, equal ones by id."""
    places = np.flatnonzero(np.isfinite(scores))
    if len(places) > k:
        least = np.partition(scores[places], -k)[-k]
        places = places[scores[places] >= least]
    found: Ids = places[np.lexsort((ids[places], -scores[places]))][:k]
    return found
