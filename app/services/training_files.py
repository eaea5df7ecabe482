"""The check of a training job's files: every line read, the first fault named, nothing kept.

The job checks its files before the trainer starts. Small ones are checked when the job is asked for, too: a fault that
a second of reading finds should not wait for a GPU. Files are named by hash, so that both checks see the same bytes.

Use::

    checked = check_files(services, params)
    if checked.error is not None: ...   # how the job fails
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.services.context import Services
from app.services.training_command import TrainJobParams
from corpora.errors import MalmoiError
from corpora.messages import MIN_EXAMPLES, validate_training_file
from corpora.preferences import validate_preference_file

__all__ = ["CHECKED_AT_ONCE", "Checked", "check_files", "job_error", "small_enough"]

#: Bytes of a job's files that a request may read: about a second where rows are shortest (measured: 7 to 68 ms a MiB).
CHECKED_AT_ONCE = 16 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """What the files are like."""

    error: dict[str, Any] | None = None  #: How the job fails; None where every line can be read.
    warnings: tuple[str, ...] = ()  #: Faults that do not stop training.


def job_error(
    code: str, message: str, param: str | None = None, hint: str = "", *, retryable: bool = False
) -> dict[str, Any]:
    """A failure as a job keeps it."""
    return {"code": code, "message": message, "param": param, "hint": hint, "retryable": retryable}


def small_enough(services: Services, params: TrainJobParams) -> bool:
    """Whether a request may wait for the check of these files."""
    given = [sha256 for sha256 in (params.training_sha256, params.validation_sha256) if sha256 is not None]
    return sum(services.blobs.path(sha256).stat().st_size for sha256 in given) <= CHECKED_AT_ONCE


def check_files(services: Services, params: TrainJobParams) -> Checked:
    """Read the job's files to their end, or to the first fault."""
    validate = validate_preference_file if params.method == "dpo" else validate_training_file
    warnings: list[str] = []
    for sha256, param in ((params.training_sha256, "training_file"), (params.validation_sha256, "validation_file")):
        if sha256 is None:
            continue
        try:
            with services.blobs.open(sha256) as handle:
                report = validate(handle, minimum=MIN_EXAMPLES if param == "training_file" else 1, param=param)
        except MalmoiError as exc:
            return Checked(error=job_error(exc.code, exc.message, exc.param or param, exc.hint), warnings=(*warnings,))
        warnings += report.warnings
    return Checked(warnings=(*warnings,))
