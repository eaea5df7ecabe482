"""Nearest neighbours among unit vectors that keep coming: exact, then by an inverted file with its recall measured.

Rows are numbered from 0 in the order in which they are added. Knows vectors only; thresholds and texts are the
caller's. Unlike ``VectorIndex`` it is never saved and nothing is removed.
"""

from __future__ import annotations

import faiss
import numpy as np

from retrieval.embedders import Vectors

__all__ = ["NearestVectors"]

#: Vectors per list of the inverted file: 4 * sqrt(n) lists, FAISS's own rule of thumb.
LISTS = 4.0
#: Training vectors per list; FAISS warns below 39 and takes no more than 256.
TRAINING_PER_LIST = 64
#: Rows whose nearest neighbour is looked up both ways to measure recall.
RECALL_SAMPLE = 1000
#: Lists are probed until this share of the sample finds its nearest row.
WANTED_RECALL = 0.97
#: The inverted file is built again when it has grown by this factor.
GROWTH = 4
SEED = 7


class NearestVectors:
    """Vectors of one length, searchable by inner product."""

    def __init__(self, dimension: int, *, exact_limit: int) -> None:
        self._dimension = dimension
        self._exact_limit = exact_limit
        self._flat = faiss.IndexFlatIP(dimension)
        self._inverted: faiss.IndexIVFFlat | None = None
        self._built_at = 0
        self.recall = 1.0

    def __len__(self) -> int:
        return int(self._flat.ntotal if self._inverted is None else self._inverted.ntotal)

    @property
    def exact(self) -> bool:
        """Whether every row is compared."""
        return self._inverted is None

    def add(self, vectors: Vectors) -> None:
        """Add rows, shape (rows, dimension)."""
        if not len(vectors):
            return
        if self._inverted is not None:
            self._inverted.add(np.ascontiguousarray(vectors))
            if len(self) >= GROWTH * self._built_at:
                self._build(self._inverted.reconstruct_n(0, len(self)))
            return
        self._flat.add(np.ascontiguousarray(vectors))
        if len(self) > self._exact_limit:
            self._build(self._flat.reconstruct_n(0, len(self)))
            self._flat = faiss.IndexFlatIP(self._dimension)

    def search(self, vectors: Vectors, k: int) -> list[list[tuple[int, float]]]:
        """For each vector its ``k`` nearest (row, score), best first; equal scores by row."""
        k = min(k, len(self))
        if not k:
            return [[] for _ in vectors]
        index = self._flat if self._inverted is None else self._inverted
        scores, rows = index.search(np.ascontiguousarray(vectors), k)
        return [
            sorted(
                ((int(row), float(score)) for row, score in zip(found, weights, strict=True) if row != -1),
                key=lambda pair: (-pair[1], pair[0]),
            )
            for found, weights in zip(rows, scores, strict=True)
        ]

    def _build(self, vectors: Vectors) -> None:
        """Cluster the vectors, then probe as many lists as the wanted recall needs."""
        count = len(vectors)
        # FAISS refuses more lists than training rows and warns below 39 rows a list.
        lists = max(1, min(int(LISTS * count**0.5), count // 39))
        quantizer = faiss.IndexFlatIP(self._dimension)
        inverted = faiss.IndexIVFFlat(quantizer, self._dimension, lists, faiss.METRIC_INNER_PRODUCT)
        rng = np.random.default_rng(SEED)
        training = rng.choice(count, min(count, lists * TRAINING_PER_LIST), replace=False)
        inverted.cp.seed = SEED
        inverted.train(np.ascontiguousarray(vectors[np.sort(training)]))
        inverted.add(vectors)
        sample = np.sort(rng.choice(count, min(count, RECALL_SAMPLE), replace=False))
        exact = _nearest_other(_flat(vectors), vectors, sample)
        # reconstruct() of an inverted file needs to know where each row went.
        inverted.make_direct_map()
        inverted.nprobe = 1
        while True:
            found = _nearest_other(inverted, vectors, sample)
            self.recall = float(np.mean(found >= exact - 1e-6))
            if self.recall >= WANTED_RECALL or inverted.nprobe >= lists:
                break
            inverted.nprobe = min(2 * inverted.nprobe, lists)
        self._inverted = inverted
        self._built_at = count


def _flat(vectors: Vectors) -> faiss.IndexFlatIP:
    """An exact index over ``vectors``."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index


def _nearest_other(index: faiss.Index, vectors: Vectors, sample: np.ndarray) -> np.ndarray:
    """The score of each sampled row's nearest other row; -1 where none was found."""
    scores, rows = index.search(np.ascontiguousarray(vectors[sample]), 2)
    other = rows != sample[:, None]
    best: np.ndarray = np.where(other & (rows != -1), scores, -1.0).max(axis=1)
    return best
