"""The index on disk: files and folders that are whole or not there, and everything broken is said to be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from corpora.records import Chunk
from retrieval.embedders import HashedEmbedder, Vectors
from retrieval.index import BrokenIndexError, CorpusIndex, VectorIndex
from retrieval.index.files import Manifest, open_sealed, seal, whole_folder
from retrieval.index.lexical import LexicalIndex
from retrieval.retriever import Retriever

TEXTS = ["입고 예정을 등록합니다.", "출고를 마감합니다.", "반품을 검수합니다."]
#: Saves generations of two contents under one name in a child that is killed at a random moment, again and again;
#: prints what was found after each kill.
KILLS = """
import os, random, signal, sys, time
from pathlib import Path
import numpy as np
from retrieval.index.files import MANIFEST, Manifest, open_sealed, seal, whole_folder
from retrieval.index.vectors import VectorIndex

folder, kills = Path(sys.argv[1]), int(sys.argv[2])
rng = np.random.default_rng(7)
random.seed(7)

def save(index):
    manifest = Manifest(fingerprint="f", dimension=256, count=len(index), content="", vectors={})
    with whole_folder(folder) as temporary:
        index.write(temporary / "vectors.faiss")
        (temporary / "lexical.npz").write_bytes(bytes(1000 * len(index)))
        seal(temporary, manifest)

indexes = []
for count in (1000, 3000):
    index = VectorIndex(256)
    index.add(range(count), rng.normal(size=(count, 256)).astype(np.float32))
    indexes.append(index)
start = time.perf_counter()
save(indexes[0])
once = time.perf_counter() - start
for turn in range(kills):
    child = os.fork()
    if not child:
        while True:
            for index in indexes:
                save(index)
    time.sleep(random.uniform(0, 4 * once))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if folder.exists():
        manifest = open_sealed(folder)
        assert len(VectorIndex.load(folder / "vectors.faiss")) == manifest.count
        print("whole", manifest.count)
    else:
        print("absent")
save(indexes[0])
print([entry.name for entry in folder.parent.iterdir()])
"""


class Tiny:
    """An embedder of eight dimensions, by code points."""

    semantic_threshold = 0.9
    by_words = False

    def __init__(self, fingerprint: str = "tiny-1", dimension: int = 8) -> None:
        self.fingerprint, self.dimension = fingerprint, dimension

    def embed(self, texts: Sequence[str]) -> Vectors:
        rows = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for letter in text:
                row[ord(letter) % self.dimension] += 1
        unit: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self.embed(texts)

    def embed_pairs(self, pairs: Sequence[tuple[str, str | None]]) -> Vectors:
        return self.embed([question for question, _ in pairs])


@pytest.fixture
def corpus_index() -> CorpusIndex:
    index = CorpusIndex.empty(Tiny())
    index.add([3, 8, 5], TEXTS, Tiny())
    return index


def vectors(count: int, dimension: int = 16) -> np.ndarray:
    found = np.random.default_rng(7).normal(size=(count, dimension)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


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

    monkeypatch.setattr("os.fsync", full)
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


def test_a_folder_comes_back_as_it_was(tmp_path: Path, corpus_index: CorpusIndex) -> None:
    folder = tmp_path / "색인" / "tiny-1" / "1"
    corpus_index.save(folder)
    assert sorted(entry.name for entry in folder.iterdir()) == ["lexical.npz", "manifest.json", "vectors.faiss"]
    loaded = CorpusIndex.load(folder, Tiny())
    for mode in ("hybrid", "dense", "lexical"):
        assert loaded.search("반품 검수", 3, Tiny(), mode=mode) == corpus_index.search(
            "반품 검수", 3, Tiny(), mode=mode
        )
    # What was loaded can grow and shrink though its rows lie in the file, and is saved over the folder it came from.
    loaded.remove([8])
    loaded.add([9], ["재고를 실사합니다."], Tiny())
    loaded.save(folder)
    assert CorpusIndex.load(folder, Tiny()).ids() == {3, 5, 9}
    assert [entry.name for entry in folder.parent.iterdir()] == ["1"]


def test_an_inverted_file_comes_back_and_can_be_changed(tmp_path: Path) -> None:
    rows: Vectors = np.repeat(vectors(40, 32), 50, axis=0) + np.float32(0.1) * vectors(2000, 32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    index = VectorIndex(32, exact_limit=1000)
    index.add(range(2000), rows)
    index.save(tmp_path / "1.faiss")
    loaded = VectorIndex.load(tmp_path / "1.faiss", index.choice, mapped=True, exact_limit=1000)
    assert not loaded.exact
    assert loaded.search(rows[70], 10) == index.search(rows[70], 10)
    (tmp_path / "1.faiss").unlink()
    assert loaded.remove([70]) == 1
    loaded.add([5000], rows[70:71])
    assert loaded.search(rows[70], 1)[0][0] == 5000
    assert loaded.vector(70) is None
    index.save(tmp_path / "2.faiss")
    with pytest.raises(BrokenIndexError, match="not searched as"):
        VectorIndex.load(tmp_path / "2.faiss", VectorIndex(32).choice)


def test_any_other_byte_is_a_broken_index(tmp_path: Path, corpus_index: CorpusIndex) -> None:
    folder = tmp_path / "1"
    corpus_index.save(folder)
    rng = np.random.default_rng(7)
    for name in ("vectors.faiss", "lexical.npz", "manifest.json"):
        path = folder / name
        whole = path.read_bytes()
        cuts = [0, 1, len(whole) // 2, len(whole) - 1]
        damaged = [whole[:cut] for cut in cuts] + [whole + b"\0"]
        for at in rng.choice(len(whole), 40, replace=False):
            damaged.append(whole[:at] + bytes([whole[at] ^ (1 << int(rng.integers(8)))]) + whole[at + 1 :])
        for content in damaged:
            path.write_bytes(content)
            with pytest.raises(BrokenIndexError):
                CorpusIndex.load(folder, Tiny())
        path.unlink()
        with pytest.raises(BrokenIndexError, match=name):
            CorpusIndex.load(folder, Tiny())
        path.write_bytes(whole)
    (folder / "index.pkl").write_bytes(b"")
    with pytest.raises(BrokenIndexError, match=r"index\.pkl"):
        CorpusIndex.load(folder, Tiny())
    (folder / "index.pkl").unlink()
    assert len(CorpusIndex.load(folder, Tiny())) == 3


def test_what_is_whole_but_another_index_says_what_differs(tmp_path: Path, corpus_index: CorpusIndex) -> None:
    folder = tmp_path / "1"
    corpus_index.save(folder)
    with pytest.raises(BrokenIndexError, match="another embedder: tiny-1 instead of tiny-2"):
        CorpusIndex.load(folder, Tiny("tiny-2"))
    with pytest.raises(BrokenIndexError, match="another dimension: 8 instead of 16"):
        CorpusIndex.load(folder, Tiny(dimension=16))
    other = LexicalIndex()
    other.add([3, 8, 6], TEXTS)
    for what, change in (
        ("count", {"count": 4}),
        ("content", {"content": "0" * 64}),
        ("content of the lexical half", {}),
    ):
        manifest = open_sealed(folder)
        with whole_folder(tmp_path / "2") as temporary:
            (temporary / "vectors.faiss").write_bytes((folder / "vectors.faiss").read_bytes())
            if change:
                (temporary / "lexical.npz").write_bytes((folder / "lexical.npz").read_bytes())
            else:
                other.save(temporary / "lexical.npz")
            fields = {
                name: getattr(manifest, name) for name in ("fingerprint", "dimension", "count", "content", "vectors")
            }
            seal(temporary, Manifest(**{**fields, **change}))
        with pytest.raises(BrokenIndexError, match=f"another {what}:"):
            CorpusIndex.load(tmp_path / "2", Tiny())


def test_a_failed_save_leaves_the_old_folder(
    tmp_path: Path, corpus_index: CorpusIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "1"
    corpus_index.save(folder)
    corpus_index.remove([3])

    def full(_self: object, _path: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(LexicalIndex, "save", full)
    with pytest.raises(OSError, match="disk full"):
        corpus_index.save(folder)
    assert CorpusIndex.load(folder, Tiny()).ids() == {3, 5, 8}
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_full_disk_is_an_error() -> None:
    index = VectorIndex(16)
    index.add(range(20), vectors(20))
    with pytest.raises(OSError, match="No space left"):
        index.write(Path("/dev/full"))


def killed(folder: Path, kills: int) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", KILLS, str(folder), str(kills)], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    *found, left = done.stdout.splitlines()
    assert len(found) == kills
    # What the killed left behind was swept by those that came after.
    assert left == f"['{folder.name}']"
    return found


def test_a_kill_while_saving_leaves_a_whole_folder_or_none(tmp_path: Path) -> None:
    assert set(killed(tmp_path / "1", 5)) <= {"absent", "whole 1000", "whole 3000"}


@pytest.mark.long
def test_thirty_kills_while_saving(tmp_path: Path) -> None:
    found = killed(tmp_path / "1", 30)
    assert {"whole 1000", "whole 3000"} <= set(found) <= {"absent", "whole 1000", "whole 3000"}
