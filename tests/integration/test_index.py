"""The FAISS index: removal, atomic files, and files that are broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from corpora.records import Chunk
from retrieval.embedders import HashedEmbedder
from retrieval.index import BrokenIndexError, VectorIndex
from retrieval.retriever import Retriever


def vectors(count: int, dimension: int = 16) -> np.ndarray:
    found = np.random.default_rng(7).normal(size=(count, dimension)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_search_and_removal() -> None:
    index, rows = VectorIndex(16), vectors(50)
    index.add(range(100, 150), rows)
    assert index.search(rows[7], 3)[0][0] == 107
    assert index.search(rows[7], 500)[0][1] == pytest.approx(1)
    assert len(index.search(rows[7], 500)) == 50
    assert index.remove([107, 9999]) == 1
    assert 107 not in [i for i, _ in index.search(rows[7], 50)]
    assert sorted(index.ids()) == [i for i in range(100, 150) if i != 107]
    assert VectorIndex(16).search(rows[0], 3) == []


def test_equal_scores_come_by_id() -> None:
    index, row = VectorIndex(16), vectors(1)
    index.add([9, 3, 5], np.repeat(row, 3, axis=0))
    assert [i for i, _ in index.search(row[0], 3)] == [3, 5, 9]


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    index, rows = VectorIndex(16), vectors(20)
    index.add(range(20), rows)
    path = tmp_path / "색인" / "1.faiss"
    index.save(path)
    assert [entry.name for entry in path.parent.iterdir()] == ["1.faiss"]
    assert VectorIndex.load(path).search(rows[3], 5) == index.search(rows[3], 5)
    whole = path.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(BrokenIndexError) as caught:
            VectorIndex.load(path)
        assert "Delete the file" in caught.value.hint
    with pytest.raises(BrokenIndexError):
        VectorIndex.load(tmp_path / "none.faiss")


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = VectorIndex(16)
    index.add([1], vectors(1))
    path = tmp_path / "1.faiss"
    index.save(path)
    before = path.read_bytes()
    index.add([2], vectors(1))

    def full(_handle: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("retrieval.index.os.fsync", full)
    with pytest.raises(OSError, match="disk full"):
        index.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_retriever_drops_hits_that_are_gone() -> None:
    chunks = [
        Chunk(id=f"chunk_{i}", document_id=f"doc_{i % 2}", index=i, text=text, start=0, end=len(text))
        for i, text in enumerate(["입고 예정을 등록합니다.", "입고 예정을 취소합니다.", "반품을 검수합니다."])
    ]
    retriever = Retriever.build(chunks, HashedEmbedder.fit([c.text for c in chunks]))
    assert retriever.search("입고 예정을 등록", 1)[0].chunk is chunks[0]
    found = retriever.search("입고 예정을 등록", 5, exclude_documents=frozenset({"doc_0"}))
    assert [hit.chunk.id for hit in found] == ["chunk_1"]
    assert chunks[0] not in [hit.chunk for hit in retriever.neighbours(chunks[0], 2)]
