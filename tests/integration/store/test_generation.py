"""The generators' ports on SQL: what goes in comes out, whole slots, a fenced writer, a budget under threads."""

from __future__ import annotations

import threading

import pytest

from app.store.database import Store
from app.store.generation import SqlLedger, SqlPlan, SqlReplyCache, SqlSampleSink
from app.store.jobs import JobStore, LostLeaseError
from app.store.queries import count, find
from app.store.slots import slot_totals
from app.store.tables import DatasetRow, SampleRow, SlotRow
from corpora.records import Candidate, Message, Provenance, Sample, Span, Verdict
from generators.ports import Budget, BudgetExhaustedError, Reply, SlotOutcome, Usage

REPLY = Reply(text="네, 알겠습니다.", finish_reason="stop", model="m", prompt_tokens=1, completion_tokens=2)


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
        SqlLedger(store, job_id, 1, Budget()).reserve(10)
    with pytest.raises(LostLeaseError):
        SqlReplyCache(store, job_id, 1).put(0, "pairs", "h", REPLY)
    with pytest.raises(LostLeaseError):
        SqlPlan(store, job_id, 1).put([("rag_qa", False, "chunk_1")])
    SqlSampleSink(store, job_id, 2, "ds").commit(outcome(0, True))


def test_replies(store: Store, job_id: str) -> None:
    cache = SqlReplyCache(store, job_id, 1)
    assert cache.get(0, "pairs", "h") is None
    cache.put(0, "pairs", "h", REPLY)
    cache.put(0, "pairs", "h", REPLY)
    assert SqlReplyCache(store, job_id, 1).get(0, "pairs", "h") == REPLY
    assert cache.get(0, "pairs", "other") is None


def test_a_budget_is_never_exceeded_by_any_number_of_threads(store: Store, job_id: str) -> None:
    granted: list[int] = []
    refused: list[str] = []

    def spend() -> None:
        ledger = SqlLedger(store, job_id, 1, Budget(max_requests=20, max_tokens=1500))
        for _ in range(10):
            try:
                reservation = ledger.reserve(100)
            except BudgetExhaustedError as exc:
                refused.append(exc.code)
                continue
            granted.append(reservation)
            ledger.settle(reservation, 40, 10)

    threads = [threading.Thread(target=spend) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) == len(set(granted)) == 20
    assert len(refused) == 40
    with store.read() as session:
        totals = slot_totals(session, job_id)
    assert (totals.requests, totals.prompt_tokens, totals.completion_tokens) == (20, 800, 200)


def test_a_reservation_unsettled_at_a_crash_counts_as_spent(store: Store, job_id: str) -> None:
    SqlLedger(store, job_id, 1, Budget()).reserve(900)
    with pytest.raises(BudgetExhaustedError, match="tokens"):
        SqlLedger(store, job_id, 1, Budget(max_tokens=1000)).reserve(101)
    SqlLedger(store, job_id, 1, Budget(max_tokens=1000)).reserve(100)


def test_a_finished_job_writes_no_more(store: Store, job_id: str) -> None:
    """The attempt number alone is no fence: the same attempt may have ended its job."""
    ledger = SqlLedger(store, job_id, 1, Budget())
    reservation = ledger.reserve(10)
    JobStore(store).finish(job_id, 1, "cancelled")
    with pytest.raises(LostLeaseError):
        SqlSampleSink(store, job_id, 1, "ds").commit(outcome(0, True))
    with pytest.raises(LostLeaseError):
        ledger.settle(reservation, 1, 1)


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
