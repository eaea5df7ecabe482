"""``malmoi evaluate``: a base against a tuned model on a file, by the job that the HTTP API runs, without a server.

The store is the caller's, or a private one that is gone afterwards. A model is a folder, or a name that the store
knows. What comes out lies in one folder: report.json, report.html, answers.jsonl.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.jobs.inline import run_inline
from app.services.chat_folders import base_places, folder_target
from app.services.context import Services, worker_config
from app.services.evaluation import get_evaluation, read_report, submit
from app.services.evaluation_request import (
    EvaluateParams,
    EvaluationOptions,
    ModelTarget,
    judge_of,
    metrics_of,
    model_target,
    same_template,
)
from app.services.generation_prices import check_money_limit
from app.services.kinds import KINDS
from app.services.models import ChatTarget, chat_target
from app.services.outputs import WholeFiles
from corpora.errors import InvalidInputError
from corpora.importers import printable

__all__ = ["REPORTS", "EvaluationFiles", "evaluate_files"]

#: What is written, by the kind of report.
REPORTS = {"json": "report.json", "html": "report.html", "jsonl": "answers.jsonl"}
BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationFiles:
    """What is read and written, and how the models are found."""

    data: Path  #: JSON lines in the messages schema; the last answer of each is the reference.
    output: Path  #: Folder of the reports.
    recipe: str | None  #: Whose template is used; the adapter's own when None.
    judge_model: str | None  #: Whom to ask; the setting's when None.


def evaluate_files(
    services: Services,
    files: EvaluationFiles,
    options: EvaluationOptions,
    on_job: Callable[[str], None] = lambda _job_id: None,
) -> dict[str, Any]:
    """Run the whole of it and return the evaluation's object.

    Args:
        services: The opened store.
        files: What is read and written.
        options: The evaluation; ``base_model`` and ``model`` are folders or names.
        on_job: Told the job's id before it runs.

    Raises:
        InvalidInputError: a file or a model is not there, or does not fit.
        OutputError: a report cannot be written; what lay there is untouched.
    """
    tuned = _target(services, options.model, files.recipe, base=options.base_model)
    base = _target(services, options.base_model, files.recipe)
    metrics = metrics_of(options.metrics)
    judge, absent = judge_of(services, files.judge_model, metrics)
    check_money_limit(services.settings, options.budget.max_cost_usd, (judge,))
    params = EvaluateParams.model_validate(
        options.model_dump()
        | {
            "metrics": metrics,
            "targets": {side: one.model_dump() for side, one in same_template(base, tuned).items()},
            "dataset_id": None,
            "file_id": None,
            "split": None,
            "rows_sha256": _stored(services, files.data),
            "judge_model": judge,
            "judge_absent": absent,
        }
    )
    made = submit(services, params)
    on_job(made["id"])
    run_inline(services.store, KINDS, made["id"], worker_config(services.settings)["settings"])
    made = get_evaluation(services, made["id"])
    if made["results"] is not None:
        with WholeFiles() as outputs:
            for kind, name in REPORTS.items():
                written = outputs.open(files.output / name)
                for line in codecs.iterdecode(read_report(services, made["id"], kind)[0], "utf-8"):
                    written.write(line)
            outputs.publish()
    return made


def _target(services: Services, named: str, recipe: str | None, base: str | None = None) -> ModelTarget:
    """What a folder holds, or what the store knows by that name; ``base`` is where an adapter's base lies now."""
    folder = Path(named)
    if folder.is_dir():
        moved = (
            base if base is not None and Path(base).is_dir() and (folder / "adapter_config.json").is_file() else None
        )
        found: ChatTarget = folder_target(folder, base=moved, recipe=recipe, places=base_places(services.settings))
    else:
        found = chat_target(services, named)
    return model_target(found)


def _stored(services: Services, data: Path) -> str:
    try:
        with data.open("rb") as handle:
            return services.blobs.put(iter(lambda: handle.read(BLOCK), b""), None)[0]
    except OSError as exc:
        raise InvalidInputError(
            f"{printable(str(data))} cannot be read: {exc.strerror}.", param="data", code="file_not_found"
        ) from exc
