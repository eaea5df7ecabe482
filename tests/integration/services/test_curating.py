"""Curation jobs that are killed: the counts and decisions of one that was not. Settings, originals, deletions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.services import corpora, curating, datasets, deletion, documents, uploads
from app.services.context import Services
from app.services.curating import CurateParams, CurationJobRequest
from app.services.curation_jobs import IMPORT
from app.services.dataset_report import dataset_report
from app.services.files import create_file, delete_file, read_file_bytes
from app.services.stored_files import readable_path
from app.store.queries import change, find, listed
from app.store.tables import JobRow, SampleDocumentRow, SampleRow
from corpora.errors import ConflictError, NotFoundError
from corpora.importers import read_rows
from generators.curation.bulk import BulkCurator
from generators.curation.report import Report
from generators.curation.settings import import_settings
from generators.imported import imported_rows
from tests.integration.services.conftest import RunNext, context_of
from tests.integration.services.test_importing import DATA, ROWS, decisions, row, samples, start

WHO = ("입고", "출고", "반품", "재고", "도크", "야드")
ENDS = (" 맞아?", "가 맞습니까?", "로 전화할까요?")
NUMBERED: list[dict[str, Any]] = [
    row(f"{who} 담당자 번호 010-{2340 + n}-67{n:02}{end}", f"{who} 담당자 번호는 010-{2340 + n}-67{n:02}입니다.")
    for n, (who, end) in enumerate((who, end) for who in WHO for end in ENDS)
]
NUMBERED_DATA = "\n".join(json.dumps(r, ensure_ascii=False) for r in NUMBERED).encode()
MASKED = {
    "personal_data": "mask",
    "semantic_threshold": 0.9,
    "near_duplicate_threshold": 0.95,
    "speech_level": {"user": "polite"},
}


class Killed(BaseException):
    """Stands for a process that is gone."""


def stored(services: Services, dataset_id: str) -> list[tuple[Any, ...]]:
    """All that a curation decides, in order."""
    return [
        (s["status"], s["verdict"] | {"evidence": {**s["verdict"]["evidence"], "of": None}}, s["messages"], s["flags"])
        for s in samples(services, dataset_id)
    ]


def run_killed(services: Services, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """The next curation job, killed after so many batches, and given back to the queue."""
    job = services.jobs.claim("test", ["curate"])
    assert job is not None
    read, done = curating._stored_pairs, list[int]()

    def dies(*args: Any) -> Any:
        if len(done) == after:
            raise Killed
        done.append(1)
        return read(*args)

    with monkeypatch.context() as patch:
        patch.setattr(curating, "_stored_pairs", dies)
        with pytest.raises(Killed):
            curating.run_curate(
                services, context_of(services, job.id, job.attempt), CurateParams.model_validate(job.params)
            )
    services.jobs.release(job.id, job.attempt, crashed=True)


def curated(services: Services, run_next: RunNext, dataset_id: str, **fields: Any) -> dict[str, Any]:
    job = curating.create_curation(services, dataset_id, CurationJobRequest(**fields))
    run_next("curate")
    ended = curating.get_curation(services, dataset_id, job["id"])
    assert ended["status"] == "succeeded", ended
    return dict(ended["result"])


@pytest.mark.parametrize("keep", ["first", "best"])
@pytest.mark.parametrize("kills", [(1,), (2,), (1, 3), (0, 1, 2)])
def test_a_killed_curation_ends_as_one_that_was_not(
    services: Services, run_next: RunNext, monkeypatch: pytest.MonkeyPatch, kills: tuple[int, ...], keep: str
) -> None:
    monkeypatch.setattr(curating, "BATCH", 5)
    whole, torn = (start(services, NUMBERED_DATA)["id"] for _ in range(2))
    run_next("import")
    run_next("import")
    wanted = MASKED | {"keep": keep}
    expected = curated(services, run_next, whole, curation=wanted)
    job = curating.create_curation(services, torn, CurationJobRequest.model_validate({"curation": wanted}))
    for after in kills:
        run_killed(services, monkeypatch, after)
    run_next("curate")
    result = curating.get_curation(services, torn, job["id"])["result"]
    assert result == expected
    assert stored(services, torn) == stored(services, whole)
    assert result["newly_accepted"] > 0 < result["newly_rejected"]
    assert "010-" not in json.dumps([s["messages"] for s in samples(services, torn)])


def test_a_killed_preview_counts_nothing_twice(
    services: Services, run_next: RunNext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curating, "BATCH", 5)
    dataset_id = start(services)["id"]
    run_next("import")
    wanted = {"near_duplicate_threshold": 0.95, "semantic": False}
    expected = curated(services, run_next, dataset_id, curation=wanted, preview=True)
    job = curating.create_curation(
        services, dataset_id, CurationJobRequest.model_validate({"curation": wanted, "preview": True})
    )
    run_killed(services, monkeypatch, 4)
    run_next("curate")
    assert curating.get_curation(services, dataset_id, job["id"])["result"] == expected
    assert expected["newly_accepted"] > 0


@pytest.mark.parametrize("more", [{}, {"keep": "best"}, {"semantic_threshold": 0.5}])
def test_a_preview_tells_what_a_job_at_each_threshold_keeps(
    services: Services, run_next: RunNext, more: dict[str, Any]
) -> None:
    dataset_id = start(services)["id"]
    run_next("import")
    told = curated(services, run_next, dataset_id, curation=more, preview=True)["thresholds"]
    for threshold in ("0.5", "0.7", "0.9"):
        wanted = more | {"near_duplicate_threshold": float(threshold)}
        assert curated(services, run_next, dataset_id, curation=wanted)["accepted"] == told[threshold]


def test_every_row_says_what_decided_last(services: Services, run_next: RunNext) -> None:
    dataset_id = start(services)["id"]
    run_next("import")
    version = datasets.get_dataset(services, dataset_id)["version"]
    curated(services, run_next, dataset_id, curation={"near_duplicate_threshold": 0.71})
    found = {json.dumps(s["provenance"]["versions"], sort_keys=True) for s in samples(services, dataset_id)}
    (versions,) = found
    assert "content_morphemes > 0.71" in versions
    after = datasets.get_dataset(services, dataset_id)
    assert after["manifest"]["versions"] == json.loads(versions)
    # What an export tells of its rows has changed.
    assert after["version"] > version
    details = dataset_report(services, dataset_id, detail=True)["details"]
    assert details["decided_by"] == [{"rows": len(ROWS), "versions": json.loads(versions)}]


def test_details_are_what_the_command_line_measures(services: Services, run_next: RunNext) -> None:
    dataset_id = start(services)["id"]
    run_next("import")
    told = dataset_report(services, dataset_id, detail=True)
    assert dataset_report(services, dataset_id)["details"] is None
    details = json.loads(json.dumps(told["details"], ensure_ascii=False, allow_nan=False))
    assert (details["counts"]["accepted"], details["counts"]["rejected"]) == (told["accepted"], told["rejected"])
    assert {r["reason"]: r["count"] for r in details["reasons"]} == {
        r["reason"]: r["count"] for r in told["rejections"]
    }
    assert {"broken_json", "near_duplicate"} <= {r["reason"] for r in details["reasons"]}
    measured = Report()
    with services.store.read() as session:
        job = find(session, JobRow, JobRow.kind == IMPORT)
    assert job is not None
    path = readable_path(services, job.params["sha256"], "모음.jsonl")
    named = imported_rows(read_rows(path, "messages"), dataset_id, None)
    rows = list(named)
    for sample in BulkCurator(import_settings()).run(lambda: rows):
        measured.add(sample)
    again = measured.to_json()
    for part in ("counts", "distributions", "speech_levels", "diversity", "openings", "funnel", "decided_by"):
        assert details[part] == json.loads(json.dumps(again[part])), part


def originals(services: Services) -> list[str]:
    """Every stored file that holds the import's bytes."""
    folder = services.settings.data_dir
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.read_bytes() == DATA)


def test_the_uploaded_file_goes_with_its_dataset(services: Services, run_next: RunNext) -> None:
    first, second = (start(services)["id"] for _ in range(2))
    run_next("import")
    run_next("import")
    assert len(originals(services)) == 2
    datasets.delete_dataset(services, first)
    # The other dataset came from the same bytes, and its import may still be looked at.
    assert len(originals(services)) == 2
    with services.store.write() as session:
        change(session, JobRow, JobRow.kind == IMPORT, created_at=services.now())
    datasets.delete_dataset(services, second)
    assert originals(services) == []


def test_bytes_that_are_a_file_too_stay(services: Services, run_next: RunNext) -> None:
    file = create_file(services, "모음.jsonl", "fine-tune", iter([DATA]))
    dataset_id = start(services)["id"]
    run_next("import")
    datasets.delete_dataset(services, dataset_id)
    assert b"".join(read_file_bytes(services, file["id"])) == DATA
    delete_file(services, file["id"])


def test_the_same_bytes_coming_in_are_not_taken_away(services: Services, run_next: RunNext) -> None:
    dataset_id = start(services)["id"]
    run_next("import")
    services.blobs.put([DATA], None)  # another upload, whose row is still to be written
    with services.store.write() as session:
        change(session, JobRow, JobRow.kind == IMPORT, created_at=services.now() - 60)
    datasets.delete_dataset(services, dataset_id)
    assert originals(services) != []


def test_a_dataset_that_is_busy_keeps_its_file(services: Services, run_next: RunNext) -> None:
    dataset_id = start(services)["id"]
    with pytest.raises(ConflictError, match="writes to"):
        datasets.delete_dataset(services, dataset_id)
    assert len(originals(services)) == 2
    run_next("import")
    assert len(decisions(services, dataset_id)) == len(ROWS)


def test_samples_are_not_removed_under_a_curation(services: Services, run_next: RunNext) -> None:
    corpus_id = corpora.create_corpus(services, "창고")["id"]
    (document_id,) = uploads.upload_documents(services, corpus_id, [("가.txt", "text/plain", "입고 절차".encode())])
    dataset_id = start(services)["id"]
    run_next("import")
    with services.store.write() as session:
        first = listed(session, SampleRow, SampleRow.dataset_id == dataset_id, limit=1)[0].id
        change(session, SampleRow, SampleRow.id == first, document_id=document_id)
        session.add(SampleDocumentRow(sample_id=first, document_id=document_id))
    curating.create_curation(services, dataset_id, CurationJobRequest())
    with pytest.raises(ConflictError, match="try again") as caught:
        deletion.delete_document(services, document_id, delete_samples=True)
    assert caught.value.code == "dataset_busy"
    assert documents.get_document(services, document_id)["id"] == document_id
    (sample,) = [s for s in samples(services, dataset_id) if s["id"] == first]
    assert not sample["source_deleted"]
    run_next("curate")
    assert deletion.delete_document(services, document_id, delete_samples=True)["datasets"] == [dataset_id]
    with pytest.raises(NotFoundError):
        datasets.get_sample(services, first)
    # Without taking samples away nothing is in a curation's way.
    (other,) = uploads.upload_documents(services, corpus_id, [("나.txt", "text/plain", "출고 절차".encode())])
    curating.create_curation(services, dataset_id, CurationJobRequest())
    assert deletion.delete_document(services, other)["deleted"]
