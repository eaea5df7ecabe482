"""A zip that comes again with changes: what becomes of its members, of their samples, and of zips that share them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from app.jobs.kinds import JobOutcome
from app.services import archive_revisions, corpora, deletion, documents, indexing, ingest, uploads
from app.services.context import Services
from app.services.fetching import Fetched
from app.settings import Settings
from app.store.queries import count, find, listed
from app.store.tables import ChunkRow, DatasetRow, DocumentRow, SampleDocumentRow, SampleRow
from tests.integration.services.conftest import KilledError, RunNext, context_of, die
from tests.integration.services.test_documents import with_addresses
from tests.integration.services.test_revisions import hits, manual, rows, sample

DOCK = "# 도크\n\n도크란 차량이 짐을 내리는 자리를 말합니다."
RETURNS = "# 반품\n\n반품이란 출고된 상품이 창고로 돌아오는 일을 말합니다."
STOCK = "# 재고\n\n재고란 창고에 남아 있는 상품을 말합니다."
LATER = {"출고": "출고 마감 시각은 오후 다섯 시로 바뀌었습니다. 주말에는 출고하지 않습니다. "}
Send = Callable[..., dict[str, Any]]


def zipped(members: Mapping[str, bytes | str]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)  # without the time: the same files are the same bytes
    return held.getvalue()


@pytest.fixture
def corpus_id(services: Services) -> str:
    return str(corpora.create_corpus(services, "지침")["id"])


@pytest.fixture
def send(services: Services, run_next: RunNext, corpus_id: str) -> Send:
    """Uploads one zip, runs the index job and gives the document that answers for it."""

    def upload(members: Mapping[str, bytes | str], name: str = "지침.zip") -> dict[str, Any]:
        (document_id,) = uploads.upload_documents(services, corpus_id, [(name, None, zipped(members))])
        run_next("index")
        return documents.get_document(services, document_id)

    return upload


def all_of(services: Services, corpus_id: str) -> dict[str, dict[str, Any]]:
    found, _ = documents.list_documents(services, corpus_id, None, 100, "asc")
    assert len({entry["filename"] for entry in found}) == len(found)
    return {entry["filename"]: entry for entry in found}


def ids(bodies: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {name: body["id"] for name, body in bodies.items()}


def named(entries: list[dict[str, str]]) -> list[str]:
    return [entry["filename"] for entry in entries]


def test_a_newer_zip_changes_only_the_members_that_changed(
    services: Services, run_next: RunNext, corpus_id: str
) -> None:
    first = zipped({"출고.md": manual(), "도크.md": DOCK, "반품.md": RETURNS})
    newer = zipped({"출고.md": manual(**LATER), "도크.md": DOCK, "재고.md": STOCK})
    (zip_id,) = uploads.upload_documents(services, corpus_id, [("지침.zip", None, first)])
    run_next("index")
    before = all_of(services, corpus_id)
    chunks = rows(services, before["지침.zip/출고.md"]["id"])
    assert uploads.upload_documents(services, corpus_id, [("지침.zip", None, newer)]) == [zip_id]
    assert documents.get_document(services, zip_id)["status"] == "processing"
    outcome = run_next("index")
    after = all_of(services, corpus_id)
    assert list(after) == ["지침.zip", "지침.zip/출고.md", "지침.zip/도크.md", "지침.zip/재고.md"]
    assert {name: one["id"] for name, one in after.items() if name in before} == {
        name: one for name, one in ids(before).items() if name in after
    }
    assert {one["status"] for one in after.values()} == {"processed"}
    assert {one["archive_id"] for one in after.values()} == {None, zip_id}
    changed = after["지침.zip/출고.md"]
    assert (changed["revision"], changed["changes"]["kept"]) == (2, len(chunks) - 1)
    assert (len(changed["changes"]["added"]), len(changed["changes"]["removed"])) == (1, 1)
    newest = rows(services, changed["id"])
    same = chunks.keys() & newest.keys()
    assert {text: chunks[text].seq for text in same} == {text: newest[text].seq for text in same}
    assert after["지침.zip/도크.md"] == before["지침.zip/도크.md"]
    # Of four documents one chunk came in the changed one, one is the new one; one and the removed one's went.
    assert outcome.result is not None
    assert (outcome.result["added"], outcome.result["removed"]) == (2, 2)
    archive = after["지침.zip"]
    told = archive["changes"]
    assert (archive["revision"], told["revision"], told["sha256"]) == (2, 2, before["지침.zip"]["sha256"])
    assert named(told["members_added"]) == ["지침.zip/재고.md"]
    assert named(told["members_changed"]) == ["지침.zip/출고.md"]
    assert told["members_removed"] == [
        {"document_id": before["지침.zip/반품.md"]["id"], "filename": "지침.zip/반품.md"}
    ]
    assert (told["members_kept"], archive["documents"]) == (1, 3)
    assert services.blobs.stored_at(before["지침.zip"]["sha256"]) is None
    assert services.blobs.stored_at(archive["sha256"]) is not None
    assert "다섯 시" in hits(services, corpus_id, "출고 마감 시각이 언제인가요?")[0]
    assert not any("돌아오는 일" in text for text in hits(services, corpus_id, "출고된 상품이 창고로 돌아오는 일"))


def test_samples_follow_the_members_of_a_zip(services: Services, send: Send, corpus_id: str) -> None:
    send({"출고.md": manual(), "반품.md": RETURNS})
    before = all_of(services, corpus_id)
    quotes = {"지침.zip/출고.md": "무거운 상품은 아래 칸에 둡니다.", "지침.zip/반품.md": "반품이란 출고된 상품"}
    with services.store.write() as session:
        session.add(DatasetRow(id="ds_1", name="지침", corpus_id=corpus_id, created_at=0.0))
        session.flush()
        for number, (name, quote) in enumerate(quotes.items()):
            document_id = before[name]["id"]
            at = documents.document_text(services, document_id).index(quote)
            row = next(row for text, row in rows(services, document_id).items() if quote in text)
            session.add(sample(document_id, number, row, at, at + len(quote)))
            session.flush()
            session.add(SampleDocumentRow(sample_id=f"sample_{number}", document_id=document_id))
    send({"출고.md": manual(입고="입고는 예약한 차량만 받습니다. ")})
    text = documents.document_text(services, before["지침.zip/출고.md"]["id"])
    with services.store.read() as session:
        kept, gone = (find(session, SampleRow, SampleRow.id == f"sample_{number}") for number in range(2))
    assert kept is not None
    assert gone is not None
    assert (kept.source_deleted, gone.source_deleted) == (False, True)
    (span,) = kept.provenance["spans"]
    assert text[span["start"] : span["end"]] == quotes["지침.zip/출고.md"]


def test_files_that_move_or_change_places_keep_what_is_known_of_them(
    services: Services, send: Send, corpus_id: str
) -> None:
    send({"가.md": DOCK, "나.md": RETURNS, "다.md": STOCK})
    before = ids(all_of(services, corpus_id))
    archive = send({"가.md": RETURNS, "나.md": DOCK, "폴더/다.md": STOCK})
    after = all_of(services, corpus_id)
    assert ids(after) == {name: before["지침.zip/다.md" if name.endswith("폴더/다.md") else name] for name in after}
    assert [documents.document_text(services, after[f"지침.zip/{name}"]["id"]) for name in ("가.md", "나.md")] == [
        RETURNS,
        DOCK,
    ]
    assert after["지침.zip/폴더/다.md"]["revision"] == 1
    assert len(archive["changes"]["members_changed"]) == 3
    # A copy is no document of its own; the one under the name of before stays.
    archive = send({"사본.md": RETURNS, "가.md": RETURNS, "나.md": STOCK})
    last = all_of(services, corpus_id)
    assert set(last) == {"지침.zip", "지침.zip/가.md", "지침.zip/나.md"}
    assert last["지침.zip/가.md"]["id"] == before["지침.zip/가.md"]
    assert "지침.zip/사본.md" in archive["warnings"][0]
    assert named(archive["changes"]["members_removed"]) == ["지침.zip/폴더/다.md"]


def test_a_newer_zip_or_member_that_cannot_be_read_leaves_the_earlier_one(
    services: Services, send: Send, run_next: RunNext, corpus_id: str
) -> None:
    page = "<html><body><h1>도크</h1><p>도크란 차량이 짐을 내리는 자리를 말합니다.</p></body></html>"
    first = send({"도크.html": page, "빈.md": "", "반품.md": RETURNS})
    before = all_of(services, corpus_id)
    broken = zipped({"도크.html": page, "재고.md": STOCK})[:-40]
    uploads.upload_documents(services, corpus_id, [("지침.zip", None, broken)])
    run_next("index")
    kept = documents.get_document(services, first["id"])
    assert (kept["status"], kept["revision"], kept["changes"]["revision"]) == ("processed", 1, None)
    assert kept["changes"]["error"]["code"] == "damaged_file"
    assert ids(all_of(services, corpus_id)) == ids(before)
    newer = send({"도크.html": "<html></html>", "빈.md": STOCK, "반품.md": RETURNS})
    after = all_of(services, corpus_id)
    assert ids(after) == ids(before)
    member = after["지침.zip/도크.html"]
    assert (member["status"], member["revision"], member["changes"]["error"]["code"]) == ("processed", 1, "no_text")
    assert "도크란" in documents.document_text(services, member["id"])
    assert after["지침.zip/빈.md"]["status"] == "processed"
    assert (newer["revision"], named(newer["changes"]["members_changed"])) == (2, ["지침.zip/빈.md"])


NEWER = {"재고.md": STOCK, "나.md": RETURNS + "\n\n검수한 뒤에 받습니다.", "가.md": DOCK + "\n\n번호를 봅니다."}


@pytest.mark.parametrize("step", ["_renew", "store_document", "_end"])
def test_an_attempt_that_is_killed_in_a_newer_zip_goes_on(
    services: Services, send: Send, run_next: RunNext, corpus_id: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    send({"가.md": DOCK, "나.md": RETURNS, "라.md": manual()})
    before = ids(all_of(services, corpus_id))
    (zip_id,) = uploads.upload_documents(services, corpus_id, [("지침.zip", None, zipped(NEWER))])
    real = getattr(archive_revisions, step)
    calls = []

    def dying(*args: Any) -> Any:
        calls.append(1)
        if len(calls) == (2 if step == "_renew" else 1):
            raise KilledError
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(archive_revisions, step, dying)
        die(services)
    assert documents.get_document(services, zip_id)["status"] == "processing"
    assert run_next("index").status == "succeeded"
    after = all_of(services, corpus_id)
    assert set(after) == {"지침.zip", "지침.zip/재고.md", "지침.zip/나.md", "지침.zip/가.md"}
    for name in ("지침.zip", "지침.zip/나.md", "지침.zip/가.md"):
        assert (after[name]["id"], after[name]["revision"], after[name]["status"]) == (before[name], 2, "processed")
    told = after["지침.zip"]["changes"]
    assert named(told["members_added"]) == ["지침.zip/재고.md"]
    assert sorted(named(told["members_changed"])) == ["지침.zip/가.md", "지침.zip/나.md"]
    assert named(told["members_removed"]) == ["지침.zip/라.md"]
    with services.store.read() as session:
        assert count(session, ChunkRow) == sum(one["chunk_count"] for one in after.values())


def test_a_zip_that_was_begun_gives_way_to_the_next_and_to_the_first(
    services: Services, send: Send, run_next: RunNext, corpus_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = {"가.md": DOCK, "나.md": RETURNS}
    archive = send(first)
    uploads.upload_documents(services, corpus_id, [("지침.zip", None, zipped(NEWER))])

    def dying(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(archive_revisions, "_end", dying)
        die(services)
    assert uploads.upload_documents(services, corpus_id, [("지침.zip", None, zipped(first))]) == [archive["id"]]
    run_next("index")
    after = all_of(services, corpus_id)
    assert set(after) == {"지침.zip", "지침.zip/가.md", "지침.zip/나.md"}
    assert (after["지침.zip"]["revision"], after["지침.zip"]["changes"]) == (1, None)
    assert documents.document_text(services, after["지침.zip/가.md"]["id"]) == DOCK
    # And what is deleted alone comes back with its zip.
    deletion.delete_document(services, after["지침.zip/나.md"]["id"])
    run_next("index")
    send(first)
    assert set(all_of(services, corpus_id)) == set(after)


def test_a_newer_zip_that_kills_its_worker_says_how_far_it_came(
    services: Services, send: Send, run_next: RunNext, corpus_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = send({"가.md": DOCK, "나.md": RETURNS})
    uploads.upload_documents(services, corpus_id, [("지침.zip", None, zipped(NEWER))])

    def dying(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(archive_revisions, "_end", dying)
        die(services)
        die(services)
        run_next("index")
    kept = documents.get_document(services, archive["id"])
    assert (kept["status"], kept["revision"], kept["changes"]["error"]["code"]) == ("processed", 1, "worker_crashed")
    assert "with files of the newer zip among its own" in kept["warnings"][-1]
    newer = send(NEWER)
    assert (newer["revision"], newer["changes"].get("error"), newer["warnings"]) == (2, None, [])
    assert newer["changes"]["members_kept"] == 3
    assert {one["status"] for one in all_of(services, corpus_id).values()} == {"processed"}


def test_a_zip_that_has_only_the_name_in_common_stands_beside_the_other(
    services: Services, send: Send, corpus_id: str
) -> None:
    first = send({"가.md": DOCK})
    told = send({"나.md": RETURNS})
    assert (told["id"], told["revision"], told["documents"]) == (first["id"], 1, 1)
    own = documents.get_document(services, told["changes"]["separate_document_id"])
    assert (own["status"], own["documents"], own["filename"]) == ("processed", 1, "지침.zip")
    # The newest of the name is asked first; the next zip of the earlier one's files still finds it.
    told = send({"가.md": DOCK, "다.md": STOCK})
    assert told["changes"]["separate_document_id"] == first["id"]
    again = documents.get_document(services, first["id"])
    assert (again["revision"], named(again["changes"]["members_added"])) == (2, ["지침.zip/다.md"])
    assert documents.get_document(services, own["id"])["documents"] == 1


def test_a_member_of_two_zips_outlives_the_one_that_goes(
    services: Services, send: Send, run_next: RunNext, corpus_id: str
) -> None:
    first = send({"공통.md": DOCK, "가.md": RETURNS}, "하나.zip")
    second = send({"안/공통.md": DOCK, "나.md": STOCK}, "둘.zip")
    shared = all_of(services, corpus_id)["하나.zip/공통.md"]
    assert shared["id"] in second["warnings"][0]
    deletion.delete_document(services, first["id"])
    run_next("index")
    after = all_of(services, corpus_id)
    assert set(after) == {"둘.zip", "둘.zip/안/공통.md", "둘.zip/나.md"}
    moved = after["둘.zip/안/공통.md"]
    assert (moved["id"], moved["archive_id"], moved["chunk_count"]) == (shared["id"], second["id"], 1)
    assert "짐을 내리는" in hits(services, corpus_id, "도크란 무엇인가요?")[0]
    # Nor does it go with a file that a newer zip leaves out.
    send({"공통.md": DOCK, "가.md": RETURNS}, "하나.zip")
    send({"나.md": STOCK}, "둘.zip")
    left = all_of(services, corpus_id)
    assert (left["하나.zip/공통.md"]["id"], left["하나.zip"]["documents"]) == (shared["id"], 2)
    deletion.delete_document(services, left["하나.zip"]["id"])
    assert set(all_of(services, corpus_id)) == {"둘.zip", "둘.zip/나.md"}


def test_a_member_that_changes_in_one_zip_is_read_out_of_the_other(
    services: Services, send: Send, run_next: RunNext, corpus_id: str
) -> None:
    send({"공통.md": DOCK, "가.md": RETURNS}, "하나.zip")
    second = send({"공통.md": DOCK, "나.md": STOCK}, "둘.zip")
    shared = all_of(services, corpus_id)["하나.zip/공통.md"]["id"]
    send({"공통.md": DOCK + "\n\n번호를 봅니다.", "가.md": RETURNS}, "하나.zip")
    run_next("index")
    after = all_of(services, corpus_id)
    assert after["하나.zip/공통.md"]["id"] == shared
    assert documents.document_text(services, after["둘.zip/공통.md"]["id"]) == DOCK
    assert (after["둘.zip"]["id"], after["둘.zip"]["revision"], after["둘.zip"]["warnings"]) == (second["id"], 1, [])
    assert {one["status"] for one in after.values()} == {"processed"}


def test_a_revision_of_a_zip_outlives_an_index_job_that_fails(
    services: Services, send: Send, run_next: RunNext, corpus_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = send({"가.md": DOCK, "나.md": RETURNS})
    uploads.upload_documents(services, corpus_id, [("지침.zip", None, zipped(NEWER))])

    def down(*_: object) -> None:
        raise RuntimeError("the endpoint is down")

    with monkeypatch.context() as patch:
        patch.setattr("retrieval.index.CorpusIndex.save", down)
        row = services.jobs.claim("test", ["index"])
        assert row is not None
        with pytest.raises(RuntimeError):
            indexing.run_index(
                services, context_of(services, row.id, row.attempt), indexing.IndexParams(corpus_id=corpus_id)
            )
        services.jobs.finish(row.id, row.attempt, "failed", None, {"code": "internal_error", "message": "down"})
    kept = documents.get_document(services, archive["id"])
    assert (kept["status"], kept["revision"], len(kept["changes"]["members_changed"])) == ("processed", 2, 2)
    assert kept["changes"]["error"]
    # The new member failed with the job; the zip once more brings it.
    send(NEWER)
    assert {one["status"] for one in all_of(services, corpus_id).values()} == {"processed"}
    assert "번호를 봅니다" in hits(services, corpus_id, "도크에서 번호를 봅니다")[0]


def test_a_zip_of_an_address_is_compared_when_it_is_fetched_again(
    services: Services, run_next: RunNext, corpus_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = [zipped({"가.md": DOCK, "라.md": STOCK}), zipped(NEWER | {"나.md": RETURNS, "재고.md": manual()})]

    def fetch(url: str, _settings: Settings) -> Fetched:
        return Fetched(name="지침.zip", media_type="application/zip", data=replies.pop(0), url=url)

    monkeypatch.setattr(ingest, "fetch", fetch)
    asking = with_addresses(services)
    outcomes: list[JobOutcome] = []
    for _ in range(2):
        before = ids(all_of(services, corpus_id))
        uploads.add_url(asking, corpus_id, "https://example.com/d.zip")
        outcomes.append(run_next("index"))
    after = all_of(services, corpus_id)
    assert set(after) == {"지침.zip", "지침.zip/가.md", "지침.zip/나.md", "지침.zip/재고.md"}
    assert after["지침.zip/가.md"]["id"] == before["지침.zip/가.md"]
    assert after["지침.zip/가.md"]["revision"] == 2
    assert [one.status for one in outcomes] == ["succeeded"] * 2
    with services.store.read() as session:
        assert not listed(session, DocumentRow, DocumentRow.pending.is_not(None))
