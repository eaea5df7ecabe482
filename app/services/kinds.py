"""``KINDS``: every kind of job by name, handed to the engine, which knows none of them.

A worker imports the room of its own kind only: all of them together cost 3 s of CPU before a job begins.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

from pydantic import BaseModel

from app.jobs.kinds import JobContext, JobKind, JobOutcome
from app.services.context import Services
from app.settings import Settings
from app.store.blobs import BlobStore
from app.store.jobs import JobStore

__all__ = ["KINDS"]

Run = Callable[[JobContext, Any], JobOutcome]


def _with_services(run: Callable[[Services, JobContext, Any], JobOutcome]) -> Run:
    """``run`` with the worker's own services, opened on the store that the engine already holds."""

    def call(context: JobContext, params: Any) -> JobOutcome:
        settings = Settings.model_validate(context.settings)
        services = Services(
            settings=settings,
            store=context.store,
            blobs=BlobStore(settings.data_dir / "blobs"),
            jobs=JobStore(context.store),
        )
        return run(services, context, params)

    return call


def _kind(name: str, params: str, run: str) -> JobKind:
    """The kind whose parameters and run stand at ``module:name`` in this package."""

    @cache
    def load() -> tuple[type[BaseModel], Run]:
        return _at(params), _with_services(_at(run))

    return JobKind(name=name, load=load)


def _at(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(f"app.services.{module}"), name)


KINDS: dict[str, JobKind] = {
    "index": _kind("index", "indexing:IndexParams", "indexing:run_index"),
    "generate": _kind("generate", "generation:GenerationParams", "generating:run_generate"),
    "import": _kind("import", "importing:ImportParams", "importing:run_import"),
    "curate": _kind("curate", "curating:CurateParams", "curating:run_curate"),
    "train": _kind("train", "training:TrainJobParams", "training:run_train"),
    "merge": _kind("merge", "adapters_merge:MergeParams", "adapters_merge:run_merge"),
    "upload": _kind("upload", "adapters_hub:UploadParams", "adapters_hub:run_upload"),
    "evaluate": _kind("evaluate", "evaluation_request:EvaluateParams", "evaluating:run_evaluate"),
}
