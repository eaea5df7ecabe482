"""Vectors under ids: what a search finds is what comparing every row finds, after any additions and removals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from numpy.typing import NDArray

from retrieval.embedders import Vectors
from retrieval.index import VectorIndex

DIMENSION = 16
#: So few that the machine crosses it in both directions.
LIMIT = 64


def whole(count: int, seed: int) -> Vectors:
    """Rows of small whole numbers around eight centres: their products are exact in every order of summing."""
    rng = np.random.default_rng(seed)
    rows = 6 * np.eye(DIMENSION)[rng.integers(0, 8, count)] + rng.integers(-1, 2, (count, DIMENSION))
    return rows.astype(np.float32)


def clumps(count: int, dimension: int = 32, seed: int = 3) -> Vectors:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(40, dimension))[rng.integers(0, 40, count)] + 0.5 * rng.normal(size=(count, dimension))
    unit: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def brute(ids: NDArray[np.int64], rows: Vectors, query: Vectors, k: int) -> list[tuple[int, float]]:
    scores = rows @ query
    return sorted(zip(ids.tolist(), scores.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))[:k]


class Searches(RuleBasedStateMachine):
    """The index beside a dictionary of the same rows."""

    def __init__(self) -> None:
        super().__init__()
        self.index = VectorIndex(DIMENSION, exact_limit=LIMIT)
        self.rows: dict[int, Vectors] = {}

    @rule(count=st.integers(0, 50), seed=st.integers(0, 99))
    def add(self, count: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        ids = [int(i) for i in rng.permutation(10_000)[:count] if int(i) not in self.rows]
        rows = whole(len(ids), seed)
        self.index.add(ids, rows)
        self.rows.update(zip(ids, rows, strict=True))

    @rule(share=st.floats(0, 1), seed=st.integers(0, 99))
    def remove(self, share: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        ids = [i for i in sorted(self.rows) if rng.random() < share]
        assert self.index.remove([*ids, 20_000]) == len(ids)
        for number in ids:
            del self.rows[number]

    @rule(seed=st.integers(0, 99), k=st.integers(0, 120), share=st.sampled_from([0.05, 0.3, 1.0]))
    def search(self, seed: int, k: int, share: float) -> None:
        query = whole(1, seed)[0]
        rng = np.random.default_rng(seed)
        allowed = {i for i in self.rows if rng.random() < share} | {30_000}
        ids = np.array(sorted(allowed & self.rows.keys()), dtype=np.int64)
        rows = np.array([self.rows[i] for i in ids]).reshape(-1, DIMENSION)
        # Filters of so few rows are searched exactly by an inverted file, too.
        assert self.index.search(query, k, allowed) == brute(ids, rows, query, k)
        if self.index.exact and share == 1.0:
            assert self.index.search(query, k) == brute(ids, rows, query, k)
        assert self.index.scores(query, ids).tolist() == (rows @ query).tolist()

    @invariant()
    def same_rows(self) -> None:
        assert len(self.index) == len(self.rows)
        assert sorted(self.index.ids()) == sorted(self.rows)
        for number in list(self.rows)[:3]:
            found = self.index.vector(number)
            assert found is not None
            assert found.tolist() == self.rows[number].tolist()
        assert self.index.vector(20_000) is None


Searches.TestCase.settings = settings(max_examples=10, stateful_step_count=12, deadline=None)
TestSearches = Searches.TestCase


def test_an_inverted_file_takes_over_where_it_finds_what_is_there() -> None:
    rows = clumps(4000)
    index = VectorIndex(32, exact_limit=1000)
    index.add(range(4000), rows)
    assert not index.exact
    assert index.choice.recall >= 0.97
    assert index.choice.probes <= index.choice.lists / 16
    exact = VectorIndex(32)
    exact.add(range(4000), rows)
    found = [len({i for i, _ in index.search(q, 10)} & {i for i, _ in exact.search(q, 10)}) for q in clumps(200)]
    assert sum(found) >= 0.95 * 2000
    assert len(index.search(rows[0], 4000)) == 4000
    assert index.remove(range(3600)) == 3600
    assert index.exact
    exact.remove(range(3600))
    assert index.search(rows[3700], 400) == exact.search(rows[3700], 400)


def test_rows_without_clusters_stay_exact_and_are_not_tried_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(1).normal(size=(3000, 64)).astype(np.float32)
    index = VectorIndex(64, exact_limit=1000)
    index.add(range(1500), rows[:1500])
    assert index.exact
    assert index.choice.decided_at == 1500

    def never(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("retrieval.index.vectors.inverted", never)
    index.add(range(1500, 2999), rows[1500:2999])
    with pytest.raises(AssertionError, match="trained again"):
        index.add([2999], rows[2999:])


def test_equal_rows_come_by_id_wherever_they_lie() -> None:
    rows = clumps(500, dimension=37)
    rows[::7] = rows[0]
    index = VectorIndex(37)
    index.add(range(1000, 500, -1), rows)
    found = index.search(rows[0], 20)
    assert [i for i, _ in found] == sorted(1000 - at for at in range(0, 500, 7))[:20]
    assert len({score for _, score in found}) == 1


def test_an_id_is_added_once() -> None:
    index = VectorIndex(32)
    index.add([1, 2], clumps(2))
    for ids in ([2], [3, 3]):
        with pytest.raises(ValueError, match="already"):
            index.add(ids, clumps(len(ids)))
    with pytest.raises(ValueError, match="shape"):
        index.add([5], clumps(2))
    assert index.ids() == [1, 2]


def test_a_query_without_content_finds_the_first_ids() -> None:
    index = VectorIndex(32)
    index.add([9, 4, 6], clumps(3))
    assert index.search(np.zeros(32, dtype=np.float32), 2) == [(4, 0.0), (6, 0.0)]
    assert index.search(clumps(1)[0], 2, allowed=[]) == []
    with pytest.raises(KeyError, match="77"):
        index.scores(clumps(1)[0], [4, 77])
