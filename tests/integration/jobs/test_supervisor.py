"""Supervisor and worker processes, really started, on both databases: ends, deaths, stops, nothing left over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.jobs.supervisor import Supervisor
from app.store.database import Store
from app.store.jobs import JobStore
from app.store.queries import listed, values
from app.store.tables import EventRow, JobRow, ResourceRow

ROOT = Path(__file__).resolve().parents[3]
KINDS = "tests.integration.jobs.kinds:KINDS"
ENDED = ("succeeded", "failed", "cancelled", "paused")


def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def config(database_url: str | None, tmp_path: Path) -> dict[str, Any]:
    return {"database_url": database_url, "data_dir": str(tmp_path / "data"), "settings": {}}


@pytest.fixture
def supervisor(store: Store, config: dict[str, Any]) -> Iterator[Supervisor]:
    running = Supervisor(store, config, KINDS, workers=2)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def jobs(store: Store) -> JobStore:
    return JobStore(store)


def ended(jobs: JobStore, job_id: str) -> JobRow:
    until(lambda: jobs.get(job_id).status in ENDED)
    return jobs.get(job_id)


def attempt_pids(folder: Path, attempt: int) -> list[int]:
    path = folder / f"attempt-{attempt}"
    until(lambda: path.is_file() and path.read_text())
    return [int(pid) for pid in path.read_text().split()]


def test_outcomes(supervisor: Supervisor, jobs: JobStore, store: Store, tmp_path: Path) -> None:
    params = {"folder": str(tmp_path), "times": 3}
    echoed, refused, broken = (jobs.submit(kind, params).id for kind in ("echo", "refuse", "break"))
    supervisor.wake()
    row = ended(jobs, echoed)
    assert (row.status, row.result, row.progress) == ("succeeded", {"times": 3}, {"half": 1})
    row = ended(jobs, refused)
    assert row.error is not None
    assert (row.status, row.error["code"], row.error["param"]) == ("failed", "invalid_value", "folder")
    row = ended(jobs, broken)
    assert row.error is not None
    assert (row.status, row.error["code"]) == ("failed", "internal_error")
    with store.read() as session:
        told = listed(session, EventRow)
    assert [event.message for event in told if event.job_id == echoed] == ["안녕하세요"]
    traceback, failure = sorted((event for event in told if event.job_id == broken), key=lambda event: event.seq)
    assert "ZeroDivisionError" in (traceback.data or {})["traceback"]
    # The log tells of the end too.
    assert (failure.message, (failure.data or {})["code"]) == (row.error["message"], "internal_error")


def test_a_killed_worker_is_followed_by_another_attempt(supervisor: Supervisor, jobs: JobStore, tmp_path: Path) -> None:
    row = ended(jobs, jobs.submit("die", {"folder": str(tmp_path), "times": 2}).id)
    assert (row.status, row.result, row.crashes) == ("succeeded", {"attempt": 3}, 2)


def test_a_worker_that_always_dies_is_given_up(supervisor: Supervisor, jobs: JobStore, tmp_path: Path) -> None:
    row = ended(jobs, jobs.submit("die", {"folder": str(tmp_path), "times": 99}).id)
    assert row.error is not None
    assert (row.status, row.error["code"]) == ("failed", "worker_crashed")


@pytest.mark.parametrize(("what", "status"), [("cancel", "cancelled"), ("pause", "paused")])
def test_stops_are_seen_within_seconds(
    supervisor: Supervisor, jobs: JobStore, store: Store, tmp_path: Path, what: Any, status: str
) -> None:
    job_id = jobs.submit("wait", {"folder": str(tmp_path)}, ["gpu"]).id
    pids = attempt_pids(tmp_path, 1)
    began = time.monotonic()
    jobs.request_stop(job_id, what)
    assert ended(jobs, job_id).status == status
    assert time.monotonic() - began < 10
    until(lambda: not any(alive(pid) for pid in pids))
    with store.read() as session:
        # A paused job holds nothing either.
        assert values(session, [ResourceRow.name]) == []


def test_a_killed_workers_children_go_with_it(supervisor: Supervisor, jobs: JobStore, tmp_path: Path) -> None:
    job_id = jobs.submit("wait", {"folder": str(tmp_path)}).id
    worker, child = attempt_pids(tmp_path, 1)
    os.kill(worker, signal.SIGKILL)
    second = attempt_pids(tmp_path, 2)
    until(lambda: not alive(child))
    jobs.request_stop(job_id, "cancel")
    assert ended(jobs, job_id).status == "cancelled"
    until(lambda: not any(alive(pid) for pid in second))


def test_a_supervisor_that_stops_leaves_its_jobs_to_the_next(
    store: Store, config: dict[str, Any], jobs: JobStore, tmp_path: Path
) -> None:
    first = Supervisor(store, config, KINDS)
    first.start()
    job_id = jobs.submit("wait", {"folder": str(tmp_path)}).id
    pids = attempt_pids(tmp_path, 1)
    first.stop()
    until(lambda: not any(alive(pid) for pid in pids))
    row = jobs.get(job_id)
    assert (row.status, row.crashes) == ("queued", 0)


def test_a_training_takes_nobodys_place(store: Store, config: dict[str, Any], jobs: JobStore, tmp_path: Path) -> None:
    """One worker: while a job holds the gpu, others run, one after another; a second one for the gpu waits."""
    folders = {name: tmp_path / name for name in ("training", "other training", "long", "short")}
    for folder in folders.values():
        folder.mkdir()

    def submit(kind: str, name: str, *resources: str) -> str:
        return jobs.submit(kind, {"folder": str(folders[name])}, resources).id

    training = submit("wait", "training", "gpu")
    second = submit("wait", "other training", "gpu")
    short = submit("echo", "short", "index:창고")
    long = submit("wait", "long")
    last = submit("echo", "short")
    supervisor = Supervisor(store, config, KINDS, workers=1)
    supervisor.start()
    try:
        attempt_pids(folders["training"], 1)
        assert ended(jobs, short).status == "succeeded"
        attempt_pids(folders["long"], 1)
        # The worker is taken by the long job now: what is not apart still counts.
        time.sleep(1)
        assert [jobs.get(i).status for i in (training, second, long, last)] == [
            "running",
            "queued",
            "running",
            "queued",
        ]
        jobs.request_stop(long, "cancel")
        assert ended(jobs, last).status == "succeeded"
        assert jobs.get(training).status == "running"
        jobs.request_stop(training, "cancel")
        attempt_pids(folders["other training"], 1)
        assert ended(jobs, training).status == "cancelled"
        # The place beside the workers is free again, and only once.
        assert ended(jobs, submit("echo", "short")).status == "succeeded"
    finally:
        supervisor.stop()
    assert jobs.get(second).status == "queued"


def test_a_killed_service_leaves_no_process(config: dict[str, Any], jobs: JobStore, tmp_path: Path) -> None:
    """SIGKILL of the process that holds the supervisor: nothing is adopted."""
    script = f"""
    import time
    from pathlib import Path
    from app.jobs.supervisor import Supervisor
    from app.store.database import open_store
    config = {config!r}
    supervisor = Supervisor(open_store(config["database_url"], Path(config["data_dir"])), config, {KINDS!r})
    supervisor.start()
    time.sleep(600)
    """
    service = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT)
    try:
        jobs.submit("wait", {"folder": str(tmp_path)})
        pids = attempt_pids(tmp_path, 1)
        assert all(alive(pid) for pid in pids)
    finally:
        service.kill()
        service.wait()
    until(lambda: not any(alive(pid) for pid in pids), 15)
