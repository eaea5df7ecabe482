"""Deleting a document: its chunks stop being found at once, its bytes go, its samples are marked or removed.

A zip takes along the documents that were made of it, but for those that another zip holds too: they become its members.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.services.archives import move_shared
from app.services.context import Services
from app.services.corpora import mark_source_deleted, submit_index
from app.services.curation_jobs import CURATE
from app.services.documents import require_document
from app.services.originals import remove_unneeded
from app.services.similar_documents import forget_similar
from app.store.queries import Session, change, listed, lock, remove
from app.store.sample_documents import rests_on
from app.store.tables import AdapterRow, ChunkRow, CorpusRow, DatasetRow, DocumentRow, JobRow, SampleRow
from corpora.errors import ConflictError

__all__ = ["delete_document", "remove_rows"]


def delete_document(services: Services, document_id: str, *, delete_samples: bool = False) -> dict[str, Any]:
    """Remove a document, and with a zip the members that no other zip holds; samples are marked or removed.

    Raises:
        ConflictError: samples are to be removed while a curation of their dataset waits or runs.
    """
    with services.store.write(durable=True) as session:
        row = require_document(session, document_id)
        corpus_id = row.corpus_id
        # Locked: of two documents that are alike, deleted at once, each would else write on the other's row.
        lock(session, CorpusRow, CorpusRow.id == corpus_id)
        members = listed(session, DocumentRow, DocumentRow.archive_id == document_id)
        going = [row, *move_shared(services, session, corpus_id, document_id, members)]
        ids = [one.id for one in going]
        touched = mark_source_deleted(session, ids)
        adapters = _trained_on(session, touched)
        if delete_samples:
            _refuse_while_curated(session, touched)
        for dataset_id in touched if delete_samples else ():
            _remove_samples(session, dataset_id, ids)
        remove_rows(services, session, going)
        submit_index(services, session, corpus_id)
    services.wake()
    return {"id": document_id, "object": "document", "deleted": True, "datasets": touched, "adapters": adapters}


def remove_rows(services: Services, session: Session, rows: Sequence[DocumentRow]) -> None:
    """Remove documents with their chunks and bytes; their samples are the caller's, and so is the index."""
    uploaded = [(one.sha256, one.created_at) for one in rows]
    # With the newer file that waits to take its place.
    uploaded += [(one.pending["sha256"], one.created_at) for one in rows if one.pending]
    ids = [one.id for one in rows]
    remove(session, ChunkRow, ChunkRow.document_id.in_(ids))
    forget_similar(session, {one.id: one.similar for one in rows})
    remove(session, DocumentRow, DocumentRow.id.in_(ids))
    remove_unneeded(services, session, uploaded)


def _trained_on(session: Session, dataset_ids: list[str]) -> list[str]:
    """Adapters that were trained on one of these datasets: what they learnt is not taken back."""
    adapters = {row.job_id: row.id for row in listed(session, AdapterRow)}
    named = {"training_file", "validation_file"}
    jobs = listed(session, JobRow, JobRow.id.in_(list(adapters))) if dataset_ids else []
    return [adapters[job.id] for job in jobs if any(job.params.get(name) in dataset_ids for name in named)]


def _remove_samples(session: Session, dataset_id: str, document_ids: list[str]) -> None:
    """Take the documents' samples out of a dataset, accepted and rejected, and count them as removed."""
    made = (SampleRow.dataset_id == dataset_id, rests_on(document_ids))
    removed = remove(session, SampleRow, *made)
    change(
        session,
        DatasetRow,
        DatasetRow.id == dataset_id,
        version=DatasetRow.version + 1,
        removed=DatasetRow.removed + removed,
    )


def _refuse_while_curated(session: Session, dataset_ids: list[str]) -> None:
    """A curation compares every row with the ones before it: what it dropped for a row that goes would stay dropped."""
    curating = (JobRow.kind == CURATE, JobRow.status.in_(("queued", "running")))
    for job in listed(session, JobRow, *curating):
        if job.params["dataset_id"] not in dataset_ids:
            continue
        raise ConflictError(
            f"Job '{job.id}' is judging the samples of '{job.params['dataset_id']}'; try again when it has ended.",
            code="dataset_busy",
        )
