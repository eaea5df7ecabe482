"""Runs a plan: slots side by side inside a window, decisions strictly in slot order, each committed whole.

Replies arrive in any order; slot *n* starts when slots up to *n - W* are decided and sees only those, so that the
samples are the same whatever the order of arrival, and the same after a kill. To resume is to ask the sink what is
decided and to go on at the next slot. Knows the ports, not what is behind them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from corpora.ids import content_id
from corpora.records import Candidate, Sample
from generators.base import Generator, SlotPlan, SlotResult, Workspace
from generators.curation.curator import Curator
from generators.planning import plan_slots
from generators.ports import BudgetExhaustedError, Ledger, ReplyCache, SampleSink, SlotOutcome

__all__ = ["PipelineConfig", "PipelineResult", "Ports", "plan_slots", "run_pipeline"]

#: Seconds between two looks at whether somebody asked to stop.
STOP_POLL_S = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineConfig:
    """What a run aims at."""

    job_id: str  #: Part of every sample's id.
    target: int | None = None  #: Accepted samples to stop at; None uses up the plan.
    window: int = 8  #: Slots that may run ahead of the last decided one.
    versions: Mapping[str, str] = field(default_factory=dict)  #: Of tokenizer, filters …; kept with every sample.


@dataclass(frozen=True, kw_only=True, slots=True)
class Ports:
    """Where replies, decisions and the budget live."""

    cache: ReplyCache
    sink: SampleSink
    ledger: Ledger


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineResult:
    """How a run ended."""

    status: Literal["succeeded", "incomplete", "stopped"]  #: ``stopped`` when somebody asked for it.
    reason: str | None  #: ``budget_exhausted`` or ``no_new_candidates`` when incomplete.
    decided: int  #: Slots decided, earlier attempts included.
    accepted: int  #: Samples accepted, earlier attempts included.
    rejected: int  #: Candidates rejected, earlier attempts included.


@dataclass(frozen=True, slots=True)
class _View:
    """The pool as slot ``limit + W`` may see it."""

    pool: Sequence[Sample]
    limit: int

    def accepted(self) -> Sequence[Sample]:
        return [sample for sample in self.pool if sample.candidate.provenance.slot <= self.limit]


class _Run:
    """The state of one run; ``pool`` and ``decided`` only ever grow."""

    def __init__(
        self,
        config: PipelineConfig,
        plan: Sequence[SlotPlan],
        generators: Mapping[str, Generator],
        sides: tuple[Workspace, Workspace | None],
        curator: Curator,
        sink: SampleSink,
    ) -> None:
        self.config = config
        self.plan = plan
        self.generators = generators
        self.sides = sides
        self.curator = curator
        self.sink = sink
        self.pool: list[Sample] = []
        self.decided = 0
        self.rejected = 0
        self.tasks: dict[int, asyncio.Task[SlotResult]] = {}
        for outcome in sink.committed():
            self._count(outcome)

    def _count(self, outcome: SlotOutcome) -> None:
        for sample in outcome.samples:
            if sample.accepted:
                self.pool.append(sample)
                self.curator.remember(sample)
            else:
                self.rejected += 1
        self.decided += 1

    @property
    def reached(self) -> bool:
        return self.config.target is not None and len(self.pool) >= self.config.target

    def start_ready(self) -> None:
        """Start every slot that the window allows."""
        last = min(self.decided + self.config.window, len(self.plan))
        for slot in range(self.decided, last):
            if slot not in self.tasks:
                self.tasks[slot] = asyncio.create_task(self._run_slot(self.plan[slot]))

    async def _run_slot(self, planned: SlotPlan) -> SlotResult:
        workspace = self.sides[1] if planned.heldout else self.sides[0]
        if planned.source is not None and (workspace is None or workspace.chunk(planned.source) is None):
            return SlotResult(failed="source_deleted")
        assert workspace is not None
        view = _View(self.pool, planned.slot - self.config.window)
        return await self.generators[planned.generator].run(planned, workspace, view)

    def decide(self, result: SlotResult) -> None:
        """Judge the next slot's candidates and commit them in one go."""
        planned = self.plan[self.decided]
        documents = {candidate.provenance.document_id or "" for candidate in result.candidates} - {""}
        if documents and self.sink.deleted(documents):
            # As a later attempt would find it: the slot's source is gone.
            result = SlotResult(failed="source_deleted", usage=result.usage)
        samples = tuple(
            self._judge(planned, position, candidate) for position, candidate in enumerate(result.candidates)
        )
        outcome = SlotOutcome(
            slot=planned.slot, generator=planned.generator, samples=samples, failed=result.failed, usage=result.usage
        )
        self.sink.commit(outcome)
        for sample in samples:
            if sample.accepted:
                self.pool.append(sample)
            else:
                self.rejected += 1
        self.decided += 1

    def _judge(self, planned: SlotPlan, position: int, candidate: Candidate) -> Sample:
        candidate = self.curator.clean(candidate)
        verdict = self.curator.judge(candidate, test=planned.heldout)
        provenance = replace(candidate.provenance, versions=dict(self.config.versions))
        candidate = replace(candidate, provenance=provenance)
        sample = Sample(
            id=content_id("sample", self.config.job_id, planned.slot, position),
            candidate=candidate,
            accepted=verdict.stage == "accepted",
            verdict=verdict,
            split="test" if planned.heldout else "train",
            flags=self.curator.flags(candidate),
        )
        if sample.accepted:
            # At once: the slot's next candidate may repeat this one.
            self.curator.remember(sample)
        return sample

    async def settle(self, should_stop: Callable[[], bool]) -> None:
        """Let what is in flight arrive, so that its replies are cached and not paid twice, unless somebody waits."""
        flying = set(self.tasks.values())
        while flying:
            _, flying = await asyncio.wait(flying, timeout=STOP_POLL_S)
            if flying and should_stop():
                await self.abandon()
                return

    async def abandon(self) -> None:
        """Drop what is in flight."""
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)

    def result(self, status: Literal["succeeded", "incomplete", "stopped"], reason: str | None) -> PipelineResult:
        return PipelineResult(
            status=status, reason=reason, decided=self.decided, accepted=len(self.pool), rejected=self.rejected
        )


async def run_pipeline(
    config: PipelineConfig,
    plan: Sequence[SlotPlan],
    generators: Mapping[str, Generator],
    sides: tuple[Workspace, Workspace | None],
    *,
    curator: Curator,
    ports: Ports,
    should_stop: Callable[[], bool],
) -> PipelineResult:
    """Run ``plan`` from the first slot that the sink does not hold.

    The job ends at the slot that reaches the target; that slot is decided whole, so the target may be exceeded by
    less than one slot's candidates.

    Raises:
        MalmoiError: what a generator raised, after everything before its slot was committed.
    """
    run = _Run(config, plan, generators, sides, curator, ports.sink)
    while not run.reached and run.decided < len(plan):
        run.start_ready()
        task = run.tasks[run.decided]
        while not task.done():
            await asyncio.wait({task}, timeout=STOP_POLL_S)
            if should_stop():
                await run.abandon()
                return run.result("stopped", None)
        try:
            result = task.result()
        except BudgetExhaustedError:
            await run.settle(should_stop)
            return run.result("incomplete", "budget_exhausted")
        except BaseException:
            await run.settle(should_stop)
            raise
        del run.tasks[run.decided]
        run.decide(result)
        if should_stop():
            await run.abandon()
            return run.result("stopped", None)
    await run.settle(should_stop)
    if config.target is None or run.reached:
        return run.result("succeeded", None)
    return run.result("incomplete", "no_new_candidates")
