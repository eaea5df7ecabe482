"""Kept checkpoints of training jobs: models of their own, from the moment at which the trainer has sealed them.

``keep_checkpoint`` and ``forget_checkpoint`` follow the trainer's events, ``settle_checkpoints`` its result; the rest
reads. Names are ``<fine-tuned model>:ckpt-step-<n>``, known before the job has ended.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.store.paging import page
from app.store.queries import Session, find, listed, remove
from app.store.tables import CheckpointRow
from corpora.errors import InvalidInputError

__all__ = [
    "checkpoint_body",
    "checkpoint_page",
    "find_checkpoint",
    "forget_checkpoint",
    "keep_checkpoint",
    "model_name",
    "settle_checkpoints",
]

#: Metrics that OpenAI's object has; everything else about a step is in the job's events.
_METRICS = (
    "train_loss",
    "train_mean_token_accuracy",
    "valid_loss",
    "valid_mean_token_accuracy",
    "full_valid_loss",
    "full_valid_mean_token_accuracy",
)
_NOT_IN_NAMES = re.compile(r"[^0-9A-Za-z가-힣_.-]+")


def model_name(base: str, suffix: str | None, job_id: str) -> str:
    """``ft:<base>:malmoi:<suffix>:<last eight of the job's id>``."""
    label = _NOT_IN_NAMES.sub("-", suffix) if suffix else ""
    return f"ft:{base}:malmoi:{label}:{job_id[-8:]}"


def keep_checkpoint(session: Session, job_id: str, model: str, entry: Mapping[str, Any], now: float) -> CheckpointRow:
    """The row of a kept checkpoint; one of the same step (a repeated step of a resumed run) is replaced.

    Args:
        session: The caller's transaction, which holds the job.
        job_id: The training job.
        model: Name of the job's model, finished or not.
        entry: ``step``, ``path`` and ``metrics`` as the trainer says them.
        now: Unix seconds.
    """
    step = int(entry["step"])
    forget_checkpoint(session, job_id, step)
    metrics = entry.get("metrics") or {}
    row = CheckpointRow(
        id=f"ftckpt_{job_id[-8:]}{step}",
        job_id=job_id,
        name=f"{model}:ckpt-step-{step}",
        step=step,
        path=str(entry["path"]),
        metrics={"step": step} | {name: metrics[name] for name in _METRICS if metrics.get(name) is not None},
        created_at=now,
    )
    session.add(row)
    session.flush()
    return row


def forget_checkpoint(session: Session, job_id: str, step: int) -> bool:
    """Drop the row of a checkpoint that is no longer kept; False where there was none."""
    return remove(session, CheckpointRow, CheckpointRow.job_id == job_id, CheckpointRow.step == step) > 0


def settle_checkpoints(
    session: Session, job_id: str, model: str, entries: Sequence[Mapping[str, Any]], now: float
) -> None:
    """Make the rows what the trainer's result says; an attempt that died may have kept and removed others."""
    known = {row.step: row for row in listed(session, CheckpointRow, CheckpointRow.job_id == job_id)}
    steps = {int(entry["step"]) for entry in entries}
    for step in known.keys() - steps:
        forget_checkpoint(session, job_id, step)
    for entry in sorted(entries, key=lambda entry: int(entry["step"])):
        row = known.get(int(entry["step"]))
        if row is None or row.path != str(entry["path"]):
            keep_checkpoint(session, job_id, model, entry, now)


def find_checkpoint(session: Session, name: str) -> CheckpointRow | None:
    """The checkpoint that ``model`` names, or None."""
    return find(session, CheckpointRow, CheckpointRow.name == name)


def checkpoint_body(row: CheckpointRow) -> dict[str, Any]:
    """OpenAI's object."""
    return {
        "id": row.id,
        "object": "fine_tuning.job.checkpoint",
        "created_at": int(row.created_at),
        "fine_tuned_model_checkpoint": row.name,
        "fine_tuning_job_id": row.job_id,
        "metrics": row.metrics,
        "step_number": row.step,
    }


def checkpoint_page(session: Session, job_id: str, after: str | None, limit: int) -> tuple[list[dict[str, Any]], bool]:
    """A page of a job's checkpoints, newest first.

    Raises:
        InvalidInputError: ``after`` is no checkpoint of this job.
    """
    own = CheckpointRow.job_id == job_id
    if after is not None and find(session, CheckpointRow, own, CheckpointRow.id == after) is None:
        raise InvalidInputError(f"'{after}' is no checkpoint of this job.", param="after")
    rows, more = page(session, CheckpointRow, filters=(own,), after=after, limit=limit, order="desc")
    return [checkpoint_body(row) for row in rows], more
