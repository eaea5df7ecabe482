"""Imports and curation jobs: the command line's own decisions, resumable, previewed, undone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.services import curating, datasets, importing
from app.services.context import Services
from app.services.curating import CurationJobRequest
from app.services.curation_jobs import import_of
from app.services.curation_request import BulkCurationRequest, curation_settings
from app.services.dataset_report import dataset_report
from app.services.exporting import ExportRequest, open_export
from app.services.file_curation import CurationFiles, curate_files
from app.services.file_rows import InputRows
from app.store.generation import SqlSampleSink
from app.store.queries import count, listed, remove
from app.store.tables import JobRow, SampleRow, SlotRow
from corpora.errors import ConflictError, InvalidInputError
from generators.ports import SlotOutcome
from tests.integration.services.conftest import RunNext, context_of

TOPICS = ("입고 검수", "출고 확정", "반품 접수", "재고 실사", "로트 추적", "도크 배정", "파손 처리", "웨이브 편성")
ENDINGS = ("누가 맡나요?", "누가 맡습니까?", "언제 하나요?", "언제 합니까?", "어느 화면에서 하나요?")


def row(question: str, answer: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


ROWS: list[Any] = [
    row(f"{topic} 업무는 {ending}", f"{topic} 업무는 담당자가 정해진 화면에서 처리합니다. {number}번 항목을 보십시오.")
    for number, (ending, topic) in enumerate((e, t) for e in ENDINGS for t in TOPICS)
]
ROWS.insert(7, row("??", "!!"))
ROWS.insert(11, '{"messages": [')
DATA = "\n".join(r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in ROWS).encode()


def start(services: Services, data: bytes = DATA, name: str = "모음.jsonl", **curation: Any) -> dict[str, Any]:
    wanted = BulkCurationRequest(**curation)
    return importing.create_import(services, (name, [data]), name=None, format=None, curation=wanted)


def finished(services: Services, dataset_id: str) -> JobRow:
    with services.store.read() as session:
        job = import_of(session, dataset_id)
    assert job is not None
    return job


def samples(services: Services, dataset_id: str, **wanted: Any) -> list[dict[str, Any]]:
    return datasets.list_samples(services, dataset_id, datasets.SampleFilter(**wanted), None, 1000, "asc")[0]


def decisions(services: Services, dataset_id: str) -> list[tuple[str, str]]:
    return [(s["status"], s["verdict"]["reason"]) for s in samples(services, dataset_id)]


@pytest.mark.parametrize("keep", ["first", "best"])
def test_the_job_and_the_command_line_agree(services: Services, run_next: RunNext, tmp_path: Path, keep: str) -> None:
    body = start(services, keep=keep)
    assert body["import_job"]["status"] == "queued"
    run_next("import")
    source = tmp_path / "모음.jsonl"
    source.write_bytes(DATA)
    files = CurationFiles(inputs=(source,), output=tmp_path / "out.jsonl", rejected=tmp_path / "rejected.jsonl")
    counts = curate_files(files, curation_settings(BulkCurationRequest(keep=keep)))
    accepted = [{"messages": s["messages"]} for s in samples(services, body["id"], status="accepted")]
    assert accepted == [json.loads(line) for line in files.output.read_text(encoding="utf-8").splitlines()]
    found = datasets.get_dataset(services, body["id"])
    assert found["import_job"]["progress"] == {
        "rows": len(ROWS),
        "accepted": counts.accepted,
        "rejected": counts.rejected.total(),
    }
    assert found["import_job"]["rejections"] == dict(counts.rejected)
    assert {"near_duplicate", "question_wordless", "broken_json"} <= set(counts.rejected)
    (unread,) = samples(services, body["id"], reason="broken_json")
    assert unread["malformed"].startswith("broken_json: 모음.jsonl, line 12: ")
    report = dataset_report(services, body["id"])
    assert report["candidates"] == len(ROWS) == report["accepted"] + report["rejected"]


def test_an_import_that_was_killed_goes_on(
    services: Services, run_next: RunNext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "ROWS_PER_SLOT", 6)
    whole = start(services)
    run_next("import")
    torn = start(services)
    commit = SqlSampleSink.commit

    def dies(self: SqlSampleSink, outcome: SlotOutcome) -> None:
        if outcome.slot == 3:
            raise KeyboardInterrupt
        commit(self, outcome)

    job = services.jobs.claim("test", ["import"])
    assert job is not None
    with monkeypatch.context() as patch:
        patch.setattr(SqlSampleSink, "commit", dies)
        with pytest.raises(KeyboardInterrupt):
            importing.run_import(
                services, context_of(services, job.id, job.attempt), importing.ImportParams.model_validate(job.params)
            )
    with services.store.read() as session:
        assert count(session, SampleRow, SampleRow.job_id == job.id) == 18
    services.jobs.release(job.id, job.attempt, crashed=True)
    run_next("import")
    assert decisions(services, torn["id"]) == decisions(services, whole["id"])
    with services.store.read() as session:
        slots = listed(session, SlotRow, SlotRow.job_id == job.id, order_by=SlotRow.slot)
    assert [slot.slot for slot in slots] == list(range(7))


@pytest.mark.parametrize(
    ("data", "name", "code"),
    [(b"", "a.jsonl", "empty_file"), (b"plain words\n", "a.txt", "unknown_format"), (b"\x00" * 99, "a.csv", None)],
)
def test_what_no_format_fits_is_refused_at_once(services: Services, data: bytes, name: str, code: str | None) -> None:
    with pytest.raises(InvalidInputError) as caught:
        start(services, data, name)
    assert code is None or caught.value.code == code
    assert datasets.list_datasets(services, None, 10, "asc")[0] == []


@pytest.fixture
def imported(services: Services, run_next: RunNext) -> str:
    body = start(services)
    run_next("import")
    return str(body["id"])


def curate(services: Services, run_next: Callable[..., Any], dataset_id: str, **fields: Any) -> dict[str, Any]:
    job = curating.create_curation(services, dataset_id, CurationJobRequest(**fields))
    run_next("curate")
    return curating.get_curation(services, dataset_id, job["id"])


def test_a_preview_counts_and_changes_nothing(services: Services, run_next: RunNext, imported: str) -> None:
    before, version = decisions(services, imported), datasets.get_dataset(services, imported)["version"]
    looser = {"near_duplicate_threshold": 0.95, "semantic": False}
    told = curate(services, run_next, imported, curation=looser, preview=True)["result"]
    assert decisions(services, imported) == before
    assert datasets.get_dataset(services, imported)["version"] == version
    done = curate(services, run_next, imported, curation=looser)["result"]
    assert {key: told[key] for key in done} == done
    assert told["accepted"] == told["thresholds"]["0.95"]
    assert told["newly_accepted"] > 0
    assert told["rows"] == len(ROWS) == told["accepted"] + told["rejected"]
    after = datasets.get_dataset(services, imported)
    assert after["sample_count"] == told["accepted"]
    assert after["version"] > version


def test_going_back_restores_every_decision(services: Services, run_next: RunNext, imported: str) -> None:
    before = decisions(services, imported)
    curate(services, run_next, imported, curation={"near_duplicate_threshold": 0.95, "semantic": False})
    assert decisions(services, imported) != before
    curate(services, run_next, imported)
    assert decisions(services, imported) == before
    # The same settings again change nothing, not even the version.
    version = datasets.get_dataset(services, imported)["version"]
    same = curate(services, run_next, imported)["result"]
    assert (same["newly_accepted"], same["newly_rejected"]) == (0, 0)
    assert datasets.get_dataset(services, imported)["version"] == version


def test_held_against_a_test_dataset(services: Services, run_next: RunNext, imported: str) -> None:
    test = start(services, json.dumps(ROWS[0], ensure_ascii=False).encode(), "시험.jsonl")
    run_next("import")
    result = curate(services, run_next, imported, against=[test["id"]])["result"]
    assert result["rejections"]["contaminated_question"] >= 1
    (first, *_) = samples(services, imported, reason="contaminated_question")
    assert first["verdict"]["evidence"]["of"] == samples(services, test["id"])[0]["id"]


def test_rows_removed_while_a_curation_runs_disturb_no_other(
    services: Services, run_next: RunNext, imported: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curating, "BATCH", 10)
    texts = {s["id"]: s["messages"] for s in samples(services, imported)}
    gone = list(texts)[15]
    apply = curating._apply

    def removing(*args: Any) -> None:
        apply(*args)
        with services.store.write() as session:
            remove(session, SampleRow, SampleRow.id == gone)

    monkeypatch.setattr(curating, "_apply", removing)
    curate(services, run_next, imported, curation={"near_duplicate_threshold": 0.95, "semantic": False})
    assert {s["id"]: s["messages"] for s in samples(services, imported)} == {
        key: value for key, value in texts.items() if key != gone
    }


def test_a_dataset_is_not_held_against_itself(services: Services, imported: str) -> None:
    with pytest.raises(InvalidInputError, match="itself"):
        curating.create_curation(services, imported, CurationJobRequest(against=[imported]))


def test_a_file_of_which_no_row_can_be_read_fails(services: Services, run_next: RunNext) -> None:
    body = start(services, DATA.split(b"\n")[0].replace(b"assistant", b"robot") + b"\n")
    run_next("import")
    job = datasets.get_dataset(services, body["id"])["import_job"]
    assert (job["status"], job["error"]["code"]) == ("failed", "nothing_fits")


def test_progress_ends_at_the_exact_count_and_the_result_says_what_was_not_read(
    services: Services, run_next: RunNext
) -> None:
    body = start(services)
    run_next("import")
    job = finished(services, body["id"])
    assert job.progress == {"rows": len(ROWS)}
    assert job.result is not None
    assert job.result["unreadable"] == {"broken_json": 1}


def test_variants_and_sides_survive_export_and_import(services: Services, run_next: RunNext) -> None:
    told = {"group_id": "group_1", "group": "doc_1"}
    twins = [
        row("재고 실사 일정은 누가 정하나요?", "담당자가 정합니다."),
        row("재고 실사 일정은 누가 정해?", "담당자가 정해."),
    ]
    test = {**row("도크 배정은 어디서 하나요?", "배정 화면에서 합니다."), "metadata": {"split": "test"}}
    data = "\n".join(json.dumps(r, ensure_ascii=False) for r in [*({**t, "metadata": told} for t in twins), test])
    blocks = [data.encode()]
    for _ in range(3):
        body = importing.create_import(
            services, ("모음.jsonl", blocks), name=None, format=None, curation=BulkCurationRequest()
        )
        run_next("import")
        found = [(s["status"], s["split"]) for s in samples(services, body["id"])]
        assert found == [("accepted", "train"), ("accepted", "train"), ("accepted", "test")]
        export = open_export(services, str(body["id"]), ExportRequest(split="all", metadata=True))
        assert export.blocks is not None
        blocks = [b"".join(export.blocks)]
        first, second, _ = (json.loads(line)["metadata"] for line in blocks[0].splitlines())
        assert first["group_id"] == second["group_id"] is not None
        assert first["group"] == second["group"] is not None


def test_an_import_may_drop_passages_and_sides(services: Services, run_next: RunNext) -> None:
    data = json.dumps(
        {
            "질문": "피킹 오더는 언제 생기나요?",
            "답변": "릴리스하면 생깁니다.",
            "지문": "릴리스하면 생긴다.",
            "split": "test",
        }
    ).encode()
    for options, roles, split in (
        (dict[str, Any](), ["system", "user", "assistant"], "test"),
        ({"context": "drop", "own_split": False}, ["user", "assistant"], "train"),
    ):
        body = importing.create_import(
            services, ("a.jsonl", [data]), name=None, format=None, curation=BulkCurationRequest(), **options
        )
        run_next("import")
        (sample,) = samples(services, body["id"])
        assert ([m["role"] for m in sample["messages"]], sample["split"]) == (roles, split)
        kept = {"context_dropped": 1} if options else {"context_kept": 1, "own_test": 1}
        result = finished(services, body["id"]).result
        assert result is not None
        assert result["told"] == kept


def test_keep_best_notices_a_file_that_changed_under_its_hands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = tmp_path / "모음.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(DATA)
    out.write_text("earlier\n", encoding="utf-8")
    read, readings = InputRows.rows, []

    def changed(self: InputRows) -> Any:
        readings.append(self)
        if len(readings) == 3:
            # As many rows, and as many bytes.
            source.write_bytes(DATA.replace("입고 검수".encode(), "출고 검수".encode()))
        return read(self)

    monkeypatch.setattr(InputRows, "rows", changed)
    files = CurationFiles(inputs=(source,), output=out)
    with pytest.raises(ConflictError, match="changed"):
        curate_files(files, curation_settings(BulkCurationRequest(keep="best")))
    assert len(readings) == 3
    assert out.read_text(encoding="utf-8") == "earlier\n"
