"""``KINDS``: every kind of job by name, handed to the engine, which knows none of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel

from app.jobs.kinds import JobContext, JobKind, JobOutcome
from app.services.adapters_hub import UploadParams, run_upload
from app.services.adapters_merge import MergeParams, run_merge
from app.services.context import Services
from app.services.curating import CurateParams, run_curate
from app.services.evaluating import run_evaluate
from app.services.evaluation_request import EvaluateParams
from app.services.generating import run_generate
from app.services.generation import GenerationParams
from app.services.importing import ImportParams, run_import
from app.services.indexing import IndexParams, run_index
from app.services.training import TrainJobParams, run_train
from app.settings import Settings
from app.store.blobs import BlobStore
from app.store.jobs import JobStore

__all__ = ["KINDS"]

P = TypeVar("P", bound=BaseModel)


def _with_services(run: Callable[[Services, JobContext, P], JobOutcome]) -> Callable[[JobContext, P], JobOutcome]:
    """``run`` with the worker's own services, opened on the store that the engine already holds."""

    def call(context: JobContext, params: P) -> JobOutcome:
        settings = Settings.model_validate(context.settings)
        services = Services(
            settings=settings,
            store=context.store,
            blobs=BlobStore(settings.data_dir / "blobs"),
            jobs=JobStore(context.store),
        )
        return run(services, context, params)

    return call


KINDS: dict[str, JobKind] = {
    "index": JobKind(name="index", params=IndexParams, run=_with_services(run_index)),
    "generate": JobKind(name="generate", params=GenerationParams, run=_with_services(run_generate)),
    "import": JobKind(name="import", params=ImportParams, run=_with_services(run_import)),
    "curate": JobKind(name="curate", params=CurateParams, run=_with_services(run_curate)),
    "train": JobKind(name="train", params=TrainJobParams, run=_with_services(run_train)),
    "merge": JobKind(name="merge", params=MergeParams, run=_with_services(run_merge)),
    "upload": JobKind(name="upload", params=UploadParams, run=_with_services(run_upload)),
    "evaluate": JobKind(name="evaluate", params=EvaluateParams, run=_with_services(run_evaluate)),
}
