"""Fine-tuning jobs as the OpenAI API has them: create, list, cancel, pause, resume, events, checkpoints.

The job itself runs in ``app.services.training``. A wrong file fails the job (HTTP 200, ``status: failed``), as OpenAI
does: in the answer to the request where the files are small, when the job's turn has come where they are large. A file
or a base model that is not there is refused at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any, Literal

from app.services import events
from app.services.checkpoints import checkpoint_page
from app.services.context import Services
from app.services.exporting import export_file
from app.services.files import require_file
from app.services.fine_tuning_body import job_body
from app.services.fine_tuning_request import CreateFineTuningJob
from app.services.model_jobs import KINDS as MODEL_JOBS
from app.services.models import DEMO_MODEL, current_base, require_base, require_fetchable, resolve_base
from app.services.training import KIND, TrainJobParams
from app.services.training_clearing import clear_run
from app.services.training_files import check_files, small_enough
from app.store.paging import page
from app.store.queries import Session, find
from app.store.tables import DatasetRow, JobRow
from corpora.errors import InvalidInputError, MissingExtraError, NotFoundError

__all__ = [
    "CreateFineTuningJob",
    "create_job",
    "get_job",
    "list_checkpoints",
    "list_events",
    "list_jobs",
    "read_plot",
    "resume_job",
    "stop_job",
]

_SEED_MODULUS = 2**31 - 1
#: Jobs read at once where a list is filtered by metadata.
BATCH = 200


def _blob_of(
    services: Services, given: str, param: str, split: Literal["train", "test"]
) -> tuple[str, dict[str, Any] | None]:
    """The sha256 of a training file: a file's bytes, or a dataset exported at this moment, which has a manifest."""
    if given.startswith("dataset_"):
        with services.store.read() as session:
            if find(session, DatasetRow, DatasetRow.id == given) is None:
                raise InvalidInputError(f"There is no dataset '{given}'.", param=param, code="dataset_not_found")
        frozen = export_file(services, given, split)
        return frozen.sha256, frozen.manifest
    with services.store.read() as session:
        try:
            return require_file(session, given, param).sha256, None
        except NotFoundError as exc:
            raise InvalidInputError(exc.message, param=param, code="file_not_found") from exc


def _require_torch() -> None:
    if find_spec("torch") is None:
        raise MissingExtraError("train", "Training")


def create_job(services: Services, request: CreateFineTuningJob) -> dict[str, Any]:
    """Check what can be checked at once and submit the job.

    Raises:
        InvalidInputError: the base model, a file or a recipe is not there; ``param`` names the field.
        BaseModelError: the base is nowhere on this machine and the hub may not be asked (``base_not_on_disk``).
        MissingExtraError: torch is not installed.
    """
    _require_torch()
    base = resolve_base(services, request.model, request.recipe)
    require_fetchable(base.path)
    training, manifest = _blob_of(services, request.training_file, "training_file", "train")
    validation = None
    if request.validation_file is not None:
        validation, _ = _blob_of(services, request.validation_file, "validation_file", "test")
        if validation == training:
            raise InvalidInputError(
                "validation_file holds the same rows as training_file; a validation says nothing on rows that were "
                "trained. Give other rows, or leave it out.",
                param="validation_file",
                code="validation_equals_training",
            )
    seed = request.seed if request.seed is not None else int(services.now() * 1000) % _SEED_MODULUS
    params = TrainJobParams(
        model=request.model,
        recipe=base.recipe,
        base_path=base.path,
        training_file=request.training_file,
        training_sha256=training,
        validation_file=request.validation_file,
        validation_sha256=validation,
        suffix=request.suffix,
        seed=seed,
        hyperparameters=request.chosen_hyperparameters(),
        lora=request.lora.model_dump(exclude_none=True) if request.lora else None,
        max_steps=request.max_steps,
        metadata=request.metadata,
        method=request.method_name,
        integrations=[given.model_dump(exclude_none=True) for given in request.integrations or []],
        packing=request.packing,
        max_length=request.max_length,
        allow_truncated=request.allow_truncated,
        early_stopping_patience=request.early_stopping_patience,
        stop_phrase=request.chosen_stop_phrase,
        validation_fraction=request.validation_fraction,
        dataset_manifest=manifest,
        dataset_licence=request.dataset_licence,
    )
    # Before the row is there: nobody can claim a job that will be failed.
    error = check_files(services, params).error if small_enough(services, params) else None
    with services.store.write(durable=True) as session:
        row = services.jobs.submit(
            KIND, params.model_dump(mode="json"), resources=["gpu"], session=session, error=error
        )
        session.flush()
        body = job_body(row)
        services.answer(session, body)
    services.wake()
    return body


def _require(session: Session, job_id: str) -> JobRow:
    row = find(session, JobRow, JobRow.id == job_id, JobRow.kind == KIND)
    if row is None:
        about = find(session, JobRow, JobRow.id == job_id, JobRow.kind.in_(MODEL_JOBS))
        hint = f"It is a {about.kind} of a finished model: GET /v1/model_jobs/{job_id}." if about is not None else ""
        raise NotFoundError(
            f"There is no fine-tuning job '{job_id}'.",
            param="fine_tuning_job_id",
            code="fine_tune_not_found",
            hint=hint,
        )
    return row


def get_job(services: Services, job_id: str) -> dict[str, Any]:
    """One job."""
    with services.store.read() as session:
        return job_body(_require(session, job_id))


def list_jobs(
    services: Services, after: str | None, limit: int, metadata: Mapping[str, str] | Literal["null"] | None = None
) -> tuple[list[dict[str, Any]], bool]:
    """A page of jobs, newest first.

    Args:
        services: The opened services.
        after: Id of the last job of the page before.
        limit: Jobs at most.
        metadata: Only jobs that carry all of these pairs, or (``null``) none at all.

    Raises:
        InvalidInputError: there is no job ``after``.
    """
    wanted = _metadata_filter(metadata)
    found: list[JobRow] = []
    with services.store.read() as session:
        if after is not None and find(session, JobRow, JobRow.id == after, JobRow.kind == KIND) is None:
            raise InvalidInputError(f"There is no fine-tuning job '{after}' to go on after.", param="after")
        more, cursor = True, after
        # Metadata are filtered here: keys may hold anything, and paths into JSON columns may not.
        while more and len(found) <= limit:
            rows, more = page(
                session,
                JobRow,
                filters=(JobRow.kind == KIND,),
                after=cursor,
                limit=limit + 1 if metadata is None else BATCH,
                order="desc",
            )
            cursor = rows[-1].id if rows else None
            found += [row for row in rows if wanted(row.params.get("metadata"))]
    return [job_body(row) for row in found[:limit]], len(found) > limit


def _metadata_filter(
    metadata: Mapping[str, str] | Literal["null"] | None,
) -> Callable[[dict[str, str] | None], bool]:
    if metadata == "null":
        return lambda stored: not stored
    pairs = (metadata or {}).items()
    return lambda stored: pairs <= (stored or {}).items()


def stop_job(services: Services, job_id: str, what: Literal["cancel", "pause"]) -> dict[str, Any]:
    """Ask a job to stop."""
    get_job(services, job_id)
    if services.jobs.request_stop(job_id, what).status == "cancelled":
        # It was not running: nobody else will clear up.
        clear_run(services, job_id, "cancelled")
    services.wake()
    return get_job(services, job_id)


def resume_job(services: Services, job_id: str) -> dict[str, Any]:
    """Queue a paused job again; it goes on from its last checkpoint.

    Raises:
        NotFoundError: there is no such job, or its base is gone (``base_model_missing``).
        MissingExtraError: torch is not installed any more.
    """
    get_job(services, job_id)
    _require_torch()
    params = services.jobs.get(job_id).params
    if params["model"] != DEMO_MODEL:
        require_base(params["model"], current_base(services, params["model"], params["base_path"]))
    services.jobs.resume(job_id, {})
    services.wake()
    return get_job(services, job_id)


def list_events(services: Services, job_id: str, after: str | None, limit: int) -> tuple[list[dict[str, Any]], bool]:
    """A page of a job's events, newest first, ids ``ftevent-<n>``."""
    get_job(services, job_id)
    return events.list_events(services, job_id, "fine_tuning.job.event", after, limit)


def read_plot(services: Services, job_id: str) -> bytes:
    """The newest picture of a run's curves, while it runs and for as long as its folder is there.

    Raises:
        NotFoundError: there is no such job, or no picture of it (``plot_not_ready``).
    """
    status = get_job(services, job_id)["status"]
    # A picture takes another's place as a whole: what is opened is read to its end.
    picture = services.settings.data_dir / "runs" / job_id / "out" / "curves.png"
    try:
        return picture.read_bytes()
    except FileNotFoundError:
        raise NotFoundError(
            f"There is no plot of job '{job_id}', which is {status}.",
            param="fine_tuning_job_id",
            code="plot_not_ready",
            hint="A running job draws one a minute; of a finished one it is the second of result_files. Without the "
            "extra 'report' none is drawn, which an event tells.",
        ) from None


def list_checkpoints(
    services: Services, job_id: str, after: str | None, limit: int
) -> tuple[list[dict[str, Any]], bool]:
    """A page of a job's kept checkpoints, newest first, while it runs too."""
    with services.store.read() as session:
        _require(session, job_id)
        return checkpoint_page(session, job_id, after, limit)
