"""When vectors are compared one by one and when by an inverted file: the choice, its parameters and its recall.

Knows FAISS and numpy, no file and no text. ``VectorIndex`` asks ``inverted`` for the faster index whenever it has
grown, and keeps comparing every row where the answer is no.

Removal parts the kinds: HNSW has none. An inverted file inside ``IndexIDMap2`` gave another id for every row after a
removal (2,900 of 2,900, FAISS 1.15.1), so it holds the ids itself, with a hash table from id to place (40 bytes a
row), which ``vector`` needs too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.embedders import Vectors

__all__ = ["EXACT_LIMIT", "GROWTH", "Choice", "inverted", "listed_ids", "nearest_in_lists"]

#: Rows up to which every row is compared. Two cores, 1,024 dimensions: 50,000 rows take about 10 ms exactly (20 ms of
#: CPU time), 100,000 take 20 ms. Below that, training (3 s, mostly) buys milliseconds.
EXACT_LIMIT = 50_000
#: The choice is made again when the index has grown by this factor: training costs seconds, too few lists cost more.
GROWTH = 2
#: sqrt(n) lists. Four times as many train ten times as long (50,000 rows: 31 s against 3 s) and find no more at the
#: same number of compared rows.
LISTS = 1.0
#: Rounds of k-means; FAISS's 25 train two and a half times as long, and the recall is measured in any case.
ROUNDS = 10
#: Training vectors per list; FAISS warns below 39.
TRAINING_PER_LIST = 64
#: An inverted file reads rows at about an eighth of the speed of the exact scan (one core, scattered), so it has to
#: leave out much more than 7 of 8. Vectors of the weightless embedder have no clusters: recall 0.95 took more than
#: half of the lists, at 50,000 rows 49 ms against 10 ms exactly. They stay exact. Clumped ones took 1 list of 223.
LARGEST_SHARE = 1 / 16
#: Share of the ten nearest that is found, measured with rows of the index itself. Questions are farther from their
#: passages than passages from one another, so more is asked here than the 0.95 that questions are to get.
WANTED_RECALL = 0.97
NEAREST = 10
#: Filters that leave at most this many rows are searched exactly.
EXACT_FILTER = 10_000
SAMPLE = 200
SEED = 7
#: The library's type hints leave out what its SWIG layer adds.
_FAISS: Any = faiss


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """How an index is searched."""

    kind: Literal["flat", "ivf"] = "flat"  #: Every row, or the rows of the nearest lists.
    lists: int = 0  #: Of the inverted file.
    probes: int = 0  #: Lists that one search reads.
    recall: float = 1.0  #: Share of the ten nearest others that was found for a sample of rows.
    decided_at: int = 0  #: Rows at the time; 0 while there have never been enough to ask.


def inverted(vectors: Vectors, ids: NDArray[np.int64]) -> tuple[faiss.IndexIVFFlat | None, Choice]:
    """An inverted file over unit rows of shape (n, dimension); None where it would have to read too many lists."""
    count, dimension = vectors.shape
    lists = max(1, int(LISTS * count**0.5))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dimension), dimension, lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed, index.cp.niter = SEED, ROUNDS
    rng = np.random.default_rng(SEED)
    training = np.sort(rng.choice(count, min(count, lists * TRAINING_PER_LIST), replace=False))
    index.train(np.ascontiguousarray(vectors[training]))
    # Before the rows come: it is filled as they are added.
    index.set_direct_map_type(_FAISS.DirectMap.Hashtable)
    index.add_with_ids(vectors, ids)
    sample = np.sort(rng.choice(count, min(count, SAMPLE), replace=False))
    questions, own = np.ascontiguousarray(vectors[sample]), ids[sample]
    exact, places = faiss.knn(questions, vectors, NEAREST + 1, metric=faiss.METRIC_INNER_PRODUCT)
    # The row itself is always found; the last of the ten others is the score to reach, so that ties count as found.
    others = np.where(ids[places] == own[:, None], -np.inf, exact)
    least = np.sort(others, axis=1)[:, 1] - 1e-6
    probes = 1
    while probes <= max(1, int(LARGEST_SHARE * lists)):
        index.nprobe = probes
        scores, found = index.search(questions, NEAREST + 1)
        near = (scores >= least[:, None]) & (found != -1) & (found != own[:, None])
        recall = float(np.minimum(near.sum(axis=1), NEAREST).mean() / NEAREST)
        if recall >= WANTED_RECALL:
            return index, Choice(kind="ivf", lists=lists, probes=probes, recall=round(recall, 4), decided_at=count)
        probes *= 2
    return None, Choice(decided_at=count)


def nearest_in_lists(
    index: faiss.IndexIVFFlat, query: Vectors, wanted: int, only: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], Vectors]:
    """Ids and scores of the ``wanted`` nearest, best first; there must be as many (among ``only``, if given)."""
    probes, lists, selector = index.nprobe, index.nlist, None
    if only is not None:
        selector = faiss.IDSelectorBatch(only)
        # As many rows are compared as without a filter.
        probes = lists if len(only) <= EXACT_FILTER else min(lists, -(-probes * index.ntotal // len(only)))
    while True:
        parameters = _FAISS.SearchParametersIVF(sel=selector, nprobe=probes)
        scores, ids = index.search(query[None], wanted, params=parameters)
        if probes == lists or ids[0, -1] != -1:
            return ids[0], scores[0]
        # The lists that were read hold fewer rows than were asked for.
        probes = min(2 * probes, lists)


def listed_ids(index: faiss.IndexIVFFlat) -> NDArray[np.int64]:
    """Every id, list by list."""
    lists: Any = index.invlists
    sizes = [lists.list_size(number) for number in range(lists.nlist)]
    parts = [faiss.rev_swig_ptr(lists.get_ids(number), size) for number, size in enumerate(sizes) if size]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
