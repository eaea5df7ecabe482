"""``malmoi train``: a file in, an adapter's folder out, by the job that the HTTP API runs, without a server.

The store is the caller's, or a private one that is gone afterwards. On the caller's store the same call goes on with a
job that was paused before.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.jobs.inline import run_inline
from app.services.adapters import find_adapter
from app.services.context import Services, worker_config
from app.services.files import create_file
from app.services.fine_tuning import create_job, get_job, resume_job, stop_job
from app.services.fine_tuning_request import CreateFineTuningJob
from app.services.kinds import KINDS
from app.services.training import KIND
from app.store.queries import find, listed
from app.store.tables import JobRow
from corpora.errors import InvalidInputError, MalmoiError
from corpora.importers import printable
from training.refusals import ADAPTER_CONFIG, ADAPTER_WEIGHTS

__all__ = ["Trained", "TrainingFiles", "check_output", "train_files"]

BLOCK = 1 << 20
#: Differ between two calls that ask for the same.
_NAMES_ONLY = ("training_file", "validation_file")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingFiles:
    """What is read and written."""

    data: Path  #: JSONL in the messages schema, or of preference pairs.
    validation: Path | None  #: The same, held out.
    output: Path  #: Folder of the adapter.
    force: bool = False  #: Whether an adapter that lies there is replaced.


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What came of it."""

    job: dict[str, Any]  #: The fine-tuning job as the API shows it.
    error: dict[str, Any] | None  #: Why it did not succeed, with hint.
    resumed: bool  #: Whether it went on with a job that was paused.


def check_output(output: Path, *, force: bool) -> None:
    """Refuse a place that holds something; with ``force`` an adapter may be replaced, and nothing else.

    Raises:
        InvalidInputError: ``output_exists``.
    """
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if output.is_dir() and force and (output / ADAPTER_CONFIG).is_file():
        return
    hint = "Name another folder." if force or not output.is_dir() else "Name another folder, or replace it by --force."
    what = "is no folder" if not output.is_dir() else "is not empty" if not force else "holds something else"
    raise InvalidInputError(f"{printable(str(output))} {what}. {hint}", param="output", code="output_exists")


def train_files(
    services: Services, files: TrainingFiles, request: dict[str, Any], on_job: Callable[[str], None]
) -> Trained:
    """Run the whole of it.

    Args:
        services: The opened store.
        files: What is read and written.
        request: Fields of ``CreateFineTuningJob`` but the files.
        on_job: Told the job's id before it runs.

    Raises:
        InvalidInputError: a file is not there, the output holds something, or the request does not fit.
        MalmoiError: the output cannot be written.
    """
    check_output(files.output, force=files.force)
    sent = {"training_file": _uploaded(services, files.data, "data")}
    if files.validation is not None:
        sent["validation_file"] = _uploaded(services, files.validation, "validation")
    job = create_job(services, CreateFineTuningJob.model_validate(request | sent))
    # A job whose files are wrong has ended already.
    paused = None if job["status"] == "failed" else _paused_like(services, job["id"])
    if paused is not None:
        stop_job(services, job["id"], "cancel")
        job = resume_job(services, paused)
    on_job(job["id"])
    run_inline(services.store, KINDS, job["id"], worker_config(services.settings)["settings"])
    job = get_job(services, job["id"])
    if job["status"] == "succeeded":
        _publish(find_adapter(services, job["fine_tuned_model"]).path, files)
    return Trained(job=job, error=services.jobs.get(job["id"]).error, resumed=paused is not None)


def _uploaded(services: Services, path: Path, param: str) -> str:
    def blocks() -> Iterator[bytes]:
        with path.open("rb") as handle:
            while block := handle.read(BLOCK):
                yield block

    try:
        return str(create_file(services, printable(path.name), "fine-tune", blocks())["id"])
    except OSError as exc:
        raise InvalidInputError(
            f"{printable(str(path))} cannot be read: {exc.strerror}.", param=param, code="file_not_found"
        ) from exc


def _paused_like(services: Services, job_id: str) -> str | None:
    """The newest paused job that asks for the same as this new one, on the same bytes."""
    with services.store.read() as session:
        new = find(session, JobRow, JobRow.id == job_id)
        assert new is not None
        paused = listed(session, JobRow, JobRow.kind == KIND, JobRow.status == "paused", order_by=JobRow.seq.desc())
        return next((row.id for row in paused if _asked(row) == _asked(new)), None)


def _asked(row: JobRow) -> dict[str, Any]:
    return {name: value for name, value in row.params.items() if name not in _NAMES_ONLY}


def _publish(adapter: Path, files: TrainingFiles) -> None:
    """Copy the adapter to its place: beside it first, so that what lies there is whole."""
    output = files.output.resolve()
    making = output.with_name(f".{output.name}.making")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(making, ignore_errors=True)
        shutil.copytree(adapter, making)
        check_output(output, force=files.force)
        if output.is_dir():
            # An older adapter: its own files only, whatever else lies beside them.
            for path in sorted(making.iterdir(), key=lambda path: path.name == ADAPTER_WEIGHTS):
                os.replace(path, output / path.name)
            making.rmdir()
        else:
            os.replace(making, output)
    except OSError as exc:
        raise MalmoiError(
            f"The adapter cannot be written to {printable(str(output))}: {exc.strerror}.",
            code="output_failed",
            hint="Free space there or name another folder with -o.",
        ) from exc
    finally:
        shutil.rmtree(making, ignore_errors=True)
