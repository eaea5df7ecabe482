"""Neighbours: exact below the limit, with measured recall above it, the same rows either way."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.embedders import Vectors
from retrieval.nearest import NearestVectors


def clustered(count: int, dimension: int = 32, seed: int = 1) -> Vectors:
    """Unit vectors in clumps, as texts are."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(50, dimension))
    rows = centres[rng.integers(0, 50, count)] + 0.4 * rng.normal(size=(count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def brute(vectors: Vectors, query: Vectors, k: int) -> list[int]:
    return [int(n) for n in np.argsort(-(vectors @ query), kind="stable")[:k]]


def test_exact_below_the_limit() -> None:
    rows, index = clustered(500), NearestVectors(32, exact_limit=1000)
    for start in range(0, 500, 90):
        index.add(rows[start : start + 90])
    assert index.exact
    assert index.recall == 1.0
    for query in rows[::50]:
        assert [row for row, _ in index.search(query.reshape(1, -1), 5)[0]] == brute(rows, query, 5)


def test_above_the_limit_recall_is_measured_and_true() -> None:
    rows, index = clustered(6000), NearestVectors(32, exact_limit=2000)
    for start in range(0, 6000, 500):
        index.add(rows[start : start + 500])
    assert not index.exact
    assert len(index) == 6000
    assert 0.95 <= index.recall <= 1.0
    found = index.search(rows, 2)
    # An independent count over all rows: the nearest other row, by brute force.
    similar = rows @ rows.T
    np.fill_diagonal(similar, -1)
    best = similar.max(axis=1)
    hits = [
        max((score for row, score in neighbours if row != number), default=-1.0) >= best[number] - 1e-5
        for number, neighbours in enumerate(found)
    ]
    assert np.mean(hits) >= 0.93


def test_empty() -> None:
    index = NearestVectors(8, exact_limit=10)
    assert index.search(np.zeros((2, 8), dtype=np.float32), 3) == [[], []]
    index.add(np.zeros((0, 8), dtype=np.float32))
    assert len(index) == 0


@pytest.mark.parametrize("limit", [5, 1000])
def test_equal_scores_come_by_row(limit: int) -> None:
    row = clustered(1)
    index = NearestVectors(32, exact_limit=limit)
    index.add(np.repeat(row, 6, axis=0))
    assert [number for number, _ in index.search(row, 6)[0]] == [0, 1, 2, 3, 4, 5]
