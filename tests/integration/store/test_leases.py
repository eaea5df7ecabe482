"""A resource held by something that is no job: jobs come first, and nobody holds it for ever."""

from __future__ import annotations

import pytest

from app.store.database import Store
from app.store.jobs import LEASE_S, JobStore, LostLeaseError
from app.store.leases import Leases, ResourceHeldError
from app.store.queries import count
from app.store.tables import JobRow, ResourceRow


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


@pytest.fixture
def leases(store: Store, clock: Clock) -> Leases:
    return Leases(store, "gpu", clock)


def test_a_job_waits_for_the_lease_and_is_told_of(jobs: JobStore, leases: Leases) -> None:
    lease = leases.take("chat")
    assert not leases.wanted()
    training = jobs.submit("work", {}, resources=["gpu"])
    other = jobs.submit("work", {})
    assert leases.wanted()
    claimed = jobs.claim("a", ["work"])
    assert claimed is not None
    assert claimed.id == other.id
    assert jobs.claim("a", ["work"]) is None
    leases.give_back(lease)
    leases.give_back(lease)
    claimed = jobs.claim("a", ["work"])
    assert claimed is not None
    assert claimed.id == training.id
    assert not leases.wanted()


def test_jobs_come_first(jobs: JobStore, leases: Leases) -> None:
    job = jobs.submit("work", {}, resources=["gpu"])
    with pytest.raises(ResourceHeldError) as caught:
        leases.take("chat")
    assert (caught.value.job_id, caught.value.status) == (job.id, 503)
    claimed = jobs.claim("a", ["work"])
    assert claimed is not None
    with pytest.raises(ResourceHeldError, match="held by"):
        leases.take("chat")
    jobs.finish(claimed.id, claimed.attempt, "succeeded")
    leases.take("chat")
    with pytest.raises(ResourceHeldError):
        leases.take("another chat")


def test_a_lease_that_nobody_renews_is_dropped(store: Store, jobs: JobStore, leases: Leases, clock: Clock) -> None:
    lease = leases.take("chat")
    clock.now += LEASE_S - 1
    leases.renew(lease)
    clock.now += LEASE_S - 1
    job = jobs.submit("work", {}, resources=["gpu"])
    assert jobs.claim("a", ["work"]) is None
    clock.now += 2
    claimed = jobs.claim("a", ["work"])
    assert claimed is not None
    assert claimed.id == job.id
    with pytest.raises(LostLeaseError):
        leases.renew(lease)
    with store.read() as session:
        assert count(session, JobRow) == count(session, ResourceRow) == 1


def test_a_lease_is_no_job_that_could_be_claimed(jobs: JobStore, leases: Leases, clock: Clock) -> None:
    leases.take("chat")
    clock.now += LEASE_S + 1
    assert jobs.claim("a", ["work", "lease"]) is None
