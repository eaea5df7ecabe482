"""Generation jobs over their life: hold-out decided once, a plan fixed once, deletions, top-ups, counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.services import chunks, curating, datasets, deletion, generation, uploads
from app.services.context import Services
from app.services.dataset_report import dataset_report
from app.services.generating import run_generate
from app.services.generation import GenerationParams, GenerationRequest
from app.store.generation import SqlSampleSink
from app.store.queries import count, listed
from app.store.tables import DocumentRow, PlanRow, SampleRow, SlotRow
from corpora.errors import ConflictError, InvalidInputError
from generators.ports import SlotOutcome
from tests.integration.services.conftest import RunNext, context_of

MakeCorpus = Callable[..., tuple[str, list[str]]]


def page(name: str) -> str:
    return (
        f"# {name} 업무\n\n{name}이란 창고에서 {name} 담당자가 매일 하는 업무를 말합니다.\n\n"
        f"## {name} 등록\n\n{name}을 등록하려면 {name} 화면에서 번호를 입력하고 확인 버튼을 눌러 주십시오.\n"
    )


NAMES = ("반품", "보충", "상차", "하차", "피킹", "패킹", "실사", "검품", "적재", "출하")


def create(services: Services, corpus_id: str, **fields: Any) -> dict[str, Any]:
    return generation.create_job(services, GenerationRequest(corpus_id=corpus_id, **fields))


def sides(services: Services, corpus_id: str) -> dict[str, bool | None]:
    with services.store.read() as session:
        return {row.id: row.heldout for row in listed(session, DocumentRow, DocumentRow.corpus_id == corpus_id)}


def add_up(services: Services, job: dict[str, Any]) -> None:
    """Counts taken from three tables that are written apart must agree."""
    progress = job["progress"]
    with services.store.read() as session:
        slots = listed(session, SlotRow, SlotRow.job_id == job["id"], order_by=SlotRow.slot)
        samples = count(session, SampleRow, SampleRow.job_id == job["id"])
        plan = listed(session, PlanRow, PlanRow.job_id == job["id"], order_by=PlanRow.job_id)
    assert [slot.slot for slot in slots] == list(range(len(slots)))
    assert progress["planned"] == len(plan[0].slots) == progress["done"] + progress["failed"] + progress["pending"]
    assert progress["done"] + progress["failed"] == len(slots)
    assert sum(slot.candidates for slot in slots) == samples == progress["accepted"] + progress["rejected"]


def test_a_side_is_decided_once(services: Services, corpus: MakeCorpus, run_next: RunNext) -> None:
    corpus_id, first = corpus(*(page(name) for name in NAMES[:5]))
    assert set(sides(services, corpus_id).values()) == {None}
    create(services, corpus_id, heldout_fraction=0.0)
    run_next("generate")
    assert sides(services, corpus_id) == dict.fromkeys(first, False)
    # More hold-out later takes from documents that no job has read: the trained ones stay where they are.
    _, second = corpus(*(page(name) for name in NAMES[5:]), corpus_id=corpus_id)
    job = create(services, corpus_id, heldout_fraction=0.2, dataset_id=None)
    now = sides(services, corpus_id)
    assert [now[i] for i in first] == [False] * 5
    assert sum(bool(now[i]) for i in second) == 2
    run_next("generate")
    body = generation.get_job(services, job["id"])
    add_up(services, body)
    rows = datasets.list_samples(services, body["dataset_id"], datasets.SampleFilter(), None, 1000, "asc")[0]
    held = {document_id for document_id, side in now.items() if side}
    assert {row["provenance"]["document_id"] in held for row in rows if row["split"] == "test"} == {True}
    assert {row["provenance"]["document_id"] in held for row in rows if row["split"] == "train"} == {False}


def test_versions_are_kept_with_every_sample_and_in_the_manifest(
    services: Services, corpus: MakeCorpus, run_next: RunNext
) -> None:
    corpus_id, _ = corpus(page("반품"))
    job = create(services, corpus_id)
    run_next("generate")
    rows = datasets.list_samples(services, job["dataset_id"], datasets.SampleFilter(), None, 100, "asc")[0]
    for row in rows:
        versions = row["provenance"]["versions"]
        assert versions["tokenizer"].startswith("kiwipiepy ")
        assert versions["filters"].startswith("v")
        assert versions["embedder"].startswith("hashed")
        assert "0.7" in versions["near_duplicates"]
    assert (
        datasets.get_dataset(services, job["dataset_id"])["manifest"]["versions"] == rows[-1]["provenance"]["versions"]
    )


def test_a_document_deleted_between_two_attempts_leaves_failed_slots(
    services: Services, corpus: MakeCorpus, run_next: RunNext, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus_id, ids = corpus(*(page(name) for name in NAMES[:4]))
    job = create(services, corpus_id, heldout_fraction=0.0)
    row = services.jobs.claim("test", ["generate"])
    assert row is not None

    def dies(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("app.services.generating.run_pipeline", dies)
        with pytest.raises(KeyboardInterrupt):
            run_generate(
                services, context_of(services, row.id, row.attempt), GenerationParams.model_validate(row.params)
            )
    planned = generation.get_job(services, job["id"])["progress"]["planned"]
    assert planned >= 4
    services.jobs.release(row.id, row.attempt, crashed=True)
    gone = [chunk["id"] for chunk in chunks.list_chunks(services, ids[1], None, 100, "asc")[0]]
    deletion.delete_document(services, ids[1])
    run_next("generate")
    body = generation.get_job(services, job["id"])
    assert body["status"] == "succeeded"
    assert body["progress"]["planned"] == planned
    assert (body["progress"]["failed"], body["progress"]["pending"]) == (len(gone), 0)
    add_up(services, body)


def test_documents_still_processing_are_never_left_out_silently(services: Services, corpus: MakeCorpus) -> None:
    corpus_id, _ = corpus(page("반품"))
    uploads.upload_documents(services, corpus_id, [("늦은 문서.md", None, page("보충").encode())])
    with pytest.raises(ConflictError) as caught:
        create(services, corpus_id)
    assert caught.value.code == "documents_processing"


def test_samples_of_a_document_deleted_while_its_job_runs_do_not_appear(
    services: Services, corpus: MakeCorpus, run_next: RunNext, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus_id, ids = corpus(*(page(name) for name in NAMES[:4]))
    job = create(services, corpus_id, heldout_fraction=0.0)
    commit = SqlSampleSink.commit

    def deleting(self: SqlSampleSink, outcome: SlotOutcome) -> None:
        commit(self, outcome)
        if outcome.slot == 0:
            deletion.delete_document(services, ids[-1], delete_samples=True)

    monkeypatch.setattr(SqlSampleSink, "commit", deleting)
    run_next("generate")
    body = generation.get_job(services, job["id"])
    add_up(services, body)
    assert body["progress"]["failed"] >= 1
    rows = datasets.list_samples(services, job["dataset_id"], datasets.SampleFilter(), None, 1000, "asc")[0]
    assert ids[-1] not in {row["provenance"]["document_id"] for row in rows}


def test_a_top_up_goes_on_where_the_target_was_reached(
    services: Services, corpus: MakeCorpus, run_next: RunNext
) -> None:
    corpus_id, _ = corpus(*(page(name) for name in NAMES[:6]))
    whole = create(services, corpus_id, heldout_fraction=0.0)
    run_next("generate")
    job = create(services, corpus_id, heldout_fraction=0.0, target=2)
    run_next("generate")
    before = generation.get_job(services, job["id"])
    assert before["status"] == "succeeded"
    with pytest.raises(ConflictError):
        generation.resume_job(services, job["id"], target=before["progress"]["accepted"])
    generation.resume_job(services, job["id"], target=5)
    run_next("generate")
    after = generation.get_job(services, job["id"])
    assert after["progress"]["accepted"] >= 5
    add_up(services, after)

    def questions(body: dict[str, Any]) -> list[str]:
        accepted = datasets.SampleFilter(status="accepted")
        rows = datasets.list_samples(services, body["dataset_id"], accepted, None, 1000, "asc")[0]
        return [row["messages"][0]["content"] for row in rows]

    assert questions(after) == questions(whole)[: len(questions(after))]


def test_samples_removed_with_their_document_are_counted(
    services: Services, corpus: MakeCorpus, run_next: RunNext
) -> None:
    corpus_id, ids = corpus(*(page(name) for name in NAMES[:3]))
    job = create(services, corpus_id, heldout_fraction=0.0)
    run_next("generate")
    before = dataset_report(services, job["dataset_id"])
    assert before["candidates"] == before["accepted"] + before["rejected"]
    deletion.delete_document(services, ids[0], delete_samples=True)
    after = dataset_report(services, job["dataset_id"])
    assert after["removed"] > 0
    assert after["candidates"] == before["candidates"] == after["accepted"] + after["rejected"] + after["removed"]
    assert after["version"] == before["version"] + 1


def test_a_dataset_in_use_is_not_deleted_and_a_deleted_one_not_resumed(
    services: Services, corpus: MakeCorpus, run_next: RunNext
) -> None:
    corpus_id, _ = corpus(page("반품"))
    job = create(services, corpus_id, target=500)
    generation.stop_job(services, job["id"], "pause")
    with pytest.raises(ConflictError) as caught:
        datasets.delete_dataset(services, job["dataset_id"])
    assert caught.value.code == "dataset_busy"
    generation.resume_job(services, job["id"])
    run_next("generate")
    assert generation.get_job(services, job["id"])["status"] == "incomplete"
    datasets.delete_dataset(services, job["dataset_id"])
    with pytest.raises(ConflictError) as caught:
        generation.resume_job(services, job["id"])
    assert caught.value.code == "dataset_deleted"


def test_a_generator_is_named_once(services: Services, corpus: MakeCorpus) -> None:
    corpus_id, _ = corpus(page("반품"))
    with pytest.raises(InvalidInputError, match="twice"):
        create(services, corpus_id, generators=[{"type": "extractive_qa"}, {"type": "extractive_qa", "weight": 2}])


def test_training_samples_never_give_a_held_out_page_away(
    services: Services, corpus: MakeCorpus, run_next: RunNext
) -> None:
    """Two documents that share a stock section: whichever is held out, the other must not teach it."""
    stock = (
        "\n## 안전 수칙을 확인하는 방법\n\n안전 수칙을 확인하려면 다음 순서대로 진행합니다.\n\n"
        "1. 작업 전에 안전화와 안전모를 착용합니다.\n2. 통로의 적재물을 치웁니다.\n"
        "3. 비상 정지 단추가 눌려 있지 않은지 살핍니다.\n4. 이상이 있으면 반장에게 알립니다.\n"
    )
    corpus_id, _ = corpus(page("반품") + stock, page("보충") + stock)
    job = create(services, corpus_id, heldout_fraction=0.5)
    run_next("generate")
    rows = datasets.list_samples(services, job["dataset_id"], datasets.SampleFilter(), None, 1000, "asc")[0]
    about = [row for row in rows if row["messages"] and "비상 정지" in row["messages"][1]["content"]]
    assert {(row["split"], row["verdict"]["stage"]) for row in about if row["split"] == "train"} == {
        ("train", "contamination")
    }
    assert any(row["split"] == "test" for row in about)
    add_up(services, generation.get_job(services, job["id"]))

    # Judged again, they stay out, and what the generator's own limits refused stays refused.
    before = [(row["id"], row["status"], row["verdict"]["reason"]) for row in rows]
    curating.create_curation(services, job["dataset_id"], curating.CurationJobRequest())
    run_next("curate")
    again = datasets.list_samples(services, job["dataset_id"], datasets.SampleFilter(), None, 1000, "asc")[0]
    assert [(row["id"], row["status"], row["verdict"]["reason"]) for row in again] == before
