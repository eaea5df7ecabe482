"""From upload to processed: what fails says why, what is a zip becomes many, and a killed job is made good."""

from __future__ import annotations

import errno
import io
import unicodedata
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.services import chunks, corpora, deletion, documents, generation, indexing, ingest, parsing, uploads
from app.services.context import Services
from app.services.fetching import Fetched
from app.settings import Settings
from app.store.disk import DiskFullError
from app.store.jobs import MAX_CRASHES
from app.store.queries import change, count, listed
from app.store.tables import ChunkRow, DocumentRow, JobRow
from corpora.errors import ConflictError, InvalidInputError, MissingExtraError, UnavailableError
from corpora.readers import Mark, ReadDocument
from tests.integration.services.conftest import KilledError, RunNext, context_of, die

DOCK = "# 도크\n\n도크란 차량이 짐을 내리는 자리를 말합니다."
RETURNS = "# 반품\n\n반품이란 출고된 상품이 창고로 돌아오는 일을 말합니다."
STOCK = "# 재고\n\n재고란 창고에 남아 있는 상품을 말합니다."
Add = Callable[..., tuple[str, list[dict[str, Any]]]]


@pytest.fixture
def add(services: Services, run_next: RunNext) -> Add:
    """Uploads files, runs their index job, and gives the corpus with the documents as they stand."""

    def run(corpus_id: str | None = None, /, **files: bytes) -> tuple[str, list[dict[str, Any]]]:
        made: str = corpus_id or corpora.create_corpus(services, "냉장 창고")["id"]
        ids = uploads.upload_documents(services, made, [(name, None, data) for name, data in files.items()])
        run_next("index")
        return made, documents.documents_by_id(services, ids)

    return run


def zipped(members: Mapping[str, bytes | str]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return held.getvalue()


def all_of(services: Services, corpus_id: str) -> dict[str, dict[str, Any]]:
    found, _ = documents.list_documents(services, corpus_id, None, 100, "asc")
    return {entry["filename"]: entry for entry in found}


def test_a_document_that_cannot_be_read_fails_alone(services: Services, add: Add) -> None:
    corpus_id, (dock, empty) = add(**{"도크.md": DOCK.encode(), "빈.md": b""})
    assert (dock["status"], dock["encoding"], dock["language"]) == ("processed", "utf-8", "ko")
    assert (empty["status"], empty["error"]["code"], empty["chunk_count"]) == ("failed", "empty_file", 0)
    assert empty["error"]["hint"]
    with pytest.raises(ConflictError) as caught:
        documents.document_text(services, empty["id"])
    assert caught.value.code == "document_failed"
    job = generation.create_job(services, generation.GenerationRequest(corpus_id=corpus_id, heldout_fraction=0.5))
    assert job["status"] == "queued"  # the failed one is no reason to wait, and no document to hold out
    assert not any(entry["heldout"] for entry in all_of(services, corpus_id).values())


def test_failed_bytes_are_tried_again_under_the_name_of_the_new_upload(services: Services, add: Add) -> None:
    corpus_id, (failed,) = add(**{"도크.docs": DOCK.encode()})
    assert failed["error"]["code"] == "unsupported_format"
    _, (again,) = add(corpus_id, **{"도크.md": DOCK.encode()})
    assert (again["id"], again["status"], again["error"]) == (failed["id"], "processed", None)
    assert (again["filename"], again["title"]) == ("도크.md", "도크")
    uploads.upload_documents(services, corpus_id, [("다른 이름.md", None, DOCK.encode())])
    assert services.jobs.claim("test", ["index"]) is None  # what is processed is not read again


def test_a_text_that_is_still_to_be_read_is_no_empty_one(services: Services) -> None:
    corpus_id = corpora.create_corpus(services, "냉장")["id"]
    (dock,) = uploads.upload_documents(services, corpus_id, [("도크.md", None, DOCK.encode())])
    body = documents.get_document(services, dock)
    assert (body["status"], body["title"], body["media_type"]) == ("processing", "도크", "application/octet-stream")
    with pytest.raises(ConflictError) as caught:
        documents.document_text(services, dock)
    assert caught.value.code == "document_processing"


def test_a_missing_library_names_what_to_install(services: Services, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(_data: bytes, name: str, _media_type: str | None) -> ReadDocument:
        raise MissingExtraError("documents", f"Reading '{name}'")

    monkeypatch.setattr(ingest, "parse_document", parse)
    _, (body,) = add(**{"지침.hwp": b"x"})
    assert body["error"]["code"] == "missing_extra"
    assert "pip install 'malmoi[documents]'" in body["error"]["message"]


def test_names_are_made_harmless_and_told(services: Services, add: Add) -> None:
    names = [
        "../../etc/입고.md",
        "C:\\문서\\출고\0.md",
        unicodedata.normalize("NFD", "가" * 1365) + ".md",
        "..",
        "상차.md",
    ]
    texts = [f"# {n}번\n\n{n}번 지침입니다.".encode() for n in range(len(names))]
    _, found = add(**dict(zip(names, texts, strict=True)))
    assert [body["filename"] for body in found] == [
        "etc/입고.md",
        "문서/출고.md",
        "가" * 252 + ".md",
        "document",
        "상차.md",
    ]
    assert [len(body["warnings"]) for body in found] == [1, 1, 1, 1, 0]
    assert [body["status"] for body in found] == ["processed", "processed", "processed", "failed", "processed"]


# -- zips --------------------------------------------------------------------------------------------------------------


def test_every_file_of_a_zip_is_a_document_of_its_own(services: Services, add: Add) -> None:
    inner = zipped({"재고.md": STOCK})
    data = zipped({"입고/도크.md": DOCK, "빈.md": "", "사본/도크.md": DOCK, "안.zip": inner, "__MACOSX/._도크": "x"})
    corpus_id, (archive,) = add(**{"자료.zip": data})
    assert (archive["status"], archive["chunk_count"], archive["documents"]) == ("processed", 0, 3)
    assert archive["media_type"] == "application/zip"
    assert len(archive["warnings"]) == 1
    assert "자료.zip/사본/도크.md" in archive["warnings"][0]
    members = all_of(services, corpus_id)
    assert {name: body["status"] for name, body in members.items()} == {
        "자료.zip": "processed",
        "자료.zip/입고/도크.md": "processed",
        "자료.zip/빈.md": "failed",
        "자료.zip/안.zip/재고.md": "processed",
    }
    assert {body["archive_id"] for body in members.values()} == {None, archive["id"]}
    with pytest.raises(ConflictError) as caught:
        documents.document_text(services, archive["id"])
    assert caught.value.code == "document_is_archive"
    generation.create_job(services, generation.GenerationRequest(corpus_id=corpus_id, heldout_fraction=0.5))
    held = [body["filename"] for body in all_of(services, corpus_id).values() if body["heldout"]]
    assert len(held) == 1  # half of two: the zip's own row counts for nothing
    assert held != ["자료.zip"]
    assert deletion.delete_document(services, archive["id"])["deleted"]
    assert all_of(services, corpus_id) == {}
    with services.store.read() as session:
        assert count(session, ChunkRow) == 0
    assert services.blobs.stored_at(archive["sha256"]) is None


def test_a_zip_is_read_again_when_one_of_its_files_failed(services: Services, add: Add, run_next: RunNext) -> None:
    data = zipped({"도크.md": DOCK, "빈.md": ""})
    corpus_id, (archive,) = add(**{"자료.zip": data})
    before = all_of(services, corpus_id)
    _, (again,) = add(corpus_id, **{"자료.zip": data})
    assert again["id"] == archive["id"]
    after = all_of(services, corpus_id)
    assert {name: body["id"] for name, body in after.items()} == {name: body["id"] for name, body in before.items()}
    assert after["자료.zip/빈.md"]["status"] == "failed"
    chunk = chunks.list_chunks(services, after["자료.zip/도크.md"]["id"], None, 10, "asc")[0]
    assert [found["text"] for found in chunk] == [DOCK]


def test_a_file_that_kills_the_parser_takes_no_other_along(
    services: Services, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parsing, "OUTPUT_BYTES", 20_000)
    data = zipped({"가.md": DOCK, "나.html": "<h1>긴 글</h1>" + "<p>긴 문장입니다.</p>" * 9000, "다.md": RETURNS})
    corpus_id, (archive,) = add(**{"자료.zip": data})
    told = {name: (body["error"] or {}).get("code") for name, body in all_of(services, corpus_id).items()}
    assert told == {
        "자료.zip": None,
        "자료.zip/가.md": None,
        "자료.zip/나.html": "document_too_large",
        "자료.zip/다.md": None,
    }
    assert archive["status"] == "processed"


def test_a_zip_that_cannot_be_opened_fails(add: Add) -> None:
    bomb = zipped({"a.md": "가" * 10_000_000})
    _, (cut, empty, big) = add(**{"잘린.zip": zipped({"가.md": DOCK})[:40], "빈.zip": zipped({}), "폭탄.zip": bomb})
    assert [body["error"]["code"] for body in (cut, empty, big)] == ["damaged_file", "no_text", "document_too_large"]


# -- places, languages, addresses --------------------------------------------------------------------------------------


def test_places_and_languages_are_told(services: Services, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    english = "# Receiving\n\n" + "Receiving means taking goods into the warehouse. " * 3
    _, (foreign,) = add(**{"receiving.md": english.encode()})
    assert foreign["language"] == "und-Latn"
    assert "not Korean" in foreign["warnings"][0]

    real = parsing.parse_document

    def parse(data: bytes, name: str, media_type: str | None) -> ReadDocument:
        read = real(data, name, media_type)
        return replace(read, marks=(Mark(start=0, label="page 1"), Mark(start=read.text.index("# 반"), label="page 2")))

    monkeypatch.setattr(ingest, "parse_document", parse)
    _, (body,) = add(**{"둘.md": f"{DOCK * 20}\n\n{RETURNS}".encode()})
    found, _ = chunks.list_chunks(services, body["id"], None, 50, "asc")
    assert found[0]["place"] == "page 1"
    assert found[-1]["place"] == "page 2"
    assert "반품" in found[-1]["text"]


def with_addresses(services: Services) -> Services:
    return replace(services, settings=Settings(data_dir=services.settings.data_dir, url_documents=True))


def test_an_address_is_fetched_by_the_job(
    services: Services, run_next: RunNext, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = with_addresses(services)
    corpus_id = corpora.create_corpus(services, "냉장")["id"]
    with pytest.raises(InvalidInputError) as caught:
        uploads.add_url(services, corpus_id, "https://example.com/")
    assert caught.value.code == "url_documents_disabled"
    with pytest.raises(InvalidInputError) as caught:
        uploads.add_url(asking, corpus_id, "file:///etc/passwd")
    assert caught.value.code == "url_not_allowed"
    replies: list[Fetched | Exception] = [
        UnavailableError("'example.com' does not answer.", code="url_unreachable"),
        Fetched(name="도크.md", media_type="text/markdown", data=DOCK.encode(), url="https://example.com/d"),
        Fetched(name="사본.md", media_type="text/markdown", data=DOCK.encode(), url="https://example.com/e"),
    ]

    def fetch(_url: str, _settings: Settings) -> Fetched:
        said = replies.pop(0)
        if isinstance(said, Exception):
            raise said
        return said

    monkeypatch.setattr(ingest, "fetch", fetch)
    url = "https://example.com/%EB%8F%84%ED%81%AC"
    (first,) = uploads.add_url(asking, corpus_id, url)
    assert documents.get_document(services, first)["filename"] == "도크"
    run_next("index")
    body = documents.get_document(services, first)
    assert (body["status"], body["error"]["code"], body["url"]) == ("failed", "url_unreachable", url)
    assert uploads.add_url(asking, corpus_id, url) == [first]
    run_next("index")
    body = documents.get_document(services, first)
    assert (body["status"], body["filename"], body["bytes"]) == ("processed", "도크.md", len(DOCK.encode()))
    assert documents.document_text(services, first) == DOCK
    (second,) = uploads.add_url(asking, corpus_id, "https://example.com/e")
    run_next("index")
    assert documents.get_document(services, second)["error"]["code"] == "duplicate_document"
    assert first in documents.get_document(services, second)["error"]["message"]


# -- kills and full disks ----------------------------------------------------------------------------------------------


def two(services: Services) -> tuple[str, list[str]]:
    corpus_id = corpora.create_corpus(services, "냉장")["id"]
    files = [("도크.md", None, DOCK.encode()), ("반품.md", None, RETURNS.encode())]
    return corpus_id, uploads.upload_documents(services, corpus_id, files)


def test_an_attempt_goes_on_behind_the_last_document_that_was_read(
    services: Services, run_next: RunNext, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ids = two(services)
    read: list[str] = []
    real = parsing.parse_document

    def parse(data: bytes, name: str, media_type: str | None) -> ReadDocument:
        read.append(name)
        if name == "반품.md" and len(read) == 2:
            raise KilledError
        return real(data, name, media_type)

    monkeypatch.setattr(ingest, "parse_document", parse)
    die(services)
    assert {body["status"] for body in documents.documents_by_id(services, ids)} == {"processing"}
    run_next("index")
    assert {body["status"] for body in documents.documents_by_id(services, ids)} == {"processed"}
    assert read == ["도크.md", "반품.md", "반품.md"]


def test_a_document_that_kills_its_worker_fails_and_the_others_are_processed(
    services: Services, run_next: RunNext, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ids = two(services)
    real = parsing.parse_document

    def parse(data: bytes, name: str, media_type: str | None) -> ReadDocument:
        if name == "도크.md":
            raise KilledError
        return real(data, name, media_type)

    monkeypatch.setattr(ingest, "parse_document", parse)
    die(services)
    die(services)
    assert run_next("index").status == "succeeded"
    dock, returns = documents.documents_by_id(services, ids)
    assert (dock["status"], dock["error"]["code"]) == ("failed", "worker_crashed")
    assert returns["status"] == "processed"


def test_a_job_that_is_given_up_leaves_no_document_waiting(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus_id, ids = two(services)

    def build(*_: object) -> int:
        raise KilledError

    monkeypatch.setattr(indexing, "build", build)
    for _ in range(MAX_CRASHES):
        assert documents.get_document(services, ids[0])["status"] == "processing"
        die(services)
    bodies = all_of(services, corpus_id).values()
    assert [(body["status"], body["error"]["code"]) for body in bodies] == [("failed", "index_failed")] * 2
    assert all("died 5 times" in body["error"]["message"] for body in bodies)
    with services.store.read() as session:
        assert count(session, ChunkRow) == 0


def test_a_document_whose_job_is_cancelled_says_so(services: Services) -> None:
    _, ids = two(services)
    with services.store.write() as session:
        change(session, JobRow, JobRow.kind == "index", status="cancelled")
    body = documents.get_document(services, ids[0])
    assert (body["status"], body["error"]["code"]) == ("failed", "index_failed")


def test_a_full_disk_is_told_and_what_was_sent_can_be_sent_again(
    services: Services, run_next: RunNext, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus_id, ids = two(services)

    def full(_self: object, _path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("retrieval.index.CorpusIndex.save", full)
        row = services.jobs.claim("test", ["index"])
        assert row is not None
        context = context_of(services, row.id, row.attempt)
        with pytest.raises(DiskFullError):
            indexing.run_index(services, context, indexing.IndexParams(corpus_id=corpus_id))
        services.jobs.finish(row.id, row.attempt, "failed", None, {"code": "disk_full", "message": "full"})
    assert {body["error"]["code"] for body in documents.documents_by_id(services, ids)} == {"disk_full"}
    files = [("도크.md", None, DOCK.encode()), ("반품.md", None, RETURNS.encode())]
    assert uploads.upload_documents(services, corpus_id, files) == ids
    run_next("index")
    assert {body["status"] for body in documents.documents_by_id(services, ids)} == {"processed"}


def test_an_upload_to_a_full_disk_stores_nothing(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus_id = corpora.create_corpus(services, "냉장")["id"]

    def full(*_: object) -> tuple[str, int]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("app.store.blobs.BlobStore.put", full)
    with pytest.raises(DiskFullError, match="disk is full"):
        uploads.upload_documents(services, corpus_id, [("도크.md", None, DOCK.encode())])
    with services.store.read() as session:
        assert listed(session, DocumentRow) == []
