"""The generation job itself: builds workspaces from the store, runs the pipeline, maps its end to a job's end.

Runs in a worker process. Everything it decides is a function of the job's parameters and of what is stored, so that a
new attempt goes on where the last one was killed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from app.jobs.kinds import JobContext, JobOutcome
from app.services.context import Services
from app.services.curation_request import curation_settings
from app.services.generation import GenerationParams
from app.services.indexing import chunk_record, corpus_embedder
from app.store.generation import SqlLedger, SqlPlan, SqlReplyCache, SqlSampleSink
from app.store.queries import find, listed
from app.store.samples import row_to_sample
from app.store.tables import ChunkRow, CorpusRow, DatasetRow, SampleRow
from corpora.bundled import SeedTask, seed_tasks
from corpora.errors import MalmoiError
from corpora.records import Chunk, Sample
from generators.base import Generator, SlotPlan, Workspace
from generators.curation.curator import Curator
from generators.curation.decontamination import Contamination
from generators.llm.client import EndpointSettings, OpenAIModelClient
from generators.llm.errors import EndpointDownError, KeyRefusedError, QuotaExhaustedError
from generators.pipeline import PipelineConfig, PipelineResult, Ports, run_pipeline
from generators.planning import plan_slots, restore_plan
from generators.ports import Budget
from generators.registry import GENERATORS
from retrieval.embedders import HashedEmbedder
from retrieval.retriever import Retriever

__all__ = ["run_generate"]

#: Slots that may run ahead of the decided one; recorded in the job, since prompts depend on it.
WINDOW = 8
#: These end a run for now, not for good: the job pauses and can be resumed.
PAUSING = (KeyRefusedError, QuotaExhaustedError, EndpointDownError)


@dataclass(frozen=True, kw_only=True)
class _Inputs:
    """What is read from the store once, at the start of an attempt."""

    train: tuple[Chunk, ...]
    heldout: tuple[Chunk, ...]
    embedder: HashedEmbedder | None
    earlier: tuple[Sample, ...]


def _read_inputs(services: Services, params: GenerationParams, job_id: str) -> _Inputs:
    with services.store.read() as session:
        corpus = find(session, CorpusRow, CorpusRow.id == params.corpus_id)
        embedder = corpus_embedder(corpus) if corpus else None
        earlier = listed(
            session,
            SampleRow,
            SampleRow.dataset_id == params.dataset_id,
            SampleRow.status == "accepted",
            SampleRow.job_id != job_id,
        )

        def chunks(document_ids: Sequence[str]) -> tuple[Chunk, ...]:
            """Chunks in the order of the documents, which is that of their sha256, and of the text."""
            return tuple(
                chunk_record(row)
                for document_id in document_ids
                for row in listed(session, ChunkRow, ChunkRow.document_id == document_id, order_by=ChunkRow.index)
            )

        return _Inputs(
            train=chunks(params.train_documents),
            heldout=chunks(params.heldout_documents),
            embedder=embedder,
            earlier=tuple(row_to_sample(row) for row in earlier),
        )


def _seeds(params: GenerationParams) -> tuple[SeedTask, ...]:
    """The seed tasks that the job's generators name, each once."""
    tasks: dict[str, SeedTask] = {}
    for entry in params.generators:
        if GENERATORS[entry["type"]].name == "self_instruct":
            tasks.update({task.id: task for task in seed_tasks(entry["seed_tasks"].removeprefix("builtin:"))})
    return tuple(tasks.values())


def _workspace(
    chunks: tuple[Chunk, ...], inputs: _Inputs, seeds: tuple[SeedTask, ...], model: OpenAIModelClient | None
) -> Workspace:
    """One side's workspace; its retriever holds that side's chunks only, so held-out text never enters training."""
    retriever = None
    if chunks and inputs.embedder is not None:
        retriever = Retriever.build(chunks, inputs.embedder)
    return Workspace(chunks=chunks, retriever=retriever, seed_tasks=seeds, model=model)


def run_generate(services: Services, context: JobContext, params: GenerationParams) -> JobOutcome:
    """Run the job's slots from the first one that is not decided."""
    return asyncio.run(_generate(services, context, params))


async def _generate(services: Services, context: JobContext, params: GenerationParams) -> JobOutcome:
    inputs = _read_inputs(services, params, context.job_id)
    seeds = _seeds(params)
    budget = Budget(max_requests=params.budget.max_requests, max_tokens=params.budget.max_tokens)
    ledger = SqlLedger(services.store, context.job_id, context.attempt, budget)
    cache = SqlReplyCache(services.store, context.job_id, context.attempt)
    model = _model(services, params, cache, ledger)
    try:
        train = _workspace(inputs.train, inputs, seeds, model)
        heldout = _workspace(inputs.heldout, inputs, seeds, model) if inputs.heldout else None
        generators: dict[str, Generator] = {}
        weights: list[tuple[Generator, int]] = []
        for entry in params.generators:
            spec = GENERATORS[entry["type"]]
            own = {key: value for key, value in entry.items() if key not in ("type", "weight", "seed_tasks")}
            generator = spec.build(spec.params.model_validate(own))
            generators[generator.name] = generator
            weights.append((generator, entry["weight"]))
        plan = _plan(services, context, params, weights, (train, heldout))
        context.progress({"window": WINDOW})
        embedder = inputs.embedder or HashedEmbedder.fit([s.instruction for s in seeds])
        curator = Curator(curation_settings(params.curation), embedder, _protected(inputs.heldout))
        for task in seeds:
            curator.remember_seed(task)
        for sample in inputs.earlier:
            curator.remember(sample)
        sink = SqlSampleSink(services.store, context.job_id, context.attempt, params.dataset_id)
        result = await run_pipeline(
            PipelineConfig(target=params.target, window=WINDOW, job_id=context.job_id, versions=curator.versions),
            plan,
            generators,
            (train, heldout),
            curator=curator,
            ports=Ports(cache=cache, sink=sink, ledger=ledger),
            should_stop=lambda: context.should_stop() is not None,
        )
    except PAUSING as exc:
        error = {"code": exc.code, "message": exc.message, "hint": exc.hint, "retryable": True}
        context.event("warn", f"작업을 멈춥니다: {exc.message}", data=error)
        return JobOutcome(status="paused", error=error)
    finally:
        if model is not None:
            await model.aclose()
    return _outcome(services, context, params, result)


def _protected(heldout: Sequence[Chunk]) -> Contamination | None:
    """The held-out passages: a sample made of a training document must not give them away, as stock pages would."""
    if not heldout:
        return None
    found = Contamination()
    for chunk in heldout:
        found.protect_text(chunk.id, chunk.text)
    return found


def _plan(
    services: Services,
    context: JobContext,
    params: GenerationParams,
    weights: Sequence[tuple[Generator, int]],
    sides: tuple[Workspace, Workspace | None],
) -> list[SlotPlan]:
    """The plan that the first attempt fixed: documents deleted since then leave failed slots, never other numbers."""
    stored = SqlPlan(services.store, context.job_id, context.attempt)
    slots = stored.get()
    if slots is None:
        made = plan_slots(weights, sides, seed=params.seed, heldout_fraction=params.heldout_fraction)
        slots = [(slot.generator, slot.heldout, slot.source) for slot in made]
        stored.put(slots)
    return restore_plan(slots, params.seed)


def _model(
    services: Services, params: GenerationParams, cache: SqlReplyCache, ledger: SqlLedger
) -> OpenAIModelClient | None:
    settings = services.settings
    if settings.model_base_url is None or not any(GENERATORS[e["type"]].needs_model for e in params.generators):
        return None
    key = settings.model_api_key.get_secret_value() if settings.model_api_key else ""
    endpoint = EndpointSettings(
        base_url=settings.model_base_url,
        api_key=key,
        model=params.model or "",
        timeout_s=settings.model_timeout_s,
        concurrency=settings.model_concurrency,
    )
    return OpenAIModelClient(endpoint, cache=cache, ledger=ledger)


def _outcome(services: Services, context: JobContext, params: GenerationParams, result: PipelineResult) -> JobOutcome:
    with services.store.read() as session:
        dataset = find(session, DatasetRow, DatasetRow.id == params.dataset_id)
        version = dataset.version if dataset else None
    summary = {"accepted": result.accepted, "rejected": result.rejected, "dataset_version": version}
    context.event("info", f"생성을 마쳤습니다: 채택 {result.accepted}건, 거절 {result.rejected}건", data=summary)
    if result.status == "stopped":
        return JobOutcome(status="paused" if context.should_stop() == "pause" else "cancelled", result=summary)
    error = None
    if result.reason is not None:
        short = MalmoiError(_REASONS.get(result.reason, result.reason), code=result.reason)
        error = {"code": short.code, "message": short.message, "hint": "", "retryable": False}
    return JobOutcome(status=result.status, result=summary, error=error)


_REASONS = {
    "budget_exhausted": "The budget does not cover another request; what was accepted is kept. Raise the budget and "
    "resume the job.",
    "no_new_candidates": "The plan is used up before the target was reached; what was accepted is kept. Add documents "
    "or lower the target.",
}
