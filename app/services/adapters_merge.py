"""Merging a fine-tuned model into its base, as a job: the merged folder is a base model of its own afterwards.

The work is done by ``python -m training merge``, which proves that nothing has changed before it publishes the folder.
This module composes names, paths and rows.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.jobs.kinds import JobContext, JobOutcome
from app.services.adapters import find_adapter
from app.services.context import Services
from app.services.merged import merged_folders, merged_root
from app.services.model_jobs import submit
from app.services.models import get_model, require_base
from app.services.training_process import Ended, TrainerRun, run_trainer
from app.store.jobs import ENDED
from app.store.queries import Session, listed
from app.store.tables import AdapterRow, JobRow
from corpora.errors import ConflictError, MissingExtraError, NotFoundError

__all__ = ["KIND", "MergeParams", "MergeRequest", "create_merge", "delete_merged", "run_merge"]

KIND = "merge"
#: A folder's name: no slash, no dot at its beginning.
NAME = r"^[0-9A-Za-z가-힣][0-9A-Za-z가-힣_.-]{0,95}$"
_NOT_IN_NAMES = re.compile(r"[^0-9A-Za-z가-힣_.-]+")


class MergeRequest(BaseModel):
    """The body of ``POST /v1/models/{model}/merge``."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[
        Annotated[str, StringConstraints(pattern=NAME)] | None,
        Field(description="Of the merged model; made of the base's and the model's names when null."),
    ] = None


class MergeParams(BaseModel):
    """What a merge is asked."""

    model: str
    name: str
    base_model: str
    base_path: str
    adapter_path: str
    recipe: str


def create_merge(services: Services, model: str, request: MergeRequest) -> dict[str, Any]:
    """Check the model and the name, and submit the job.

    Raises:
        MissingExtraError: torch is not installed.
        MalmoiError: as ``find_adapter`` does.
        NotFoundError: its base is gone (``base_model_missing``).
        ConflictError: a model of that name is there, or being made (``model_exists``).
    """
    if find_spec("torch") is None:
        raise MissingExtraError("train", "A merge")
    adapter = find_adapter(services, model)
    require_base(model, adapter.base_path)
    name = request.name or _name_of(adapter.base_model, model)
    params = MergeParams(
        model=model,
        name=name,
        base_model=adapter.base_model,
        base_path=adapter.base_path,
        adapter_path=str(adapter.path.resolve()),
        recipe=adapter.recipe,
    )
    _check_free(services, name)
    with services.store.write(durable=True) as session:
        _check_not_making(session, name)
        # The base in bfloat16 takes as much memory as a training does, and the GPU where there is one.
        body = submit(services, session, KIND, params, ["gpu"])
    services.wake()
    return body


def _name_of(base: str, model: str) -> str:
    """``ft:org/base:malmoi:상담:1a2b3c4d:ckpt-step-6`` -> ``base-상담-1a2b3c4d-ckpt-step-6``."""
    rest = model.removeprefix(f"ft:{base}:malmoi:").split(":")
    parts = [base.rsplit("/", 1)[-1], *(part for part in rest if part)]
    return _NOT_IN_NAMES.sub("-", "-".join(parts)).lstrip("-.")[:96]


def _check_free(services: Services, name: str) -> None:
    try:
        get_model(services, name)
    except NotFoundError:
        return
    raise ConflictError(f"There is a model '{name}' already; give another name.", param="name", code="model_exists")


def _check_not_making(session: Session, name: str) -> None:
    for job in listed(session, JobRow, JobRow.kind == KIND, JobRow.status.not_in(ENDED)):
        if job.params["name"] == name:
            raise ConflictError(
                f"Job '{job.id}' is making a model '{name}'; give another name.", param="name", code="model_exists"
            )


def run_merge(services: Services, context: JobContext, params: MergeParams) -> JobOutcome:
    """Merge, and end as the process did."""
    place = merged_root(services) / params.name
    run_dir = services.folder("runs", context.job_id).resolve()
    result_file = run_dir / "result.json"
    if result_file.is_file() and place.is_dir():
        # An attempt that died between the folder's rename and its own end.
        return JobOutcome(status="succeeded", result=json.loads(result_file.read_text(encoding="utf-8")))
    config = {
        "base": params.base_path,
        "base_label": params.base_model,
        "adapter": params.adapter_path,
        "adapter_label": params.model,
        "recipe": params.recipe,
        "output_dir": str(place),
    }
    config_path = run_dir / "config.json"
    _write(config_path, config)
    told: dict[str, dict[str, Any]] = {}

    def take(event: dict[str, Any]) -> None:
        if event["type"] in ("result", "error"):
            told[event["type"]] = (event.get("data") or {}) | {"message": event["message"]}
        else:
            context.event(event.get("level", "info"), event["message"], data=event.get("data"))

    run = TrainerRun(
        command=[sys.executable, "-m", "training", "merge", str(config_path), "--exit-with-parent"],
        log=run_dir / "merge.log",
        # Nothing of a merge can be kept for later: to pause is to end it, and to resume to begin again.
        wanted=lambda: "cancel" if context.should_stop() else None,
        on_event=take,
    )
    outcome = _outcome(context, told, run_trainer(run), run_dir)
    if outcome.result is not None:
        _write(result_file, outcome.result)
    return outcome


def _write(path: Path, value: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")
    os.replace(temporary, path)


def _outcome(context: JobContext, told: dict[str, dict[str, Any]], ended: Ended, run_dir: Path) -> JobOutcome:
    if "result" in told and ended.returncode == 0:
        found = told["result"]
        context.event("info", found.pop("message"), data={"parity": found["parity"]})
        return JobOutcome(status="succeeded", result=found)
    wanted = context.should_stop()
    if wanted is not None:
        return JobOutcome(status="cancelled" if wanted == "cancel" else "paused")
    if "error" in told:
        error = {"code": "merge_failed", "hint": "", "param": None, "retryable": False} | told["error"]
        return JobOutcome(status="failed", error=error)
    tail = "\n".join(ended.tail)
    if ended.signal_name is not None:
        context.event("error", f"합치는 프로세스가 끝났습니다({ended.signal_name}).", data={"log": ended.tail})
    error = {
        "code": "merge_failed",
        "message": f"The merge ended with code {ended.returncode} and no word. Its last lines:\n{tail}",
        "hint": f"The whole log lies in {run_dir / 'merge.log'}. A process that was killed ran out of memory as a "
        "rule: the base takes two bytes a parameter.",
        "retryable": False,
        "param": None,
    }
    return JobOutcome(status="failed", error=error)


def delete_merged(services: Services, model: str) -> dict[str, Any] | None:
    """Remove a merged model with its files; None where ``model`` is none.

    Raises:
        ConflictError: a job that has not ended uses it (``model_in_use``).
    """
    folder = merged_folders(services).get(model)
    if folder is None:
        return None
    with services.store.write(durable=True) as session:
        for job in listed(session, JobRow, JobRow.status.not_in(ENDED)):
            asked = json.dumps(job.params, ensure_ascii=False)
            if any(json.dumps(word, ensure_ascii=False) in asked for word in (model, str(folder))):
                raise ConflictError(
                    f"'{model}' is used by job '{job.id}', which is {job.status}; wait for its end or cancel it.",
                    param="model",
                    code="model_in_use",
                )
        tuned = listed(session, AdapterRow, AdapterRow.base_model == model, limit=1)
        if tuned:
            raise ConflictError(
                f"'{tuned[0].id}' is an adapter on '{model}'; delete it first.", param="model", code="model_in_use"
            )
        # Renamed first: nobody finds half a model.
        leaving = folder.with_name(f".deleted-{folder.name}")
        shutil.rmtree(leaving, ignore_errors=True)
        folder.rename(leaving)
    shutil.rmtree(leaving)
    return {"id": model, "object": "model", "deleted": True}
