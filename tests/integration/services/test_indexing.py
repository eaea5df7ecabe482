"""The index is a cache of the store: broken, missing or late, search tells the truth or says to wait."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from app.services import corpora, corpus_index, deletion, documents, indexing, ingest, searching, uploads
from app.services.context import Services
from app.store.jobs import LostLeaseError
from app.store.queries import find, listed
from app.store.tables import ChunkRow, CorpusRow, DocumentRow, JobRow
from corpora.errors import UnavailableError
from tests.integration.services.conftest import RunNext, context_of

MakeCorpus = Callable[..., tuple[str, list[str]]]
DOCK = "# 도크\n\n도크란 차량이 짐을 내리는 자리를 말합니다."
RETURNS = "# 반품\n\n반품이란 출고된 상품이 창고로 돌아오는 일을 말합니다."


def path_of(services: Services, corpus_id: str) -> Path:
    with services.store.read() as session:
        row = find(session, CorpusRow, CorpusRow.id == corpus_id)
        assert row is not None
        assert row.embedder_fingerprint is not None
        return corpus_index.index_folder(services, row.id, row.embedder_fingerprint, row.index_generation)


def found(services: Services, corpus_id: str, query: str) -> list[str]:
    return [hit["document_id"] for hit in searching.search_corpus(services, corpus_id, query, 1)]


def test_a_deleted_document_is_never_mistaken_for_the_one_that_follows(services: Services, corpus: MakeCorpus) -> None:
    """The deletion's own index job has not run: the file still holds the number of a chunk that is gone."""
    corpus_id, (dock,) = corpus(DOCK)
    deletion.delete_document(services, dock)
    (returns,) = uploads.upload_documents(services, corpus_id, [("반품.md", None, RETURNS.encode())])
    with services.store.read() as session:
        assert listed(session, ChunkRow) == []
    row = services.jobs.claim("test", ["index"])
    assert row is not None
    assert ingest.ingest_document(services, context_of(services, row.id, row.attempt), returns)
    with services.store.read() as session:
        assert len(listed(session, ChunkRow)) == 1
    assert searching.search_corpus(services, corpus_id, "도크란 무엇인가요?", 5) == []


@pytest.mark.parametrize("damage", ["missing", "cut", "other"])
def test_a_broken_file_is_said_and_built_again(
    services: Services, corpus: MakeCorpus, run_next: RunNext, damage: str
) -> None:
    corpus_id, (dock, returns) = corpus(DOCK, RETURNS)
    path = path_of(services, corpus_id)
    if damage == "missing":
        shutil.rmtree(path)
    else:
        vectors = path / "vectors.faiss"
        vectors.write_bytes(vectors.read_bytes()[:100] if damage == "cut" else b"no index")
    searching.opened.cache_clear()
    for _ in range(2):
        with pytest.raises(UnavailableError) as caught:
            found(services, corpus_id, "도크란 무엇인가요?")
        assert caught.value.code == "index_building"
    with services.store.read() as session:
        assert len(listed(session, JobRow, JobRow.kind == "index", JobRow.status == "queued")) == 1
    run_next("index")
    assert found(services, corpus_id, "도크란 무엇인가요?") == [dock]
    assert found(services, corpus_id, "반품이란 무엇인가요?") == [returns]


def test_a_reader_that_knows_the_last_generation_still_finds_its_file(services: Services, corpus: MakeCorpus) -> None:
    corpus_id, _ = corpus(DOCK)
    before = path_of(services, corpus_id)
    corpus(RETURNS, corpus_id=corpus_id)
    assert before.is_dir()
    corpus("# 상차\n\n상차란 차량에 짐을 싣는 일을 말합니다.", corpus_id=corpus_id)
    assert not before.exists()
    assert path_of(services, corpus_id).is_dir()


def test_an_attempt_that_was_overtaken_writes_neither_chunks_nor_index(services: Services) -> None:
    corpus_id = corpora.create_corpus(services, "냉장")["id"]
    (dock,) = uploads.upload_documents(services, corpus_id, [("도크.md", None, DOCK.encode())])
    row = services.jobs.claim("test", ["index"])
    assert row is not None
    services.jobs.release(row.id, row.attempt, crashed=True)
    late = context_of(services, row.id, row.attempt)
    with pytest.raises(LostLeaseError):
        ingest.ingest_document(services, late, dock)
    with pytest.raises(LostLeaseError):
        indexing.run_index(services, late, indexing.IndexParams(corpus_id=corpus_id))
    with services.store.read() as session:
        assert listed(session, ChunkRow) == []
        document = find(session, DocumentRow, DocumentRow.id == dock)
        assert document is not None
        assert document.status == "processing"


def test_an_unexpected_failure_is_shown_on_the_documents(
    services: Services, run_next: RunNext, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus_id = corpora.create_corpus(services, "냉장")["id"]
    (dock,) = uploads.upload_documents(services, corpus_id, [("도크.md", None, DOCK.encode())])

    def broken(_self: object, _path: Path) -> None:
        raise OSError("디스크가 가득 찼습니다")

    monkeypatch.setattr("retrieval.index.CorpusIndex.save", broken)
    with pytest.raises(OSError, match="디스크"):
        run_next("index")
    body = documents.get_document(services, dock)
    assert body["status"] == "failed"
    assert "디스크가 가득 찼습니다" in body["error"]["message"]


def test_the_same_bytes_at_the_same_time_are_one_document(services: Services) -> None:
    corpus_id = corpora.create_corpus(services, "냉장")["id"]
    ids: list[str] = []
    failures: list[BaseException] = []

    def upload() -> None:
        try:
            ids.extend(uploads.upload_documents(services, corpus_id, [("도크.md", None, DOCK.encode())]))
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=upload) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(ids) == 6
    assert len(set(ids)) == 1


def test_uploads_one_after_another_are_one_job(services: Services, run_next: RunNext) -> None:
    corpus_id = corpora.create_corpus(services, "냉장")["id"]
    files = {f"{n}.md": f"# 절차 {n}\n\n{n}번 문으로 들어온 상품을 확인합니다.".encode() for n in range(5)}
    ids = [uploads.upload_documents(services, corpus_id, [(name, None, data)])[0] for name, data in files.items()]
    with services.store.read() as session:
        assert len(listed(session, JobRow, JobRow.kind == "index")) == 1
    run_next("index")
    assert {documents.get_document(services, one)["status"] for one in ids} == {"processed"}
