"""Whether rows of an evaluation stand in a file of the model's training: then they are no test, or not a fair one.

Asks the store for the training job behind an adapter or a checkpoint; a model that this store did not train has no
such file, and nothing is said of it. Of the validation file too: it may have chosen the step that was published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from app.services.context import Services
from app.services.evaluation_rows import EvaluationRow
from app.store.queries import find
from app.store.tables import AdapterRow, CheckpointRow, JobRow
from corpora.errors import MalmoiError
from corpora.messages import training_rows
from corpora.overlap import overlap

__all__ = ["SeenIn", "rows_seen"]

#: A file of a training, as its job keeps it.
SeenIn = Literal["training_sha256", "validation_sha256"]


def rows_seen(
    services: Services, adapter: str | None, rows: Sequence[EvaluationRow], file: SeenIn = "training_sha256"
) -> int | None:
    """How many rows a file of the model's training holds word by word; None where that file is not known.

    Args:
        services: The opened store.
        adapter: Folder of the adapter, None for a bare base.
        rows: The rows.
        file: Which file.
    """
    sha256 = _file_of(services, adapter, file) if adapter is not None else None
    if sha256 is None:
        return None
    asked = ((row.row, row.messages) for row in rows)
    try:
        return overlap(_trained_on(services, sha256), asked).rows
    except MalmoiError:
        # Preferences instead of conversations, or a file that is gone: nothing can be said.
        return None


def _file_of(services: Services, adapter: str, file: SeenIn) -> str | None:
    with services.store.read() as session:
        made = find(session, AdapterRow, AdapterRow.path == adapter)
        kept = None if made is not None else find(session, CheckpointRow, CheckpointRow.path == adapter)
        job_id = made.job_id if made is not None else kept.job_id if kept is not None else None
        job = find(session, JobRow, JobRow.id == job_id) if job_id is not None else None
        return None if job is None else job.params.get(file)


def _trained_on(services: Services, sha256: str) -> Iterator[tuple[int, Sequence[Mapping[str, Any]]]]:
    with services.blobs.open(sha256) as lines:
        yield from training_rows(lines)
