"""The generation job itself: runs the pipeline on what ``generation_setup`` reads, maps its end to a job's end.

Runs in a worker process. Everything it decides is a function of the job's parameters and of what is stored, so that a
new attempt goes on where the last one was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

from app.jobs.kinds import JobContext, JobOutcome
from app.services.context import Services
from app.services.generation import GenerationParams
from app.services.generation_ending import decided_any, ended, paused
from app.services.generation_prices import prices_of
from app.services.generation_setup import Setup, build_generators, read_setup
from app.services.generation_watch import LOOK_S, StopWatch, recall_endpoints, share_limits, watch
from app.store.batches import SqlBatchLog
from app.store.disk import DiskFullError, is_disk_full
from app.store.generation import SqlPlan, SqlSampleSink
from app.store.group_commit import GroupWriter
from app.store.ledger import SqlLedger
from app.store.moved_chunks import ChunkPlaces
from app.store.replies import SqlReplyCache
from corpora.errors import MalmoiError
from generators.base import Generator, SlotPlan, Workspace
from generators.curation.judge import Judge
from generators.llm.asker import Asker
from generators.llm.batch import BatchModelClient
from generators.llm.endpoint import Endpoints
from generators.llm.errors import (
    EndpointDownError,
    KeyRefusedError,
    NonsenseReplyError,
    QuotaExhaustedError,
    RequestRefusedError,
    SendingHeldError,
)
from generators.llm.factory import make_client
from generators.llm.patient_ledger import PatientLedger
from generators.llm.settings import LANGCHAIN_PREFIX, EndpointSettings
from generators.pipeline import PipelineConfig, Ports, run_pipeline
from generators.planning import restore_plan
from generators.ports import Budget
from generators.registry import GENERATORS

__all__ = ["run_generate"]

#: These end a run for now, not for good: the job pauses and can be resumed.
PAUSING = (KeyRefusedError, QuotaExhaustedError, EndpointDownError)


def run_generate(services: Services, context: JobContext, params: GenerationParams) -> JobOutcome:
    """Run the job's slots from the first one that is not decided."""
    # Closed when the loop has ended: what its last tasks hand in while they are cancelled is written too.
    with contextlib.closing(GroupWriter(services.store, context.job_id, context.attempt)) as writer:
        return asyncio.run(_generate(services, context, params, writer))


async def _generate(
    services: Services, context: JobContext, params: GenerationParams, writer: GroupWriter
) -> JobOutcome:
    setup = read_setup(services, params, context.job_id)
    if setup.sources.skipped:
        skipped = dict(setup.sources.skipped)
        context.event("warn", f"맞지 않는 행 {sum(skipped.values())}개를 건너뜁니다.", data={"skipped": skipped})
    prices = prices_of(services.settings, (params.model, params.judge_model))
    # One for all models: whoever is refused waits for what the others have only reserved.
    ledger = PatientLedger(SqlLedger(writer, Budget(**params.budget.model_dump()), prices))
    cache = SqlReplyCache(writer)
    models = _models(services, params, cache, ledger, SqlBatchLog(writer))
    askers = {str(getattr(params, field)): model for field, model in models.items() if isinstance(model, Asker)}
    # Not by name: a judge may be the same model behind a client of its own.
    recall_endpoints(services, context, askers)
    stop = StopWatch(context, [model for model in models.values() if isinstance(model, Asker)])
    watching = asyncio.create_task(watch(services, context, askers, services.settings.model_down_after_s))
    try:
        sides = setup.sides(models.get("model"))
        weights = build_generators(params)
        plan = _plan(services, context, setup, weights, sides)
        _tell_idle(context, weights, plan)
        await _join(services, askers)
        curator = setup.curator()
        judge = models.get("judge_model")
        result = await run_pipeline(
            PipelineConfig(
                job_id=context.job_id,
                target=params.target,
                window=params.window,
                versions=curator.versions,
                contract=setup.contract,
                patience=params.patience,
                patience_from=params.patience_from,
            ),
            plan,
            {generator.name: generator for generator, _ in weights},
            sides,
            curator=curator,
            judge=Judge(judge) if judge is not None else None,
            ports=Ports(
                cache=cache,
                sink=_sink(services, context, setup),
                ledger=ledger,
            ),
            should_stop=stop,
        )
    except SendingHeldError:
        return ended(services, context, params, None)
    except Exception as exc:
        return _held_up(services, context, exc)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        for model in models.values():
            await model.aclose()
    return ended(services, context, params, result)


def _sink(services: Services, context: JobContext, setup: Setup) -> SqlSampleSink:
    """Where decided slots go; what they rest on is followed through newer revisions of its documents."""
    places = ChunkPlaces((*setup.train, *setup.heldout))
    return SqlSampleSink(services.store, context.job_id, context.attempt, setup.params.dataset_id, places)


def _held_up(services: Services, context: JobContext, exc: Exception) -> JobOutcome:
    """Pause for what may pass; raise everything else."""
    # It worked before: a model that was unloaded, a proxy that restarts. Nothing that was paid is lost.
    later = isinstance(exc, RequestRefusedError | NonsenseReplyError) and decided_any(services, context.job_id)
    if isinstance(exc, PAUSING) or (later and isinstance(exc, MalmoiError)):
        return paused(services, context, exc)
    if is_disk_full(exc):
        return paused(services, context, DiskFullError())
    raise exc


def _tell_idle(context: JobContext, weights: Sequence[tuple[Generator, int]], plan: Sequence[SlotPlan]) -> None:
    """Say which generators found nothing to work on: their share of the dataset would be missing silently."""
    busy = {planned.generator for planned in plan}
    for generator, _ in weights:
        if generator.name not in busy:
            message = f"{generator.name}: 문서나 원본에서 이 생성기가 다룰 내용을 찾지 못해 작업이 없습니다."
            context.event("warn", message, data={"code": "nothing_to_do", "generator": generator.name})


async def _join(services: Services, models: Mapping[str, Asker]) -> None:
    """Where other jobs ask the same model under a limit a minute, wait until they have made room."""
    limited = services.settings.model_requests_per_minute or services.settings.model_tokens_per_minute
    if share_limits(services, models) > 1 and limited:
        await asyncio.sleep(2 * LOOK_S)


def _plan(
    services: Services,
    context: JobContext,
    setup: Setup,
    weights: Sequence[tuple[Generator, int]],
    sides: tuple[Workspace, Workspace | None],
) -> list[SlotPlan]:
    """The plan that the first attempt fixed: documents deleted since then leave failed slots, never other numbers."""
    stored = SqlPlan(services.store, context.job_id, context.attempt)
    slots = stored.get()
    if slots is None:
        slots = [(slot.generator, slot.heldout, slot.source) for slot in setup.plan(weights, sides)]
        stored.put(slots)
    return restore_plan(slots, setup.params.seed, setup.contract)


def _models(
    services: Services, params: GenerationParams, cache: SqlReplyCache, ledger: PatientLedger, batches: SqlBatchLog
) -> dict[str, Asker | BatchModelClient]:
    """Clients of the job's models by the field that names them; a judge shares the job's cache and budget.

    A generator that can do without a model is handed one where one is configured.
    """
    settings = services.settings
    wanted = {"judge_model": params.judge_model}
    if any(GENERATORS[entry["type"]].needs_model for entry in params.generators):
        wanted["model"] = params.model
    key = settings.model_api_key.get_secret_value() if settings.model_api_key else ""
    endpoints = Endpoints()
    made: dict[str, Asker | BatchModelClient] = {}
    for field, name in wanted.items():
        if name is None or (settings.model_base_url is None and not name.startswith(LANGCHAIN_PREFIX)):
            continue
        # Another provider has its own address and takes its key from its own variable.
        ours = not name.startswith(LANGCHAIN_PREFIX)
        endpoint = EndpointSettings(
            base_url=settings.model_base_url or "" if ours else "",
            api_key=key if ours else "",
            model=name,
            timeout_s=settings.model_timeout_s,
            concurrency=settings.model_concurrency,
            requests_per_minute=settings.model_requests_per_minute,
            tokens_per_minute=settings.model_tokens_per_minute,
            down_after_s=settings.model_down_after_s,
        )
        made[field] = make_client(endpoint, cache=cache, ledger=ledger, endpoints=endpoints, batches=batches)
    return made
