"""A training job as OpenAI's ``fine_tuning.job``: every required key present, lists and objects never null."""

from __future__ import annotations

import math
from typing import Any

from app.store.job_errors import kept_of, told
from app.store.tables import JobRow

__all__ = ["job_body"]

#: What OpenAI has no field for, echoed as it was asked.
_OURS = (
    "lora",
    "max_steps",
    "packing",
    "max_length",
    "allow_truncated",
    "early_stopping_patience",
    "stop_phrase",
    "validation_fraction",
    "dataset_licence",
    "dataset_manifest",
)
#: OpenAI's three; a method may have more.
_COMMON = ("n_epochs", "batch_size", "learning_rate_multiplier")


def _status(row: JobRow) -> str:
    if row.status == "running":
        return "running" if row.progress.get("phase") == "training" else "validating_files"
    return {"incomplete": "failed"}.get(row.status, row.status)


def _hyperparameters(params: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """What was asked, and in place of ``auto`` what the run has used."""
    asked, used = params["hyperparameters"], result.get("hyperparameters") or {}
    shown = {name: used.get(name, value) if value == "auto" else value for name, value in asked.items()}
    if not isinstance(shown["n_epochs"], str):
        # A run that ended early has seen part of an epoch; OpenAI's field is a whole number.
        shown["n_epochs"] = max(1, math.ceil(shown["n_epochs"]))
    return shown


def _integrations(params: dict[str, Any]) -> list[dict[str, Any]]:
    shown = []
    for entry in params.get("integrations") or []:
        wandb = {"name": None, "entity": None, "tags": None} | entry["wandb"]
        shown.append({"type": "wandb", "wandb": wandb | {"tags": wandb["tags"] or []}})
    return shown


def job_body(row: JobRow) -> dict[str, Any]:
    """The job in OpenAI's shape, and ours beside it."""
    params, result = row.params, row.result or {}
    hyper, method = _hyperparameters(params, result), params.get("method") or "supervised"
    error = None
    if row.error:
        # OpenAI's clients show the message and nothing else of ours.
        error = kept_of(row.error) | {"message": told(row.error)}
    estimated = row.progress.get("estimated_finish") if row.status == "running" else None
    return {
        "id": row.id,
        "object": "fine_tuning.job",
        "created_at": int(row.created_at),
        "error": error,
        "fine_tuned_model": result.get("fine_tuned_model"),
        "finished_at": int(row.finished_at) if row.finished_at else None,
        "hyperparameters": {name: hyper[name] for name in _COMMON},
        "model": params["model"],
        "organization_id": "org-malmoi",
        "result_files": result.get("result_files") or [],
        "seed": params["seed"],
        "status": _status(row),
        "trained_tokens": result.get("trained_tokens"),
        "training_file": params["training_file"],
        "validation_file": params["validation_file"],
        "estimated_finish": int(estimated) if estimated else None,
        "integrations": _integrations(params),
        "metadata": params.get("metadata"),
        "method": {"type": method, method: {"hyperparameters": hyper}},
        "user_provided_suffix": params.get("suffix"),
        "recipe": params["recipe"],
        **{name: params.get(name) for name in _OURS},
        "preflight": result.get("preflight") or row.progress.get("preflight"),
        "losses": result.get("losses"),
        "timing": result.get("timing"),
        "steps": result.get("steps"),
        "best_step": result.get("best_step"),
        "stopped_early": result.get("stopped_early"),
    }
