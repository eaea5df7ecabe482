"""A training that goes on where something around it fails: the store, the memory, one process of several.

The trainer is a script in its place, the failures are real: databases that are away, processes that are killed.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.jobs.attempt import run_attempt
from app.services import training
from app.services.context import Services, worker_config
from app.services.files import create_file
from app.services.fine_tuning import CreateFineTuningJob, create_job, list_checkpoints, list_events, resume_job
from app.services.kinds import KINDS
from app.services.training_clearing import clear_ended
from app.settings import Settings
from app.store import patience
from app.store.blobs import BlobStore
from app.store.database import Store
from app.store.jobs import MAX_CRASHES, JobStore
from app.store.tables import JobRow
from tests.integration.outages import Outage
from tests.integration.services.test_fine_tuning import make_base, rows
from training.pieces import PIECES_FILE, read_pieces

SCRIPT = """
import json, os, sys, time
from pathlib import Path
out = Path(json.loads(Path(sys.argv[1]).read_text())["output_dir"])
def say(kind, message="말", **data):
    level = "error" if kind == "error" else "info"
    print(json.dumps({"type": kind, "level": level, "message": message, "data": data}), flush=True)
def note(name, text=""):
    out.mkdir(parents=True, exist_ok=True)
    (out / name).write_text(text)
def wait(name):
    while not (out / name).exists():
        time.sleep(0.02)
"""
Script = Callable[[str], None]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Script:
    def use(code: str) -> None:
        path = tmp_path / "trainer.py"
        path.write_text(SCRIPT + code, encoding="utf-8")
        monkeypatch.setattr(training, "train_command", lambda config, _: [sys.executable, str(path), str(config)])

    return use


def services_of(store: Store, folder: Path) -> Services:
    make_base(folder / "models" / "아기")
    settings = Settings(data_dir=folder / "data", models_dir=folder / "models")
    return Services(settings=settings, store=store, blobs=BlobStore(settings.data_dir / "blobs"), jobs=JobStore(store))


def submitted(services: Services) -> str:
    file = create_file(services, "학습.jsonl", "fine-tune", iter([rows()]))["id"]
    asked = {"model": "아기", "training_file": file}
    return str(create_job(services, CreateFineTuningJob.model_validate(asked))["id"])


def attempt(services: Services, job: str) -> JobRow:
    """One attempt as a worker makes it."""
    claimed = services.jobs.claim("test", ["train"])
    assert claimed is not None
    assert claimed.id == job
    settings = worker_config(services.settings)["settings"]
    run_attempt(services.store, KINDS, (job, claimed.attempt), settings=settings, on_lost=lambda: None)
    return services.jobs.get(job)


def out_of(services: Services, job: str) -> Path:
    return services.folder("runs", job) / "out"


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.02)


# -- the store ---------------------------------------------------------------------------------------------------------


def test_a_store_that_is_away_kills_no_trainer(outage: Outage, tmp_path: Path, scripted: Script) -> None:
    services = services_of(outage.store, tmp_path)
    job = submitted(services)
    scripted(
        "say('message', '시작')\n"
        "note('running')\n"
        "wait('away')\n"
        "for n in range(20): say('metrics', f'{n}단계', step=n, total_steps=20, estimated_finish=99)\n"
        "say('checkpoint', '저장', step=4, path=str(out / 'c'), metrics={'step': 4})\n"
        "say('checkpoint', '저장', step=8, path=str(out / 'c'), metrics={'step': 8})\n"
        "say('checkpoint_removed', '삭제', step=4)\n"
        "say('paused', '멈춤', step=8)\n"
        "note('alive to the end')\n"
    )
    out = out_of(services, job)

    def interrupt() -> None:
        wait_for(out / "running")
        outage.begin()
        (out / "away").touch()
        time.sleep(2.0)
        outage.end()

    thread = threading.Thread(target=interrupt)
    thread.start()
    row = attempt(services, job)
    thread.join()
    assert (row.status, row.crashes, row.error) == ("paused", 0, None)
    assert (out / "alive to the end").exists()
    told = [event["message"] for event in list_events(services, job, None, 100)[0]][::-1]
    assert [message for message in told if message.endswith("단계")] == [f"{n}단계" for n in range(20)]
    assert told[-4:] == ["저장", "저장", "삭제", "멈춤"]
    assert [entry["step_number"] for entry in list_checkpoints(services, job, None, 10)[0]] == [8]


def test_a_store_that_stays_away_ends_the_job_for_now(
    outage: Outage, tmp_path: Path, scripted: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = services_of(outage.store, tmp_path)
    job = submitted(services)
    monkeypatch.setattr(patience, "PATIENCE_S", 1.0)
    scripted("note('running')\nwait('away')\nsay('message', '소식')\ntime.sleep(60)\n")
    out, ended = out_of(services, job), threading.Event()

    def interrupt() -> None:
        wait_for(out / "running")
        outage.begin()
        (out / "away").touch()
        # What has failed can be told while the patience of that lasts.
        time.sleep(1.6)
        outage.end()
        ended.set()

    thread = threading.Thread(target=interrupt)
    thread.start()
    row = attempt(services, job)
    thread.join()
    assert row.status == "failed"
    assert row.error is not None
    assert (row.error["code"], row.error["retryable"]) == ("database_unavailable", True)
    assert "The database does not answer" in row.error["message"]
    assert row.error["hint"]
    assert resume_job(services, job)["status"] == "queued"


# -- memory ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def service(store: Store, tmp_path: Path) -> Services:
    return services_of(store, tmp_path)


def test_several_processes_that_run_out_begin_again_by_themselves(service: Services, scripted: Script) -> None:
    """The pieces get smaller with every attempt; so many attempts are no deaths."""
    job = submitted(service)
    scripted(
        "pieces = json.loads((out / 'pieces.json').read_text())['pieces'] if (out / 'pieces.json').exists() else 1\n"
        "note('pieces.json', json.dumps({'pieces': 2 * pieces}))\n"
        "note('checkpoints', '')\n"
        "say('error', '메모리가 모자랍니다', code='out_of_memory', retryable=True, hint='다시', param=None)\n"
        "say('error', '다른 프로세스가 끊겼습니다', code='later', retryable=False, hint='', param=None)\n"
        "sys.exit(1)\n"
    )
    for number in range(MAX_CRASHES + 2):
        row = attempt(service, job)
        # The release counts one, which the next attempt's pieces forgive.
        assert (row.status, row.crashes) == ("queued", 1)
        assert read_pieces(out_of(service, job)) == 2 ** (number + 1)
    newest = list_events(service, job, None, 1)[0][0]
    assert (newest["level"], "절반" in newest["message"]) == ("warn", True)
    # In the end a single row does not fit.
    scripted(
        "say('error', '한 행도 안 들어갑니다', code='out_of_memory', retryable=False, hint='줄이세요')\nsys.exit(1)"
    )
    row = attempt(service, job)
    assert row.status == "failed"
    assert row.error is not None
    assert row.error["code"] == "out_of_memory"
    assert not (out_of(service, job) / PIECES_FILE).exists()


@pytest.mark.parametrize(("code", "pieces"), [
    ("os.kill(os.getpid(), 9)", 2),
    # It has got further: nothing says that it would die again at the same place.
    ("say('checkpoint', '저장', step=2, path='/c/2', metrics={'step': 2})\nos.kill(os.getpid(), 9)", 1),
    ("os.kill(os.getpid(), 11)", 1),
])  # fmt: skip
def test_who_is_killed_without_a_checkpoint_takes_half(
    service: Services, scripted: Script, code: str, pieces: int
) -> None:
    job = submitted(service)
    scripted(code)
    row = attempt(service, job)
    assert (row.status, row.crashes) == ("queued", 1)
    assert read_pieces(out_of(service, job)) == pieces
    newest = list_events(service, job, None, 1)[0][0]
    assert ("2조각" in newest["message"]) == (pieces == 2)
    if pieces == 2:
        attempt(service, job)
        assert read_pieces(out_of(service, job)) == 4


def test_a_failure_that_may_pass_keeps_what_the_next_attempt_needs(service: Services, scripted: Script) -> None:
    job = submitted(service)
    scripted(
        "note('pieces.json', json.dumps({'pieces': 4}))\n"
        "(out / 'checkpoints').mkdir()\n"
        "note('checkpoints/torn', '')\n"
        "say('error', '가득 찼습니다', code='disk_full', retryable=True, hint='비우세요')\n"
        "sys.exit(1)\n"
    )
    assert attempt(service, job).status == "failed"
    out = out_of(service, job)
    assert {path.name for path in out.iterdir()} == {PIECES_FILE}
    # Neither does another job clear it away.
    clear_ended(service, "train")
    assert read_pieces(out) == 4
    config = json.loads((out.parent / "config.json").read_text(encoding="utf-8"))
    resume_job(service, job)
    scripted(
        "note('seen', str(json.loads((out / 'pieces.json').read_text())['pieces']))\nsay('paused', '멈춤', step=1)"
    )
    assert attempt(service, job).status == "paused"
    assert (out / "seen").read_text() == "4"
    assert config["resume"]
