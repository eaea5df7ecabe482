"""Sparse rows by columns: the same scores as the rows themselves, and files that must fit them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.embedders import Vectors
from retrieval.index import columns
from retrieval.index.columns import Columns, write_columns
from retrieval.index.files import BrokenIndexError
from retrieval.index.vectors import VectorIndex

DIMENSION = 32


def sparse(count: int, entries: int, seed: int = 3) -> Vectors:
    """Unit rows of about ``entries`` components; the first two are equal, the third is nothing but zeros."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((count, DIMENSION), dtype=np.float32)
    for row in rows:
        places = rng.choice(DIMENSION, entries, replace=False)
        row[places] = rng.normal(size=entries)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[1], rows[2] = rows[0], 0
    return rows


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "FEWEST", 10)
    # More rows than one block holds.
    monkeypatch.setattr(columns, "ROWS", 16)


@settings(max_examples=40, deadline=None)
@given(count=st.integers(10, 60), entries=st.integers(1, 16), seed=st.integers(0, 99))
def test_scores_are_those_of_the_rows(
    tmp_path_factory: pytest.TempPathFactory, count: int, entries: int, seed: int
) -> None:
    folder, rows = tmp_path_factory.mktemp("columns"), sparse(count, entries, seed)
    assert write_columns(folder, rows)
    read = Columns.load(folder, count, DIMENSION)
    assert read is not None
    for query in (sparse(10, 2, seed + 1)[0], rows[0], np.zeros(DIMENSION, dtype=np.float32)):
        scores = read.scores(query)
        assert scores.dtype == np.float32
        assert np.allclose(scores, rows @ query, atol=1e-6)
        assert scores[0] == scores[1]
        assert scores[2] == 0


def test_what_would_not_pay_is_not_written_and_not_read(tmp_path: Path) -> None:
    rows = sparse(40, 8)
    assert not write_columns(tmp_path, rows[:9])
    assert not write_columns(tmp_path, sparse(40, 20))
    assert list(tmp_path.iterdir()) == []
    assert Columns.load(tmp_path, 40, DIMENSION) is None
    assert write_columns(tmp_path, rows)
    read = Columns.load(tmp_path, 40, DIMENSION)
    assert read is not None
    assert read.pays(np.eye(DIMENSION, dtype=np.float32)[4])
    assert not read.pays(np.ones(DIMENSION, dtype=np.float32))


def test_columns_of_other_rows_are_refused(tmp_path: Path) -> None:
    write_columns(tmp_path, sparse(40, 8))
    with pytest.raises(BrokenIndexError, match="other rows"):
        Columns.load(tmp_path, 40, DIMENSION + 1)
    (tmp_path / columns.VALUES).write_bytes(b"")
    with pytest.raises(BrokenIndexError, match="cannot be read"):
        Columns.load(tmp_path, 40, DIMENSION)


def test_an_index_searches_the_same_with_and_without_them(tmp_path: Path) -> None:
    rows, ids = sparse(60, 6), list(range(100, 160))
    index = VectorIndex(DIMENSION)
    index.add(ids, rows)
    index.write(tmp_path / "vectors.faiss")
    index.write_columns(tmp_path)
    mapped = VectorIndex.load(tmp_path / "vectors.faiss", mapped=True)
    query = sparse(10, 2, 8)[0]
    for allowed in (None, ids[::2], ids[:3]):
        assert mapped.search(query, 7, allowed) == index.search(query, 7, allowed)
    assert np.allclose(mapped.all_scores(query), index.all_scores(query), atol=1e-6)
    # They belong to the rows that were written, and to no others.
    mapped.add([7], rows[:1])
    assert len(mapped.all_scores(query)) == 61
    assert mapped.search(rows[0], 3)[0][0] == 7
