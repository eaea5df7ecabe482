"""A generator that brings nothing new is stopped, at the same slot however often the job was killed on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.records import Candidate, Message, Provenance
from generators.base import PoolView, SlotPlan, SlotResult, Workspace
from generators.curation.curator import Curator
from generators.curation.settings import CurationSettings
from generators.memory import MemoryLedger, MemoryReplyCache, MemorySink
from generators.pipeline import PipelineConfig, PipelineResult, Ports, run_pipeline
from generators.planning import plan_slots

SIDE = Workspace()
QUESTIONS = (
    "입고 검수는 어떤 순서로 진행하나요?",
    "반품 상자는 어디에 보관하나요?",
    "피킹 작업자는 무엇을 확인하나요?",
    "재고 실사는 언제 실시하나요?",
)


@dataclass
class Repeater:
    """Asks each of its questions once and then the last one for ever."""

    name: str
    needs_model: bool
    slots: int
    both_sides: bool = False
    ran: list[int] = field(default_factory=list)

    def sources(self, workspace: Workspace) -> Sequence[str | None]:
        return [None] * self.slots

    async def run(self, plan: SlotPlan, workspace: Workspace, pool: PoolView) -> SlotResult:
        self.ran.append(plan.slot)
        question = QUESTIONS[min(plan.slot, len(QUESTIONS) - 1)]
        messages = (
            Message(role="user", content=question),
            Message(role="assistant", content="담당자가 화면에서 확인한 다음 결과를 저장합니다."),
        )
        origin = Provenance(generator=self.name, slot=plan.slot)
        return SlotResult(candidates=(Candidate(messages=messages, provenance=origin),))


class Dying(MemorySink):
    """Dies each time a slot of ``at`` is to be committed, once each."""

    def __init__(self, at: set[int]) -> None:
        super().__init__()
        self.at = at

    def commit(self, outcome: object) -> None:
        slot = outcome.slot  # type: ignore[attr-defined]
        if slot in self.at:
            self.at.discard(slot)
            raise ConnectionError("killed")
        super().commit(outcome)  # type: ignore[arg-type]


def run(sink: MemorySink, repeaters: list[Repeater], *, patience: int | None, since: int = 0) -> PipelineResult:
    plan = plan_slots([(r, 1) for r in repeaters], (SIDE, None), seed=1, heldout_fraction=0)
    return asyncio.run(
        run_pipeline(
            PipelineConfig(job_id="job", window=3, patience=patience, patience_from=since),
            plan,
            {r.name: r for r in repeaters},
            (SIDE, None),
            curator=Curator(CurationSettings(), None),
            ports=Ports(cache=MemoryReplyCache(), sink=sink, ledger=MemoryLedger()),
            should_stop=lambda: False,
        )
    )


def test_a_job_without_news_ends_and_says_so() -> None:
    sink = MemorySink()
    result = run(sink, [Repeater("costly", True, 60)], patience=10)
    assert (result.status, result.reason, result.accepted) == ("incomplete", "no_new_candidates", 4)
    assert result.decided == len(QUESTIONS) + 10
    assert result.accepted + result.rejected == sum(len(outcome.samples) for outcome in sink.outcomes)


def test_a_generator_that_costs_nothing_goes_on() -> None:
    result = run(MemorySink(), [Repeater("free", False, 60)], patience=10)
    assert (result.status, result.decided) == ("succeeded", 60)


def test_a_used_up_generator_leaves_the_others_running() -> None:
    sink = MemorySink()
    costly = Repeater("costly", True, 60)
    result = run(sink, [costly, Repeater("free", False, 60)], patience=10)
    skipped = [outcome for outcome in sink.outcomes if outcome.failed == "no_new_candidates"]
    assert skipped
    assert {outcome.generator for outcome in skipped} == {"costly"}
    assert not any(outcome.usage.requests for outcome in skipped)
    # The plan was gone through, but not all of it was tried.
    assert (result.decided, result.status, result.reason) == (120, "incomplete", "no_new_candidates")
    assert not {outcome.slot for outcome in skipped} & set(costly.ran)


def test_a_resumed_job_tries_again_from_where_it_stood() -> None:
    sink = MemorySink()
    first = run(sink, [Repeater("costly", True, 60)], patience=10)
    assert run(sink, [Repeater("costly", True, 60)], patience=10).decided == first.decided
    again = run(sink, [Repeater("costly", True, 60)], patience=10, since=first.decided)
    assert again.decided == first.decided + 10


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(0, 60), max_size=5))
def test_kills_do_not_move_the_end(kills: set[int]) -> None:
    calm = MemorySink()
    run(calm, [Repeater("costly", True, 30), Repeater("free", False, 30)], patience=6)
    sink = Dying(set(kills))
    for _ in range(len(kills) + 1):
        try:
            run(sink, [Repeater("costly", True, 30), Repeater("free", False, 30)], patience=6)
        except ConnectionError:
            continue
        break
    assert sink.outcomes == calm.outcomes
