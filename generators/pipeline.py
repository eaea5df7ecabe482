"""Runs a plan: slots side by side inside a window, decisions strictly in slot order, each committed whole.

Replies arrive in any order; slot *n* starts when slots up to *n - W* are decided and sees only those, so that the
samples are the same whatever the order of arrival, and the same after a kill. To resume is to ask the sink what is
decided and to go on at the next slot. Deciding (morphemes, near-duplicates, the store) runs in a thread, one slot at a
time, so that it never holds up the requests. Knows the ports, not what is behind them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from corpora.ids import content_id
from corpora.records import Candidate, Chunk, Sample
from generators.base import Generator, SlotPlan, SlotResult, Workspace
from generators.curation.curator import Curator
from generators.curation.judge import Judge
from generators.planning import plan_slots
from generators.pool import Pool
from generators.ports import BudgetExhaustedError, Ledger, ReplyCache, SampleSink, SlotOutcome, Usage
from generators.speech import SpeechContract, mend, with_level
from generators.yields import Yields

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
    contract: SpeechContract = field(default_factory=SpeechContract)  #: How both sides speak.
    patience: int | None = None  #: Slots in a row without an accepted sample after which a generator is used up.
    patience_from: int = 0  #: First slot that counts for patience: where somebody resumed the job.


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


class _Run:
    """The state of one run; the pool and the decided slots only ever grow."""

    def __init__(
        self,
        config: PipelineConfig,
        plan: Sequence[SlotPlan],
        generators: Mapping[str, Generator],
        sides: tuple[Workspace, Workspace | None],
        curation: tuple[Curator, Judge | None],
        sink: SampleSink,
    ) -> None:
        self.config = config
        self.plan = plan
        self.generators = generators
        self.sides = sides
        self.curator, self.judge = curation
        self.sink = sink
        self.pool = Pool()
        self.decided = 0
        self.rejected = 0
        self.tasks: dict[int, asyncio.Task[SlotResult]] = {}
        self.yields = Yields(plan, generators, config)
        for outcome in sink.committed():
            for sample in outcome.samples:
                if sample.accepted:
                    self.curator.remember(sample)
            self._count(outcome)

    def _count(self, outcome: SlotOutcome) -> None:
        accepted = 0
        for sample in outcome.samples:
            if sample.accepted:
                self.pool.add(sample)
                accepted += 1
        self.rejected += len(outcome.samples) - accepted
        self.yields.count(outcome, accepted)
        self.decided += 1

    @property
    def reached(self) -> bool:
        return self.config.target is not None and len(self.pool) >= self.config.target

    @property
    def over(self) -> bool:
        """Whether no slot is left that could give anything."""
        return self.decided >= len(self.plan) or self.yields.over(self.decided)

    def start_ready(self) -> None:
        """Start every slot that the window allows."""
        last = min(self.decided + self.config.window, len(self.plan))
        for slot in range(self.decided, last):
            if slot not in self.tasks:
                self.tasks[slot] = asyncio.create_task(self._run_slot(self.plan[slot]))

    async def _run_slot(self, planned: SlotPlan) -> SlotResult:
        workspace = self.sides[1] if planned.heldout else self.sides[0]
        if planned.source is not None and (workspace is None or not workspace.holds(planned.generator, planned.source)):
            return SlotResult(failed="source_deleted")
        if self.yields.used_up(planned):
            return SlotResult(failed="no_new_candidates")
        assert workspace is not None
        view = self.pool.until(planned.slot - self.config.window)
        result = await self.generators[planned.generator].run(planned, workspace, view)
        # Level and endings first: what the judge sees is what will be stored.
        spoken = await asyncio.to_thread(self._spoken, planned, result)
        return spoken if self.judge is None else await self._judged(planned, spoken, workspace, self.judge)

    def _spoken(self, planned: SlotPlan, result: SlotResult) -> SlotResult:
        candidates = tuple(
            self.curator.clean(mend(with_level(candidate, planned.user_level), self.config.contract.assistant))
            if candidate.malformed is None
            else candidate
            for candidate in result.candidates
        )
        return replace(result, candidates=candidates)

    async def _judged(self, planned: SlotPlan, result: SlotResult, workspace: Workspace, judge: Judge) -> SlotResult:
        """Every candidate that the rules let through, judged by a model; nobody pays to judge the others."""
        candidates: list[Candidate] = []
        usage = result.usage
        for position, candidate in enumerate(result.candidates):
            judged, spent = candidate, Usage()
            if await asyncio.to_thread(self.curator.gate, candidate, test=planned.heldout) is None:
                shown = _shown(candidate, workspace)
                judged, spent = await judge.review(candidate, shown, slot=planned.slot, position=position)
            candidates.append(judged)
            usage += spent
        return replace(result, candidates=tuple(candidates), usage=usage)

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
        self._count(outcome)

    def _judge(self, planned: SlotPlan, position: int, candidate: Candidate) -> Sample:
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
                break
        # Those that failed too are asked for their end, or asyncio reports them as forgotten.
        await self.abandon()

    async def abandon(self) -> None:
        """Drop what is in flight."""
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)

    def result(self, status: Literal["succeeded", "incomplete", "stopped"], reason: str | None) -> PipelineResult:
        return PipelineResult(
            status=status, reason=reason, decided=self.decided, accepted=len(self.pool), rejected=self.rejected
        )


def _shown(candidate: Candidate, workspace: Workspace) -> list[Chunk]:
    """The passages that a grounded candidate was made from, its own first."""
    found = (workspace.chunk(chunk_id) for chunk_id in candidate.provenance.chunk_ids)
    return [chunk for chunk in found if chunk is not None] if candidate.grounded else []


async def run_pipeline(
    config: PipelineConfig,
    plan: Sequence[SlotPlan],
    generators: Mapping[str, Generator],
    sides: tuple[Workspace, Workspace | None],
    *,
    curator: Curator,
    ports: Ports,
    should_stop: Callable[[], bool],
    judge: Judge | None = None,
) -> PipelineResult:
    """Run ``plan`` from the first slot that the sink does not hold.

    The job ends at the slot that reaches the target; that slot is decided whole, so the target may be exceeded by
    less than one slot's candidates.

    Raises:
        MalmoiError: what a generator raised, after everything before its slot was committed.
    """
    run = _Run(config, plan, generators, sides, (curator, judge), ports.sink)
    while not run.reached and not run.over:
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
        await asyncio.to_thread(run.decide, result)
        if should_stop():
            await run.abandon()
            return run.result("stopped", None)
    await run.settle(should_stop)
    if run.reached or (config.target is None and run.decided == len(plan) and not run.yields.stopped):
        return run.result("succeeded", None)
    return run.result("incomplete", "no_new_candidates")
