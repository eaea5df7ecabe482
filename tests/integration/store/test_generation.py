"""A job's plan and decided slots on SQL: what goes in comes out, whole slots, a fenced writer."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.store.database import Store
from app.store.generation import SqlPlan, SqlSampleSink
from app.store.jobs import JobStore, LostLeaseError
from app.store.queries import count, find
from app.store.slots import slot_totals
from app.store.tables import DatasetRow, SampleRow, SlotRow
from corpora.records import Candidate, Message, Provenance, Sample, Span, Verdict
from generators.ports import SlotOutcome, Usage


@pytest.fixture
def job_id(store: Store) -> str:
    """A running job, in its first attempt, that writes dataset ds."""
    with store.write() as session:
        session.add(DatasetRow(id="ds", name="냉장", corpus_id=None, version=0, removed=0, created_at=1.0))
    jobs = JobStore(store)
    jobs.submit("generate", {})
    row = jobs.claim("a", ["generate"])
    assert row is not None
    return row.id


def sample(slot: int, position: int, *, accepted: bool) -> Sample:
    provenance = Provenance(
        generator="rag_qa",
        slot=slot,
        model="m",
        prompt="p@1#a",
        document_id="doc_1",
        chunk_ids=("chunk_1", "chunk_2"),
        spans=(Span(document_id="doc_1", start=3, end=9),),
        seed_ids=("seed_1",),
        versions={"filters": "1"},
    )
    messages = (Message(role="user", content="입고란?"), Message(role="assistant", content="받는 일입니다. 🙂"))
    verdict = Verdict(stage="accepted" if accepted else "filter", reason="ok" if accepted else "answer_too_short",
                      score=None if accepted else 3.0, evidence={} if accepted else {"limit": 20})  # fmt: skip
    return Sample(
        id=f"sample_{slot}_{position}",
        candidate=Candidate(messages=messages, provenance=provenance, grounded=True),
        accepted=accepted,
        verdict=verdict,
        split="test",
    )


def outcome(slot: int, *accepted: bool, failed: str | None = None) -> SlotOutcome:
    samples = tuple(sample(slot, position, accepted=entry) for position, entry in enumerate(accepted))
    usage = Usage(requests=1, cached_requests=2, prompt_tokens=3, completion_tokens=4)
    return SlotOutcome(slot=slot, generator="rag_qa", samples=samples, failed=failed, usage=usage)


def test_what_is_committed_comes_back_equal(store: Store, job_id: str) -> None:
    sink = SqlSampleSink(store, job_id, 1, "ds")
    written = [outcome(0, True, False), outcome(1), outcome(2, failed="context_too_small"), outcome(3, False)]
    for entry in written:
        sink.commit(entry)
    assert SqlSampleSink(store, job_id, 1, "ds").committed() == written
    with store.read() as session:
        dataset = find(session, DatasetRow, DatasetRow.id == "ds")
        assert dataset is not None
        assert dataset.version == 1  # only slot 0 changed accepted content
        totals = slot_totals(session, job_id)
    assert (totals.decided, totals.failed, totals.cached_requests) == (4, 1, 8)
    assert totals.failures == {"context_too_small": 1}


def test_slots_are_committed_from_any_thread(store: Store, job_id: str) -> None:
    """The pipeline decides in threads: each slot in another one, all through the same sink, while others write too."""
    sink = SqlSampleSink(store, job_id, 1, "ds")
    written = [outcome(slot, slot % 2 == 0, False) for slot in range(12)]
    stop = threading.Event()

    def write_beside() -> None:
        while not stop.wait(0.002):
            JobStore(store).heartbeat(job_id, 1)

    beside = threading.Thread(target=write_beside)
    beside.start()
    with ThreadPoolExecutor(4) as threads:
        for entry in written:
            threads.submit(sink.commit, entry).result()
    stop.set()
    beside.join()
    assert sink.committed() == written


def test_a_slot_is_committed_whole_or_not_at_all(store: Store, job_id: str) -> None:
    sink = SqlSampleSink(store, job_id, 1, "ds")
    sink.commit(outcome(0, True))
    clashing = SlotOutcome(
        slot=1, generator="rag_qa", samples=(sample(1, 0, accepted=True), sample(0, 0, accepted=True))
    )
    with pytest.raises(Exception, match=r"(?i)unique"):
        sink.commit(clashing)
    with store.read() as session:
        assert count(session, SlotRow) == 1
        assert count(session, SampleRow) == 1


def test_an_attempt_that_was_overtaken_cannot_write(store: Store, job_id: str) -> None:
    jobs = JobStore(store)
    jobs.release(job_id, 1, crashed=True)
    assert jobs.claim("b", ["generate"])
    with pytest.raises(LostLeaseError):
        SqlSampleSink(store, job_id, 1, "ds").commit(outcome(0, True))
    with pytest.raises(LostLeaseError):
        SqlPlan(store, job_id, 1).put([("rag_qa", False, "chunk_1")])
    SqlSampleSink(store, job_id, 2, "ds").commit(outcome(0, True))


def test_a_finished_job_writes_no_more(store: Store, job_id: str) -> None:
    """The attempt number alone is no fence: the same attempt may have ended its job."""
    JobStore(store).finish(job_id, 1, "cancelled")
    with pytest.raises(LostLeaseError):
        SqlSampleSink(store, job_id, 1, "ds").commit(outcome(0, True))


def test_a_plan_is_fixed_once(store: Store, job_id: str) -> None:
    slots = [("rag_qa", False, "chunk_1"), ("rag_qa", True, "chunk_2"), ("self_instruct", False, None)]
    plan = SqlPlan(store, job_id, 1)
    assert plan.get() is None
    plan.put(slots)
    assert SqlPlan(store, job_id, 1).get() == slots
    with pytest.raises(Exception, match=r"(?i)unique"):
        plan.put(slots[:1])


def test_a_commit_forgives_earlier_crashes(store: Store, job_id: str) -> None:
    jobs = JobStore(store)
    for attempt in range(1, 4):
        jobs.release(job_id, attempt, crashed=True)
        assert jobs.claim("b", ["generate"])
    assert jobs.get(job_id).crashes == 3
    SqlSampleSink(store, job_id, 4, "ds").commit(outcome(0, True))
    assert jobs.get(job_id).crashes == 0


def test_numbers_are_never_given_twice(store: Store) -> None:
    """A cursor or an index file must not come to point at another object."""
    seen: list[int] = []
    for name in ("a", "b", "c"):
        with store.write() as session:
            row = DatasetRow(id=name, name=name, corpus_id=None, version=0, removed=0, created_at=1.0)
            session.add(row)
            session.flush()
            seen.append(row.seq)
            session.delete(row)
    assert len(set(seen)) == 3
