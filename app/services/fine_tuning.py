"""Fine-tuning jobs as the OpenAI API has them: create, list, cancel, pause, resume, events, checkpoints.

The job itself runs in ``app.services.training``. A wrong file fails the job (HTTP 200, ``status: failed``), as OpenAI
does; a file or a base model that is not there is refused at once.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.services import events
from app.services.context import Services
from app.services.exporting import export_file
from app.services.files import require_file
from app.services.labels import Identifier, Label, Storable
from app.services.models import resolve_base
from app.services.training import KIND, TrainJobParams
from app.store.paging import page
from app.store.queries import Session, find
from app.store.tables import DatasetRow, JobRow
from corpora.errors import InvalidInputError, NotFoundError

__all__ = [
    "CreateFineTuningJob",
    "create_job",
    "get_job",
    "list_checkpoints",
    "list_events",
    "list_jobs",
    "resume_job",
    "stop_job",
]

Auto = Literal["auto"]
Metadata = dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]]
_SEED_MODULUS = 2**31 - 1


class Hyperparameters(BaseModel):
    """OpenAI's three hyperparameters; ``auto`` leaves one to the recipe."""

    model_config = ConfigDict(extra="forbid")
    n_epochs: Auto | Annotated[int, Field(ge=1, le=50)] = "auto"
    batch_size: Auto | Annotated[int, Field(ge=1, le=256)] = "auto"
    learning_rate_multiplier: Auto | Annotated[float, Field(gt=0, le=1000)] = "auto"


class Supervised(BaseModel):
    """The supervised method."""

    model_config = ConfigDict(extra="forbid")
    hyperparameters: Hyperparameters | None = None


class Method(BaseModel):
    """How to train."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["supervised"] = "supervised"
    supervised: Supervised | None = None


class LoraRequest(BaseModel):
    """LoRA sizes that replace the recipe's."""

    model_config = ConfigDict(extra="forbid")
    r: Annotated[int, Field(ge=1, le=512)] | None = None
    alpha: Annotated[int, Field(ge=1, le=1024)] | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None


class CreateFineTuningJob(BaseModel):
    """The body of ``POST /v1/fine_tuning/jobs``: OpenAI's fields, and ours through ``extra_body``."""

    model_config = ConfigDict(extra="forbid")
    model: Identifier
    training_file: Identifier
    validation_file: Identifier | None = None
    suffix: Annotated[Label, Field(min_length=1, max_length=64)] | None = None
    seed: Annotated[int, Field(ge=0, le=2147483647)] | None = None
    hyperparameters: Hyperparameters | None = None
    method: Method | None = None
    metadata: Annotated[Metadata, Field(max_length=16), Storable] | None = None
    recipe: Identifier | None = None
    lora: LoraRequest | None = None
    max_steps: Annotated[int, Field(ge=1, le=10_000_000)] | None = None


def _blob_of(services: Services, given: str, param: str, split: Literal["train", "test"]) -> str:
    """The sha256 of a training file: a file's bytes, or a dataset exported at this moment."""
    if given.startswith("dataset_"):
        with services.store.read() as session:
            if find(session, DatasetRow, DatasetRow.id == given) is None:
                raise InvalidInputError(f"There is no dataset '{given}'.", param=param, code="dataset_not_found")
        return export_file(services, given, split)[0]
    with services.store.read() as session:
        try:
            return require_file(session, given, param).sha256
        except NotFoundError as exc:
            raise InvalidInputError(exc.message, param=param, code="file_not_found") from exc


def create_job(services: Services, request: CreateFineTuningJob) -> dict[str, Any]:
    """Check what can be checked at once and submit the job.

    Raises:
        InvalidInputError: the base model, a file or a recipe is not there; ``param`` names the field.
    """
    base = resolve_base(services, request.model, request.recipe)
    training = _blob_of(services, request.training_file, "training_file", "train")
    validation = None
    if request.validation_file is not None:
        validation = _blob_of(services, request.validation_file, "validation_file", "test")
    hyper = request.hyperparameters or Hyperparameters()
    if request.method and request.method.supervised and request.method.supervised.hyperparameters:
        hyper = request.method.supervised.hyperparameters
    now = services.now()
    params = TrainJobParams(
        model=request.model,
        recipe=base.recipe,
        base_path=base.path,
        training_file=request.training_file,
        training_sha256=training,
        validation_file=request.validation_file,
        validation_sha256=validation,
        suffix=request.suffix,
        seed=request.seed if request.seed is not None else int(now * 1000) % _SEED_MODULUS,
        hyperparameters=hyper.model_dump(),
        lora=request.lora.model_dump() if request.lora else None,
        max_steps=request.max_steps,
        metadata=request.metadata,
    )
    with services.store.write(durable=True) as session:
        row = services.jobs.submit(KIND, params.model_dump(mode="json"), resources=["gpu"], session=session)
        session.flush()
        body = job_body(row)
        services.answer(session, body)
    services.wake()
    return body


def _require(session: Session, job_id: str) -> JobRow:
    row = find(session, JobRow, JobRow.id == job_id, JobRow.kind == KIND)
    if row is None:
        raise NotFoundError(
            f"There is no fine-tuning job '{job_id}'.", param="fine_tuning_job_id", code="fine_tune_not_found"
        )
    return row


def _status(row: JobRow) -> str:
    if row.status == "running":
        return "running" if row.progress.get("phase") == "training" else "validating_files"
    return {"incomplete": "failed"}.get(row.status, row.status)


def job_body(row: JobRow) -> dict[str, Any]:
    """The job in OpenAI's shape, every required key present."""
    params, result = row.params, row.result or {}
    hyper = result.get("hyperparameters") or params["hyperparameters"]
    error = None
    if row.error:
        error = {"code": row.error.get("code"), "message": row.error.get("message"), "param": row.error.get("param")}
    estimated = row.progress.get("estimated_finish")
    return {
        "id": row.id,
        "object": "fine_tuning.job",
        "created_at": int(row.created_at),
        "error": error,
        "fine_tuned_model": result.get("fine_tuned_model"),
        "finished_at": int(row.finished_at) if row.finished_at else None,
        "hyperparameters": hyper,
        "model": params["model"],
        "organization_id": "org-malmoi",
        "result_files": result.get("result_files", []),
        "seed": params["seed"],
        "status": _status(row),
        "trained_tokens": result.get("trained_tokens"),
        "training_file": params["training_file"],
        "validation_file": params["validation_file"],
        "estimated_finish": int(estimated) if estimated else None,
        "integrations": [],
        "metadata": params.get("metadata"),
        "method": {"type": "supervised", "supervised": {"hyperparameters": hyper}},
        "user_provided_suffix": params.get("suffix"),
        "recipe": params["recipe"],
        "losses": result.get("losses"),
    }


def get_job(services: Services, job_id: str) -> dict[str, Any]:
    """One job."""
    with services.store.read() as session:
        return job_body(_require(session, job_id))


def list_jobs(services: Services, after: str | None, limit: int) -> tuple[list[dict[str, Any]], bool]:
    """A page of jobs, newest first."""
    with services.store.read() as session:
        rows, more = page(session, JobRow, filters=(JobRow.kind == KIND,), after=after, limit=limit, order="desc")
        return [job_body(row) for row in rows], more


def stop_job(services: Services, job_id: str, what: Literal["cancel", "pause"]) -> dict[str, Any]:
    """Ask a job to stop."""
    get_job(services, job_id)
    services.jobs.request_stop(job_id, what)
    services.wake()
    return get_job(services, job_id)


def resume_job(services: Services, job_id: str) -> dict[str, Any]:
    """Queue a paused job again; it goes on from its last checkpoint."""
    get_job(services, job_id)
    services.jobs.resume(job_id, {})
    services.wake()
    return get_job(services, job_id)


def list_events(services: Services, job_id: str, after: str | None, limit: int) -> tuple[list[dict[str, Any]], bool]:
    """A page of a job's events, newest first, ids ``ftevent-<n>``."""
    get_job(services, job_id)
    return events.list_events(services, job_id, "fine_tuning.job.event", after, limit)


def list_checkpoints(
    services: Services, job_id: str, after: str | None, limit: int
) -> tuple[list[dict[str, Any]], bool]:
    """A page of a job's kept checkpoints, newest first."""
    with services.store.read() as session:
        row = _require(session, job_id)
        found = list(reversed((row.result or {}).get("checkpoints", [])))
    ids = [entry["id"] for entry in found]
    if after is not None and after not in ids:
        raise InvalidInputError(f"'{after}' is no checkpoint of this job.", param="after")
    start = ids.index(after) + 1 if after is not None else 0
    return found[start : start + limit], len(found) > start + limit
