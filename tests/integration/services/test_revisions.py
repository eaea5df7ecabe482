"""Newer files of a document's name, documents that are alike, and what samples make of it."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.services import chunks, corpora, deletion, documents, index_jobs, searching, uploads
from app.services.context import Services
from app.services.corpus_index import chunk_record
from app.services.indexing import IndexParams, run_index
from app.store.moved_chunks import ChunkPlaces
from app.store.queries import find, listed
from app.store.tables import (
    AdapterRow,
    ChunkRow,
    DatasetRow,
    DocumentRow,
    DocumentUnitsRow,
    SampleDocumentRow,
    SampleRow,
)
from corpora.records import Provenance, Span
from retrieval.similar_documents import units_of
from tests.integration.services.conftest import RunNext, context_of

Send = Callable[..., dict[str, Any]]

SECTIONS = {
    "입고": "입고란 공급사가 보낸 상품을 창고가 받는 일을 말합니다. 담당자는 송장과 수량을 대조합니다.",
    "적치": "적치란 받은 상품을 정해진 자리에 두는 일을 말합니다. 무거운 상품은 아래 칸에 둡니다.",
    "출고": "출고란 주문한 상품을 골라 내보내는 일을 말합니다. 마감 시각은 오후 세 시입니다.",
    "반품": "반품이란 고객이 상품을 돌려보내는 일을 말합니다. 접수한 날부터 이레 안에 검수합니다.",
    "실사": "실사란 장부의 수량과 실제 수량을 맞추는 일을 말합니다. 달마다 한 번 합니다.",
}


def manual(**changed: str) -> bytes:
    parts = [f"## {name}\n\n{text * 3}" for name, text in (SECTIONS | changed).items()]
    return ("# 창고 지침\n\n" + "\n\n".join(parts) + "\n").encode()


@pytest.fixture
def corpus_id(services: Services) -> str:
    return str(corpora.create_corpus(services, "지침")["id"])


@pytest.fixture
def send(services: Services, run_next: RunNext, corpus_id: str) -> Send:
    """Uploads one file, runs the index job and gives the document that answers for it."""

    def upload(data: bytes, name: str = "지침.md") -> dict[str, Any]:
        (document_id,) = uploads.upload_documents(services, corpus_id, [(name, None, data)])
        run_next("index")
        return documents.get_document(services, document_id)

    return upload


def rows(services: Services, document_id: str) -> dict[str, ChunkRow]:
    with services.store.read() as session:
        found = listed(session, ChunkRow, ChunkRow.document_id == document_id, order_by=ChunkRow.index)
        return {row.text: row for row in found}


def hits(services: Services, corpus_id: str, query: str, **more: Any) -> list[str]:
    return [hit["chunk"]["text"] for hit in searching.search_corpus(services, corpus_id, query, 3, **more)]


def test_a_newer_file_changes_only_the_chunks_that_changed(services: Services, send: Send, corpus_id: str) -> None:
    first = send(manual())
    before = rows(services, first["id"])
    second = send(manual(출고="출고 마감 시각은 오후 다섯 시로 바뀌었습니다. 주말에는 출고하지 않습니다. "))
    after = rows(services, first["id"])
    assert second["id"] == first["id"]
    assert (second["status"], second["revision"], second["sha256"] != first["sha256"]) == ("processed", 2, True)
    changes = second["changes"]
    assert changes["added"] == [row.id for text, row in after.items() if text not in before]
    assert changes["removed"] == [row.id for text, row in before.items() if text not in after]
    assert len(changes["added"]) == 1
    assert changes["kept"] == len(before) - 1 == len(after) - 1
    same = before.keys() & after.keys()
    assert {text: before[text].seq for text in same} == {text: after[text].seq for text in same}
    text = documents.document_text(services, first["id"])
    assert all(text[row.start : row.end] == row.text for row in after.values())
    listed_chunks, _ = chunks.list_chunks(services, first["id"], None, 100, "asc")
    assert [chunk["index"] for chunk in listed_chunks] == list(range(len(after)))
    assert "다섯 시" in hits(services, corpus_id, "출고 마감 시각이 언제인가요?")[0]
    assert not any("오후 세 시" in text for text in hits(services, corpus_id, "출고 마감 오후 세 시"))


def test_a_file_that_has_only_the_name_in_common_is_another_document(services: Services, send: Send) -> None:
    first = send(manual())
    other = send("# 휴가 규정\n\n휴가는 사흘 전에 신청합니다. 팀장이 승인합니다.".encode())
    assert other["id"] != first["id"]
    assert documents.get_document(services, first["id"])["revision"] == 1


def test_two_files_of_one_name_in_one_upload_are_two_documents(
    services: Services, run_next: RunNext, corpus_id: str
) -> None:
    newer = manual(실사="실사는 이제 석 달마다 한 번 합니다. 담당자 두 사람이 함께 셉니다. ")
    ids = uploads.upload_documents(services, corpus_id, [("지침.md", None, manual()), ("지침.md", None, newer)])
    run_next("index")
    assert len(set(ids)) == 2
    assert {documents.get_document(services, one)["status"] for one in ids} == {"processed"}


def test_a_newer_file_that_cannot_be_read_leaves_the_earlier_revision(
    services: Services, send: Send, corpus_id: str, run_next: RunNext
) -> None:
    page = "<html><body><h1>반품</h1><p>반품이란 상품이 창고로 돌아오는 일을 말합니다.</p></body></html>"
    first = send(page.encode(), "반품.html")
    (document_id,) = uploads.upload_documents(services, corpus_id, [("반품.html", None, b"<html><body></body></html>")])
    assert document_id == first["id"]
    assert documents.get_document(services, document_id)["status"] == "processing"
    run_next("index")
    kept = documents.get_document(services, document_id)
    assert (kept["status"], kept["revision"], kept["sha256"]) == ("processed", 1, first["sha256"])
    assert kept["changes"]["error"]["code"] == "no_text"
    assert "Revision 1 stays" in kept["warnings"][-1]
    assert hits(services, corpus_id, "반품이란 무엇인가요?")


def test_another_page_under_the_name_of_an_html_file_becomes_its_own_document(services: Services, send: Send) -> None:
    page = "<html><body><h1>반품</h1><p>반품이란 상품이 창고로 돌아오는 일을 말합니다.</p></body></html>"
    other = "<html><body><h1>상차</h1><p>상차란 차에 짐을 싣고 단단히 묶는 작업을 가리킵니다.</p></body></html>"
    first = send(page.encode(), "index.html")
    again = send(other.encode(), "index.html")
    assert (again["id"], again["revision"]) == (first["id"], 1)
    own = documents.get_document(services, again["changes"]["separate_document_id"])
    assert (own["status"], own["title"], own["filename"]) == ("processed", "상차", "index.html")


def sample(document_id: str, number: int, row: ChunkRow, start: int, end: int) -> SampleRow:
    provenance = {
        "generator": "rag_qa",
        "slot": number,
        "document_id": document_id,
        "chunk_ids": [row.id],
        "spans": [{"document_id": document_id, "start": start, "end": end}],
        "seed_ids": [],
    }
    return SampleRow(
        id=f"sample_{number}",
        dataset_id="ds_1",
        job_id="job_1",
        slot=number,
        position=0,
        status="accepted",
        split="train",
        generator="rag_qa",
        document_id=document_id,
        stage="",
        reason="",
        score=None,
        evidence={},
        messages=[],
        provenance=provenance,
        grounded=True,
        malformed=None,
        raw=None,
        flags={},
        group_id=None,
        source_deleted=False,
        created_at=0.0,
    )


def test_samples_follow_their_passage_and_say_when_it_is_gone(services: Services, send: Send) -> None:
    first = send(manual())
    text = documents.document_text(services, first["id"])
    before = rows(services, first["id"])
    quotes = ("무거운 상품은 아래 칸에 둡니다.", "마감 시각은 오후 세 시입니다.", "장부의 수량과 실제 수량을 맞추는 일")
    with services.store.write() as session:
        session.add(DatasetRow(id="ds_1", name="지침", corpus_id=first["corpus_id"], created_at=0.0))
        session.flush()
        for number, quote in enumerate(quotes):
            row = next(row for chunk, row in before.items() if quote in chunk)
            at = text.index(quote)
            session.add(sample(first["id"], number, row, at, at + len(quote)))
            session.flush()
            session.add(SampleDocumentRow(sample_id=f"sample_{number}", document_id=first["id"]))
    send(manual(입고="입고는 예약한 차량만 받습니다. ", 출고="출고 마감은 오후 다섯 시입니다. "))
    after = documents.document_text(services, first["id"])
    with services.store.read() as session:
        found = [find(session, SampleRow, SampleRow.id == f"sample_{number}") for number in range(3)]
    for kept, quote, gone in zip(found, quotes, (False, True, False), strict=True):
        assert kept is not None
        assert kept.source_deleted is gone
        spans = kept.provenance["spans"]
        assert [after[span["start"] : span["end"]] for span in spans] == ([] if gone else [quote])


def test_documents_that_say_nearly_the_same_are_told_on_both(services: Services, send: Send) -> None:
    first = send(manual(), "지침-2025.md")
    second = send(manual(실사="실사는 이제 석 달마다 한 번 합니다. "), "지침-2026.md")
    other = send("# 휴가 규정\n\n휴가는 사흘 전에 신청합니다. 팀장이 승인합니다.".encode(), "휴가.md")
    first = documents.get_document(services, first["id"])
    assert [entry["filename"] for entry in second["similar"]] == ["지침-2025.md"]
    assert [entry["document_id"] for entry in first["similar"]] == [second["id"]]
    assert first["similar"][0]["share"] > 0.6
    assert other["similar"] == []
    deletion.delete_document(services, second["id"])
    assert documents.get_document(services, first["id"])["similar"] == []


def test_only_what_is_new_is_read_again_to_compare(
    services: Services, send: Send, corpus_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def reading(passages: Iterable[str]) -> dict[int, int]:
        texts = list(passages)
        read.extend(texts)
        return units_of(texts)

    monkeypatch.setattr("app.services.similar_documents.units_of", reading)
    first = send(manual(), "지침-2025.md")
    assert any("송장" in text for text in read)
    read.clear()
    second = send(manual(실사="실사는 이제 석 달마다 한 번 합니다. "), "지침-2026.md")
    assert "석 달" in "".join(read)
    assert "달마다 한 번 합니다. 실사란" not in "".join(read)
    assert [entry["document_id"] for entry in second["similar"]] == [first["id"]]
    # A newer revision has other sentences: the pair ends, and what was kept of the earlier one counts no more.
    send(
        "# 창고 지침\n\n".encode() + manual(**{name: f"{name}은 따로 알립니다. " for name in SECTIONS}), "지침-2025.md"
    )
    with services.store.read() as session:
        kept = {
            row.document_id: row.sha256 for row in listed(session, DocumentUnitsRow, order_by=DocumentUnitsRow.units)
        }
        current = {row.id: row.sha256 for row in listed(session, DocumentRow, DocumentRow.corpus_id == corpus_id)}
    assert kept == current
    deletion.delete_document(services, second["id"])
    with services.store.read() as session:
        left = listed(session, DocumentUnitsRow, order_by=DocumentUnitsRow.document_id)
    assert second["id"] not in {row.document_id for row in left}


def test_bytes_that_wait_for_their_turn_are_kept_and_go_with_their_document(
    services: Services, send: Send, corpus_id: str
) -> None:
    first = send(manual())
    newer = manual(실사="실사는 이제 석 달마다 한 번 합니다. ")
    uploads.upload_documents(services, corpus_id, [("지침.md", None, newer)])
    sha256 = hashlib.sha256(newer).hexdigest()
    long_ago = time.time() - 7200
    os.utime(services.blobs.path(sha256), (long_ago, long_ago))
    # The same bytes in another corpus are deleted there.
    other = str(corpora.create_corpus(services, "다른 지침")["id"])
    (copy,) = uploads.upload_documents(services, other, [("지침.md", None, newer)])
    os.utime(services.blobs.path(sha256), (long_ago, long_ago))
    deletion.delete_document(services, copy)
    assert services.blobs.stored_at(sha256) is not None
    deletion.delete_document(services, first["id"])
    assert services.blobs.stored_at(sha256) is None


def test_a_version_that_waits_is_not_queued_twice(services: Services, send: Send, corpus_id: str) -> None:
    first = send(manual())
    newer = manual(실사="실사는 이제 석 달마다 한 번 합니다. ")
    ids = {uploads.upload_documents(services, corpus_id, [("지침.md", None, newer)])[0] for _ in range(2)}
    assert ids == {first["id"]}
    with services.store.read() as session:
        assert len(listed(session, DocumentRow, DocumentRow.corpus_id == corpus_id)) == 1


def test_a_newer_file_that_comes_twice_in_one_upload_is_one_revision(
    services: Services, send: Send, corpus_id: str, run_next: RunNext
) -> None:
    first = send(manual())
    newer = manual(실사="실사는 이제 석 달마다 한 번 합니다. ")
    ids = uploads.upload_documents(services, corpus_id, [("지침.md", None, newer), ("사본.md", None, newer)])
    run_next("index")
    assert set(ids) == {first["id"]}
    assert documents.get_document(services, first["id"])["revision"] == 2


def test_documents_that_are_alike_may_be_deleted_at_the_same_time(
    services: Services, run_next: RunNext, corpus_id: str
) -> None:
    for number in range(4):
        files = [(f"{name}-{number}.md", None, manual(실사=f"{name} {number}. ")) for name in ("가", "나")]
        ids = uploads.upload_documents(services, corpus_id, files)
        run_next("index")
        with ThreadPoolExecutor(2) as threads:
            answers = list(threads.map(lambda one: deletion.delete_document(services, one), ids))
        assert [answer["deleted"] for answer in answers] == [True, True]
        run_next("index")


def test_a_newer_file_that_waits_goes_when_the_first_bytes_come_again(
    services: Services, send: Send, corpus_id: str, run_next: RunNext
) -> None:
    first = send(manual())
    uploads.upload_documents(services, corpus_id, [("지침.md", None, manual(실사="실사는 석 달마다 한 번 합니다. "))])
    uploads.upload_documents(services, corpus_id, [("지침.md", None, manual())])
    run_next("index")
    kept = documents.get_document(services, first["id"])
    assert (kept["status"], kept["revision"], kept["sha256"]) == ("processed", 1, first["sha256"])


def test_a_revision_outlives_an_index_job_that_fails(
    services: Services, send: Send, corpus_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = send(manual())
    with monkeypatch.context() as patch:
        patch.setattr("retrieval.index.CorpusIndex.save", _no_endpoint)
        newer = manual(실사="실사는 석 달마다 한 번 합니다. ")
        uploads.upload_documents(services, corpus_id, [("지침.md", None, newer)])
        fail_next(services)
    kept = documents.get_document(services, first["id"])
    assert (kept["status"], kept["revision"]) == ("processed", 2)
    assert "석 달마다" in documents.document_text(services, first["id"])
    assert "not searched yet" in kept["warnings"][-1]
    send("# 휴가\n\n휴가는 사흘 전에 신청합니다.".encode(), "휴가.md")
    assert "석 달마다" in hits(services, corpus_id, "실사는 석 달마다 하나요?")[0]


def fail_next(services: Services) -> None:
    row = services.jobs.claim("test", ["index"])
    assert row is not None
    context = context_of(services, row.id, row.attempt)
    with pytest.raises(RuntimeError):
        run_index(services, context, IndexParams.model_validate(row.params))
    services.jobs.finish(row.id, row.attempt, "failed", None, {"code": "internal_error", "message": "down"})


def _no_endpoint(*_: object) -> None:
    raise RuntimeError("the endpoint is down")


def test_another_embedder_that_fails_leaves_documents_that_wait_alone(
    services: Services, send: Send, corpus_id: str, run_next: RunNext, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(manual())
    index_jobs.build_again(services, corpus_id, "hashed")
    (waiting,) = uploads.upload_documents(services, corpus_id, [("휴가.md", None, "# 휴가\n\n휴가를 냅니다.".encode())])
    with monkeypatch.context() as patch:
        patch.setattr("retrieval.index.CorpusIndex.save", _no_endpoint)
        fail_next(services)
    assert documents.get_document(services, waiting)["status"] == "processing"
    run_next("index")
    assert documents.get_document(services, waiting)["status"] == "processed"


def test_a_corpus_without_documents_keeps_no_words(
    services: Services, send: Send, corpus_id: str, run_next: RunNext
) -> None:
    document = send(manual())
    folder = services.folder("indexes", corpus_id)
    assert list(folder.rglob("*.npz"))
    deletion.delete_document(services, document["id"])
    run_next("index")
    assert list(folder.rglob("*")) == []
    assert searching.search_corpus(services, corpus_id, "출고", 3) == []
    send(manual())
    assert hits(services, corpus_id, "출고 마감 시각")


def test_what_a_running_job_commits_points_into_the_newer_text(services: Services, send: Send) -> None:
    first = send(manual())
    text = documents.document_text(services, first["id"])
    before = {row.text: chunk_record(row) for row in rows(services, first["id"]).values()}
    quotes = ("무거운 상품은 아래 칸에 둡니다.", "마감 시각은 오후 세 시입니다.")
    origins = []
    for slot, quote in enumerate(quotes):
        chunk = next(chunk for shown, chunk in before.items() if quote in shown)
        span = Span(document_id=first["id"], start=text.index(quote), end=text.index(quote) + len(quote))
        origins.append(Provenance(generator="rag_qa", slot=slot, chunk_ids=(chunk.id,), spans=(span,)))
    places = ChunkPlaces(before.values())
    with services.store.read() as session:
        assert places.follow(session, origins) == {}
    send(manual(입고="입고는 예약한 차량만 받습니다. ", 출고="출고 마감은 오후 다섯 시입니다. "))
    after = documents.document_text(services, first["id"])
    with services.store.read() as session:
        (kept, lost_kept), (gone, lost_gone) = places.follow(session, origins).values()
    assert [after[span["start"] : span["end"]] for span in kept] == [quotes[0]]
    assert (lost_kept, gone, lost_gone) == (False, [], True)


def test_a_deletion_names_the_datasets_and_the_adapters_that_it_touches(services: Services, send: Send) -> None:
    document = send(manual())
    row = next(iter(rows(services, document["id"]).values()))
    with services.store.write() as session:
        session.add(DatasetRow(id="dataset_1", name="지침", corpus_id=document["corpus_id"], created_at=0.0))
        session.flush()
        made = sample(document["id"], 0, row, row.start, row.end)
        made.dataset_id = "dataset_1"
        session.add(made)
        session.flush()
        session.add(SampleDocumentRow(sample_id="sample_0", document_id=document["id"]))
        for name, file in (("ft:그것", "dataset_1"), ("ft:다른-것", "dataset_2")):
            job = services.jobs.submit("train", {"training_file": file}, resources=[], session=session)
            places = {"base_model": "b", "recipe": "auto", "base_path": "", "path": "", "created_at": 0.0}
            session.add(AdapterRow(id=name, job_id=job.id, **places))
    told = deletion.delete_document(services, document["id"])
    assert (told["datasets"], told["adapters"]) == (["dataset_1"], ["ft:그것"])
