"""What a generation job looks after while it runs: pauses without paying twice, tells of trouble, shares rate limits.

``StopWatch`` is what the pipeline asks whether to stop. On a pause nothing else is sent, what is on the wire is waited
for and cached, and only then the answer is yes: a resumed job asks nothing again. ``watch`` runs beside the pipeline:
it tells people when an endpoint has stopped answering, long before the job gives up, divides what the settings allow a
minute by the jobs that ask the same model at this moment, and keeps with the job what was found out of its endpoints,
so that an attempt after a kill sends the same requests. Knows no prompts and decides no sample.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from app.jobs.kinds import JobContext
from app.services.context import Services
from app.store.queries import find, listed
from app.store.tables import JobRow
from generators.llm.asker import Asker
from generators.llm.structured import Mode

__all__ = ["StopWatch", "recall_endpoints", "share_limits", "watch"]

#: Seconds between two looks.
LOOK_S = 2.0
#: Seconds of nothing but failures after which people are told.
TELL_AFTER_S = 10.0
_MODEL_FIELDS = ("model", "judge_model")
#: Under this name the job's progress holds how each model is sent schemas.
_SCHEMAS = "schemas"


class StopWatch:
    """Whether the pipeline is to stop now."""

    def __init__(self, context: JobContext, models: Iterable[Asker]) -> None:
        self._context = context
        self._models = tuple(models)

    @property
    def pausing(self) -> bool:
        """Whether somebody asked for a pause."""
        return self._context.should_stop() == "pause"

    def __call__(self) -> bool:
        """True once the job may be abandoned: at once for a cancel, with every reply cached for a pause."""
        wanted = self._context.should_stop()
        if wanted != "pause":
            return wanted is not None
        for model in self._models:
            model.hold()
        return all(model.flying == 0 for model in self._models)


async def watch(services: Services, context: JobContext, models: Mapping[str, Asker], seconds: float) -> None:
    """Look after the job until cancelled.

    Args:
        services: The opened store.
        context: The job.
        models: Its clients by the name of the model.
        seconds: After which an endpoint that only fails is given up.
    """
    told: set[str] = set()
    kept = _found_out(models)
    while True:
        await asyncio.sleep(LOOK_S)
        await asyncio.to_thread(share_limits, services, models)
        if (found := _found_out(models)) != kept:
            await asyncio.to_thread(context.progress, {_SCHEMAS: found})
            kept = found
        for name, model in models.items():
            trouble = model.trouble(TELL_AFTER_S)
            if trouble is None:
                told.discard(name)
            elif name not in told:
                told.add(name)
                message = (
                    f"모델 '{name}'의 응답이 없습니다. {seconds:g}초 동안 이어지면 작업을 일시 정지합니다: {trouble}"
                )
                context.event("warn", message, data={"model": name, "code": "endpoint_failing"})


def recall_endpoints(services: Services, context: JobContext, models: Mapping[str, Asker]) -> None:
    """Hand the clients what earlier attempts of this job found out of their endpoints."""
    with services.store.read() as session:
        row = find(session, JobRow, JobRow.id == context.job_id)
        kept = dict(row.progress.get(_SCHEMAS, {})) if row is not None else {}
    for name, model in models.items():
        if name in kept:
            model.endpoint.structured.recall(kept[name])


def _found_out(models: Mapping[str, Asker]) -> dict[str, Mode]:
    verdicts = {name: model.endpoint.structured.verdict for name, model in models.items()}
    return {name: verdict for name, verdict in verdicts.items() if verdict is not None}


def share_limits(services: Services, models: Mapping[str, Asker]) -> int:
    """Divide each model's limits by the running jobs that ask it; returns the most jobs that share one.

    Every job runs in a process of its own, so that the limiter of one knows nothing of the other's. A job that joins
    waits for two looks before it sends anything (see ``generating``), by when the others have made room.
    """
    with services.store.read() as session:
        running = listed(session, JobRow, JobRow.status == "running")
        asked = [{row.params.get(field) for field in _MODEL_FIELDS} for row in running]
    most = 1
    for name, model in models.items():
        sharing = max(1, sum(name in names for names in asked))
        model.endpoint.limiter.share(sharing)
        most = max(most, sharing)
    return most
