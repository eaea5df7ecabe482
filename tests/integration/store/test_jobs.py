"""The queue: leases, fences, resources, stops, deaths, on both databases, with a clock of the test's own."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from app.store.database import Store
from app.store.jobs import LEASE_S, MAX_CRASHES, JobStore, LostLeaseError
from app.store.queries import count
from app.store.tables import EventRow, JobRow, ResourceRow
from corpora.errors import ConflictError, NotFoundError
from tests.integration.conftest import OpenStore


class Clock:
    """Time that passes when the test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def jobs(store: Store, clock: Clock) -> JobStore:
    return JobStore(store, clock)


def claim(jobs: JobStore, owner: str = "a", kinds: tuple[str, ...] = ("work",)) -> JobRow:
    row = jobs.claim(owner, kinds)
    assert row is not None
    return row


def test_oldest_first_and_only_known_kinds(jobs: JobStore) -> None:
    jobs.submit("other", {})
    first, second = jobs.submit("work", {"n": 1}), jobs.submit("work", {"n": 2})
    assert [claim(jobs).id, claim(jobs).id] == [first.id, second.id]
    assert jobs.claim("a", ["work"]) is None
    assert jobs.get(first.id).attempt == 1


def test_a_lease_that_expires_is_taken_over_and_the_old_attempt_fenced_off(jobs: JobStore, clock: Clock) -> None:
    jobs.submit("work", {})
    old = claim(jobs)
    clock.now += LEASE_S - 1
    assert jobs.heartbeat(old.id, old.attempt) is None
    clock.now += LEASE_S - 1
    assert jobs.claim("b", ["work"]) is None
    clock.now += 2
    new = claim(jobs, "b")
    assert (new.id, new.attempt, new.crashes) == (old.id, 2, 1)
    for write in (
        lambda: jobs.heartbeat(old.id, old.attempt),
        lambda: jobs.progress(old.id, old.attempt, {}),
        lambda: jobs.event(old.id, old.attempt, "info", "말", "message", None),
        lambda: jobs.finish(old.id, old.attempt, "succeeded"),
    ):
        with pytest.raises(LostLeaseError):
            write()
    jobs.release(old.id, old.attempt, crashed=True)
    assert jobs.get(new.id).status == "running"
    jobs.finish(new.id, new.attempt, "succeeded", {"n": 1})
    assert jobs.get(new.id).result == {"n": 1}


def test_a_job_that_keeps_dying_is_given_up_and_can_be_resumed(jobs: JobStore) -> None:
    jobs.submit("work", {}, ["gpu"])
    for _ in range(MAX_CRASHES):
        row = claim(jobs)
        jobs.release(row.id, row.attempt, crashed=True)
    ended = jobs.get(row.id)
    assert (ended.status, ended.error and ended.error["code"]) == ("failed", "worker_crashed")
    assert jobs.claim("a", ["work"]) is None
    jobs.resume(row.id, {})
    assert claim(jobs).id == row.id


def test_a_service_that_ends_gives_its_jobs_back_without_blame(jobs: JobStore) -> None:
    jobs.submit("work", {}, ["gpu"])
    for _ in range(MAX_CRASHES + 2):
        row = claim(jobs)
        jobs.release(row.id, row.attempt, crashed=False)
    assert claim(jobs).crashes == 0


def test_a_resource_is_held_by_one(jobs: JobStore, store: Store) -> None:
    first = jobs.submit("work", {}, ["gpu", "dataset:a"])
    jobs.submit("work", {}, ["gpu"])
    third = jobs.submit("work", {}, ["dataset:b"])
    assert claim(jobs).id == first.id
    assert claim(jobs).id == third.id
    assert jobs.claim("a", ["work"]) is None
    jobs.finish(first.id, 1, "paused")
    assert claim(jobs).resources == ["gpu"]
    with store.read() as session:
        assert count(session, ResourceRow) == 2


def test_stops(jobs: JobStore) -> None:
    waiting = jobs.submit("work", {})
    assert jobs.request_stop(waiting.id, "pause").status == "paused"
    assert jobs.request_stop(waiting.id, "cancel").status == "cancelled"
    with pytest.raises(ConflictError, match="is cancelled"):
        jobs.request_stop(waiting.id, "cancel")
    with pytest.raises(ConflictError, match="cannot be paused"):
        jobs.request_stop(waiting.id, "pause")
    with pytest.raises(NotFoundError):
        jobs.request_stop("job-none", "cancel")
    jobs.submit("work", {})
    running = claim(jobs)
    jobs.request_stop(running.id, "cancel")
    jobs.request_stop(running.id, "pause")
    assert jobs.heartbeat(running.id, 1) == "cancel"


def test_one_that_dies_while_stopping_has_stopped(jobs: JobStore) -> None:
    jobs.submit("work", {})
    row = claim(jobs)
    jobs.request_stop(row.id, "cancel")
    jobs.release(row.id, row.attempt, crashed=True)
    assert jobs.get(row.id).status == "cancelled"


def test_resume_changes_what_it_is_told(jobs: JobStore) -> None:
    row = jobs.submit("work", {"target": 5, "seed": 1})
    with pytest.raises(ConflictError, match="only paused"):
        jobs.resume(row.id, {})
    jobs.request_stop(row.id, "pause")
    assert jobs.resume(row.id, {"target": 9}).params == {"target": 9, "seed": 1}
    assert claim(jobs).id == row.id


def test_many_claim_at_once_and_each_job_runs_once(opened: OpenStore) -> None:
    first = JobStore(opened())
    wanted = {first.submit("work", {}, [f"r:{number % 7}"]).id for number in range(21)}
    taken: list[str] = []
    lock = threading.Lock()

    def work(owner: str) -> None:
        jobs = JobStore(opened())
        idle = 0
        while idle < 40:
            row = jobs.claim(owner, ["work"])
            if row is None:
                idle += 1
                threading.Event().wait(0.01)
                continue
            idle = 0
            with lock:
                taken.append(row.id)
            jobs.finish(row.id, row.attempt, "succeeded")

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(wanted)


def test_events_and_progress(jobs: JobStore, store: Store) -> None:
    jobs.submit("work", {})
    row = claim(jobs)
    data: dict[str, Any] = {"손실": 1.5}
    jobs.event(row.id, 1, "info", "첫 줄", "metrics", data)
    jobs.progress(row.id, 1, {"planned": 3})
    assert jobs.get(row.id).progress == {"planned": 3}
    with store.read() as session:
        assert count(session, EventRow, EventRow.message == "첫 줄") == 1
