"""The pipeline's promises, for any order of replies: same samples, whole slots, nothing twice, counts that add up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.records import Candidate, Chunk, Message, Provenance, Sample
from generators.base import Generator, PoolView, SlotPlan, SlotResult, Workspace
from generators.curation.curator import Curator
from generators.curation.settings import CurationSettings
from generators.memory import MemoryLedger, MemoryReplyCache, MemorySink
from generators.pipeline import PipelineConfig, PipelineResult, Ports, run_pipeline
from generators.planning import plan_slots, restore_plan
from generators.ports import Budget, BudgetExhaustedError, Claim, Price, Settlement, SlotOutcome
from retrieval.embedders import HashedEmbedder

SUBJECTS = (
    "입고",
    "출고",
    "반품",
    "피킹",
    "패킹",
    "적치",
    "보충",
    "상차",
    "하차",
    "검수",
    "실사",
    "할당",
    "로트",
    "송장",
)
EMBEDDER = HashedEmbedder.fit([f"{word}에 관한 문장입니다." for word in SUBJECTS])
TEXT = "반품은 검수한 뒤에 적치합니다."
TRAIN = Workspace()
HELDOUT = Workspace(chunks=(Chunk(id="chunk_h", document_id="doc_h", index=0, text=TEXT, start=0, end=len(TEXT)),))


@dataclass
class Talker:
    """A generator whose replies arrive in any order and depend on what earlier slots decided."""

    delays: random.Random
    name: str = "talker"
    needs_model: bool = False
    both_sides: bool = True
    slots: int = 24
    fail_at: int | None = None
    stop_at: int | None = None
    started: list[int] = field(default_factory=list)

    def sources(self, workspace: Workspace) -> Sequence[str | None]:
        return [None] * (self.slots if workspace is TRAIN else self.slots // 4)

    async def run(self, plan: SlotPlan, workspace: Workspace, pool: PoolView) -> SlotResult:
        self.started.append(plan.slot)
        for _ in range(self.delays.randrange(6)):
            await asyncio.sleep(0)
        if plan.slot == self.stop_at:
            raise BudgetExhaustedError("none left")
        if plan.slot == self.fail_at:
            return SlotResult(failed="context_too_small")
        seen = len(pool.accepted())
        rng = random.Random(plan.seed)
        count = rng.randrange(4)
        return SlotResult(candidates=tuple(self._candidate(plan, rng, seen) for _ in range(count)))

    def _candidate(self, plan: SlotPlan, rng: random.Random, seen: int) -> Candidate:
        provenance = Provenance(generator=self.name, slot=plan.slot)
        if rng.random() < 0.1:
            return Candidate(messages=(), provenance=provenance, malformed="no JSON", raw="{")
        first, second = rng.choice(SUBJECTS), rng.choice(SUBJECTS)
        question = f"{first} 다음에 {second} 업무를 하려면 어떤 화면을 여나요?"
        answer = f"{second} 화면 {seen % 7 + 10}번을 열고 {first} 번호를 입력합니다."
        return Candidate(
            messages=(Message(role="user", content=question), Message(role="assistant", content=answer)),
            provenance=provenance,
            grounded=True,
        )


class DyingSink(MemorySink):
    """Dies before it commits the slot ``at``."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def commit(self, outcome: SlotOutcome) -> None:
        if outcome.slot == self.at:
            raise KeyboardInterrupt
        super().commit(outcome)


def plan_of(generator: Generator, heldout_fraction: float = 0.2) -> list[SlotPlan]:
    return plan_slots([(generator, 1)], (TRAIN, HELDOUT), seed=3, heldout_fraction=heldout_fraction)


def run(
    talker: Talker, sink: MemorySink, target: int | None = None, stop: Sequence[bool] = (), window: int = 5
) -> PipelineResult:
    asked = iter(stop)
    return asyncio.run(
        run_pipeline(
            PipelineConfig(job_id="job", target=target, window=window),
            plan_of(talker),
            {"talker": talker},
            (TRAIN, HELDOUT),
            curator=Curator(CurationSettings(), EMBEDDER),
            ports=Ports(cache=MemoryReplyCache(), sink=sink, ledger=MemoryLedger()),
            should_stop=lambda: next(asked, False),
        )
    )


def samples(sink: MemorySink) -> list[Sample]:
    return [sample for outcome in sink.outcomes for sample in outcome.samples]


CALM = MemorySink()
CALM_RESULT = run(Talker(random.Random(0)), CALM)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 30), st.integers(0, 10**6))
def test_order_of_arrival_and_a_kill_change_nothing(delays: int, killed_at: int, again: int) -> None:
    dying = DyingSink(killed_at)
    if killed_at < len(plan_of(Talker(random.Random()))):
        with pytest.raises(KeyboardInterrupt):
            run(Talker(random.Random(delays)), dying)
        assert len(dying.outcomes) == killed_at
    sink = MemorySink()
    sink.outcomes = list(dying.outcomes)
    talker = Talker(random.Random(again))
    assert run(talker, sink) == CALM_RESULT
    assert samples(sink) == samples(CALM)
    assert sorted(talker.started) == list(range(len(dying.outcomes), len(sink.outcomes)))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(0, 1000))
def test_a_target_ends_the_run_at_its_slot(target: int, delays: int) -> None:
    sink = MemorySink()
    result = run(Talker(random.Random(delays)), sink, target)
    kept = [sample for sample in samples(sink) if sample.accepted]
    assert result.accepted == len(kept)
    assert result.rejected == len(samples(sink)) - len(kept)
    if target <= CALM_RESULT.accepted:
        assert result.status == "succeeded"
        assert len(kept) >= target
        assert len(kept) - sum(s.accepted for s in sink.outcomes[-1].samples) < target
    else:
        assert (result.status, result.reason) == ("incomplete", "no_new_candidates")
    # What a smaller target accepts is the beginning of what a larger one does.
    assert samples(sink) == samples(CALM)[: len(samples(sink))]


def test_the_calm_run_holds_every_kind_of_outcome() -> None:
    verdicts = {sample.verdict.stage for sample in samples(CALM)}
    assert {"accepted", "parse", "near_duplicate"} <= verdicts
    assert {sample.split for sample in samples(CALM)} == {"train", "test"}
    assert len({sample.id for sample in samples(CALM)}) == len(samples(CALM))


def test_a_slot_that_cannot_run_is_counted_and_the_rest_goes_on() -> None:
    sink = MemorySink()
    run(Talker(random.Random(1), fail_at=4), sink)
    assert [outcome.slot for outcome in sink.outcomes if outcome.failed] == [4]
    assert len(sink.outcomes) == len(CALM.outcomes)


def test_a_slot_whose_source_was_deleted_fails_and_the_rest_goes_on() -> None:
    talker, sink = Talker(random.Random(1)), MemorySink()
    plan = [replace(entry, source="chunk_gone") if entry.slot in (2, 5) else entry for entry in plan_of(talker)]
    result = asyncio.run(
        run_pipeline(
            PipelineConfig(job_id="job", versions={"tokenizer": "t"}),
            plan,
            {"talker": talker},
            (TRAIN, HELDOUT),
            curator=Curator(CurationSettings(), EMBEDDER),
            ports=Ports(cache=MemoryReplyCache(), sink=sink, ledger=MemoryLedger()),
            should_stop=lambda: False,
        )
    )
    assert (result.status, result.decided) == ("succeeded", len(plan))
    assert {outcome.slot: outcome.failed for outcome in sink.outcomes if outcome.failed} == dict.fromkeys(
        (2, 5), "source_deleted"
    )
    assert {tuple(s.candidate.provenance.versions.items()) for s in samples(sink)} == {(("tokenizer", "t"),)}


def test_what_was_made_of_a_document_that_was_deleted_meanwhile_is_not_kept() -> None:
    class OfDocuments(Talker):
        async def run(self, plan: SlotPlan, workspace: Workspace, pool: PoolView) -> SlotResult:
            result = await super().run(plan, workspace, pool)
            return replace(
                result,
                candidates=tuple(
                    replace(c, provenance=replace(c.provenance, document_id=f"doc_{plan.slot % 3}"))
                    for c in result.candidates
                ),
            )

    sink = MemorySink()
    sink.gone.add("doc_1")
    run(OfDocuments(random.Random(1)), sink)
    assert {s.candidate.provenance.document_id for s in samples(sink)} == {"doc_0", "doc_2"}
    assert {outcome.slot % 3 for outcome in sink.outcomes if outcome.failed == "source_deleted"} == {1}


def test_a_stop_does_not_wait_for_replies_that_hang() -> None:
    """The budget is spent and other slots are still asking when somebody cancels."""

    class Hanging(Talker):
        async def run(self, plan: SlotPlan, workspace: Workspace, pool: PoolView) -> SlotResult:
            if plan.slot == 0:
                raise BudgetExhaustedError("none left")
            await asyncio.sleep(3600)
            raise AssertionError("nobody waits that long")

    result = run(Hanging(random.Random(1)), MemorySink(), stop=[False] + [True] * 9)
    assert (result.status, result.decided) == ("incomplete", 0)


def test_an_exhausted_budget_keeps_what_came_before() -> None:
    sink = MemorySink()
    result = run(Talker(random.Random(1), stop_at=6), sink)
    assert (result.status, result.reason, result.decided) == ("incomplete", "budget_exhausted", 6)
    assert samples(sink) == samples(CALM)[: len(samples(sink))]


def test_a_stop_keeps_what_was_decided() -> None:
    sink = MemorySink()
    result = run(Talker(random.Random(1)), sink, stop=[False] * 5 + [True])
    assert result.status == "stopped"
    assert 0 < len(sink.outcomes) < len(CALM.outcomes)


def test_no_slot_starts_ahead_of_its_window() -> None:
    class Watching(MemorySink):
        def commit(self, outcome: SlotOutcome) -> None:
            assert max(talker.started) < len(self.outcomes) + 5
            super().commit(outcome)

    talker = Talker(random.Random(5))
    run(talker, Watching())


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 30), st.integers(0, 10)), min_size=1, max_size=4),
    st.floats(0, 0.5),
)
def test_a_plan_uses_every_slot_once_and_holds_out_a_share(shapes: list[tuple[int, int, int]], fraction: float) -> None:
    @dataclass
    class Sized:
        name: str
        train: int
        held: int
        needs_model: bool = False
        both_sides: bool = True

        def sources(self, workspace: Workspace) -> Sequence[str | None]:
            return [f"chunk_{n}" for n in range(self.train if workspace is TRAIN else self.held)]

        async def run(self, plan: SlotPlan, workspace: Workspace, pool: PoolView) -> SlotResult:
            raise NotImplementedError

    weights: list[tuple[Generator, int]] = [
        (Sized(f"g{i}", train, held), weight) for i, (weight, train, held) in enumerate(shapes)
    ]
    plan = plan_slots(weights, (TRAIN, HELDOUT), seed=1, heldout_fraction=fraction)
    assert [entry.slot for entry in plan] == list(range(sum(train + held for _, train, held in shapes)))
    assert len({(e.generator, e.heldout, e.source) for e in plan}) == len(plan)
    assert plan == restore_plan([(e.generator, e.heldout, e.source) for e in plan], seed=1)
    assert plan == plan_slots(weights, (TRAIN, HELDOUT), seed=1, heldout_fraction=fraction)


def test_seeds_of_a_job_have_nothing_in_common_with_anothers() -> None:
    first, second = (
        {p.seed for p in plan_slots([(Talker(random.Random()), 1)], (TRAIN, None), seed=seed, heldout_fraction=0)}
        for seed in (1, 2)
    )
    assert not first & second
    assert len(first) == 24


def claim(prompt: int, completion: int = 0) -> Claim:
    return Claim(slot=0, step="s", model="m", prompt_tokens=prompt, completion_tokens=completion)


def settled(prompt: int, completion: int) -> Settlement:
    return Settlement(prompt_tokens=prompt, completion_tokens=completion, outcome="ok")


def test_a_budget_is_never_exceeded() -> None:
    async def spend() -> None:
        ledger = MemoryLedger(Budget(max_requests=2, max_tokens=100))
        first = await ledger.reserve(claim(60))
        with pytest.raises(BudgetExhaustedError, match="tokens"):
            await ledger.reserve(claim(41))
        await ledger.settle(first, settled(10, 5))
        await ledger.reserve(claim(80, 5))
        with pytest.raises(BudgetExhaustedError, match="requests"):
            await ledger.reserve(claim(0))

    asyncio.run(spend())


def test_fractions_of_a_cent_are_prices_too() -> None:
    """0.15 dollars a million tokens: 1,000 tokens cost 0.00015 dollars, and the limit holds to the last digit."""

    async def spend() -> None:
        price = Price(prompt_usd=Decimal("0.15"), completion_usd=Decimal("0.6"))
        ledger = MemoryLedger(Budget(max_cost_usd=Decimal("0.0003")), {"m": price})
        await ledger.reserve(claim(1000))
        await ledger.reserve(claim(1000))
        with pytest.raises(BudgetExhaustedError, match=r"\$0\.0003"):
            await ledger.reserve(claim(1))

    asyncio.run(spend())


def test_a_model_without_a_price_is_refused_under_a_limit_of_money() -> None:
    with pytest.raises(BudgetExhaustedError, match="no price"):
        asyncio.run(MemoryLedger(Budget(max_cost_usd=Decimal(1))).reserve(claim(1)))


def test_a_sink_refuses_a_gap() -> None:
    sink = MemorySink()
    with pytest.raises(ValueError, match="does not follow"):
        sink.commit(replace(CALM.outcomes[0], slot=1))
