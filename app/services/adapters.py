"""A fine-tuned model or a checkpoint as files for others: PEFT's layout with a card, nothing of this machine.

A checkpoint's folder holds more than the adapter (the optimizer's state as a pickle, random numbers); a list of what
may leave decides. ``adapter_config.json`` names the base as its owner does, not as a path. Evaluations that were made
since stand in the card.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from app.services.checkpoints import find_checkpoint
from app.services.context import Services
from app.services.models import current_base, get_model
from app.services.training_command import TrainJobParams
from app.store.queries import find, listed
from app.store.tables import AdapterRow, CheckpointRow, JobRow
from corpora.errors import InvalidInputError, NotFoundError
from training.model_card import CARD, checkpoint_card, with_evaluation
from training.refusals import ADAPTER_CONFIG, ADAPTER_WEIGHTS, check_adapter

__all__ = ["StoredAdapter", "adapter_files", "find_adapter"]

#: What leaves besides configuration, weights and card; all else stays.
_MAY_LEAVE = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "generation_config.json",
    "*.png",
    "LICENSE*",
    "NOTICE*",
)
#: Ends of an evaluation that has a result.
_EVALUATED = ("succeeded", "incomplete")


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredAdapter:
    """A fine-tuned model or a checkpoint."""

    name: str  #: As clients name it.
    path: Path  #: Its folder.
    base_model: str  #: Its base, as clients name it.
    base_path: str  #: Folder or hub name of the base.
    recipe: str  #: It was trained with.
    job_id: str  #: The training job.
    step: int | None = None  #: Of a checkpoint.
    metrics: dict[str, Any] | None = None  #: Of a checkpoint.


def find_adapter(services: Services, model: str) -> StoredAdapter:
    """The fine-tuned model or checkpoint of that name, with its files.

    Raises:
        NotFoundError: there is none of that name, or its files are gone (``model_files_missing``).
        InvalidInputError: it is a base model (``model_is_base``).
        AdapterError: its folder is refused.
    """
    with services.store.read() as session:
        row = find(session, AdapterRow, AdapterRow.id == model)
        checkpoint = None if row is not None else find_checkpoint(session, model)
    if row is not None:
        found = StoredAdapter(
            name=model,
            path=Path(row.path),
            base_model=row.base_model,
            base_path=current_base(services, row.base_model, row.base_path),
            recipe=row.recipe,
            job_id=row.job_id,
        )
    elif checkpoint is not None:
        found = _of_checkpoint(services, checkpoint)
    else:
        get_model(services, model)
        raise InvalidInputError(
            f"'{model}' is a base model; name a fine-tuned model or a checkpoint.", param="model", code="model_is_base"
        )
    if not found.path.is_dir():
        raise NotFoundError(
            f"The files of '{model}' are gone from {found.path}.", param="model", code="model_files_missing"
        )
    check_adapter(found.path)
    return found


def _of_checkpoint(services: Services, row: CheckpointRow) -> StoredAdapter:
    params = services.jobs.get(row.job_id).params
    return StoredAdapter(
        name=row.name,
        path=Path(row.path),
        base_model=params["model"],
        base_path=current_base(services, params["model"], params["base_path"]),
        recipe=params["recipe"],
        job_id=row.job_id,
        step=row.step,
        metrics=row.metrics,
    )


def adapter_files(services: Services, adapter: StoredAdapter) -> dict[str, Path | bytes]:
    """What leaves, by name in a fixed order: files as they lie there, or bytes that are made for the way."""
    config = check_adapter(adapter.path) | {"base_model_name_or_path": adapter.base_model}
    files: dict[str, Path | bytes] = {
        CARD: _card(services, adapter).encode(),
        ADAPTER_CONFIG: (json.dumps(config, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode(),
        ADAPTER_WEIGHTS: adapter.path / ADAPTER_WEIGHTS,
    }
    for path in sorted(adapter.path.iterdir()):
        if path.is_file() and any(fnmatchcase(path.name, pattern) for pattern in _MAY_LEAVE):
            files[path.name] = path
    return files


def _card(services: Services, adapter: StoredAdapter) -> str:
    """The card that training wrote, or one of a checkpoint, with the newest evaluation."""
    if adapter.step is None:
        card = (adapter.path / CARD).read_text(encoding="utf-8")
    else:
        params = TrainJobParams.model_validate(services.jobs.get(adapter.job_id).params)
        card = checkpoint_card(
            adapter.base_model,
            recipe=adapter.recipe,
            seed=params.seed,
            dataset_sha256=params.dataset_sha256,
            step=adapter.step,
            metrics=adapter.metrics or {},
        )
    evaluation = _evaluation(services, adapter.name)
    if evaluation is None:
        return card
    results = (evaluation.result or {})["results"]
    return with_evaluation(card, results, evaluation_id=evaluation.id, rows=results["rows"]["scored"])


def _evaluation(services: Services, model: str) -> JobRow | None:
    """The newest evaluation of a model that has results."""
    ended = (JobRow.kind == "evaluate", JobRow.status.in_(_EVALUATED))
    with services.store.read() as session:
        rows = listed(session, JobRow, *ended, order_by=JobRow.seq.desc())
    return next((row for row in rows if row.params["model"] == model and (row.result or {}).get("results")), None)
