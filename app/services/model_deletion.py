"""Deleting fine-tuned models and checkpoints, with their files.

Refused, not deferred, while a job that has not ended uses the model: a deletion that answered "deleted" and happened
later would be a lie in between. A chat that has the adapter loaded keeps its copy to the end of its answer: files that
are open stay readable, and the next request is told that there is no such model.
"""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

from app.services.adapters_merge import delete_merged
from app.services.checkpoints import find_checkpoint
from app.services.context import Services
from app.services.models import get_model
from app.store.jobs import ENDED
from app.store.queries import Session, find, listed
from app.store.tables import AdapterRow, CheckpointRow, JobRow
from corpora.errors import ConflictError, InvalidInputError

__all__ = ["delete_model"]

logger = logging.getLogger("malmoi.models")


def delete_model(services: Services, model: str) -> dict[str, Any]:
    """Remove a fine-tuned model with its checkpoints, one checkpoint, or a merged model, and their files.

    The run's folder goes with the last of them.

    Raises:
        InvalidInputError: it is a base model.
        ConflictError: a job that has not ended uses it (``model_in_use``).
        NotFoundError: there is none of that name.
    """
    get_model(services, model)
    merged = delete_merged(services, model)
    if merged is not None:
        return merged
    with services.store.write(durable=True) as session:
        adapter = find(session, AdapterRow, AdapterRow.id == model)
        checkpoint = None if adapter is not None else find_checkpoint(session, model)
        if adapter is None and checkpoint is None:
            raise InvalidInputError(
                f"'{model}' is a base model; only fine-tuned models can be deleted.",
                param="model",
                code="model_not_deletable",
            )
        rows: list[AdapterRow | CheckpointRow] = [checkpoint] if checkpoint is not None else []
        if adapter is not None:
            rows = [adapter, *listed(session, CheckpointRow, CheckpointRow.job_id == adapter.job_id)]
        _check_unused(session, model, rows)
        # Files before the commit: a crash in between leaves a model without files, which can be deleted again, and
        # never files that nothing names.
        for row in rows:
            _remove_folder(services, Path(row.path))
            session.delete(row)
        session.flush()
        for job_id in {row.job_id for row in rows}:
            if not any(find(session, kind, kind.job_id == job_id) for kind in (AdapterRow, CheckpointRow)):
                # Its configuration, log and curves tell of nothing that is still there.
                _remove_folder(services, services.settings.data_dir / "runs" / job_id)
    return {"id": model, "object": "model", "deleted": True}


def _check_unused(session: Session, model: str, rows: list[AdapterRow | CheckpointRow]) -> None:
    """Refuse where a job that has not ended made one of the rows or names one of them."""
    jobs = {row.job_id for row in rows}
    names = {row.id if isinstance(row, AdapterRow) else row.name for row in rows}
    for job in listed(session, JobRow, JobRow.status.not_in(ENDED)):
        asked = json.dumps(job.params, ensure_ascii=False)
        if job.id in jobs or any(json.dumps(name, ensure_ascii=False) in asked for name in names):
            raise ConflictError(
                f"'{model}' is used by job '{job.id}', which is {job.status}; wait for its end or cancel it.",
                param="model",
                code="model_in_use",
            )


def _remove_folder(services: Services, path: Path) -> None:
    """Delete a run's folder; one outside the data folder is somebody else's and stays."""
    root = services.folder("runs").resolve()
    folder = path.resolve()
    if not folder.is_relative_to(root) or folder == root:
        logger.warning("the files in %s lie outside the data folder and stay", path)
        return
    if not folder.is_dir():
        return
    # Renamed first: nobody finds half a model.
    leaving = folder.with_name(f".deleted-{folder.name}")
    if leaving.is_dir():
        shutil.rmtree(leaving)
    folder.rename(leaving)
    shutil.rmtree(leaving)
