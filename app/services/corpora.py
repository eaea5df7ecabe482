"""Corpora: named sets of documents. Create, list, delete; documents are ``documents``, ``uploads``, ``deletion``."""

from __future__ import annotations

import shutil
from typing import Any

from app.services.context import Services
from app.services.originals import remove_unneeded
from app.store.paging import page
from app.store.queries import Session, change, count, find, listed, lock, remove, remove_batch, values
from app.store.sample_documents import rests_on
from app.store.tables import ChunkRow, CorpusRow, DocumentRow, JobRow, SampleRow
from corpora.errors import NotFoundError
from corpora.ids import new_id

__all__ = [
    "create_corpus",
    "delete_corpus",
    "get_corpus",
    "list_corpora",
    "mark_source_deleted",
    "require_corpus",
    "submit_index",
]


def _corpus_body(session: Session, row: CorpusRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "object": "corpus",
        "created_at": int(row.created_at),
        "name": row.name,
        "description": row.description,
        "language": row.language,
        "document_count": count(session, DocumentRow, DocumentRow.corpus_id == row.id),
    }


def require_corpus(session: Session, corpus_id: str) -> CorpusRow:
    """The corpus, or a NotFoundError that says what to do."""
    row = find(session, CorpusRow, CorpusRow.id == corpus_id)
    if row is None:
        raise NotFoundError(
            f"There is no corpus '{corpus_id}'; GET /v1/corpora lists them.", param="corpus_id", code="corpus_not_found"
        )
    return row


def create_corpus(services: Services, name: str, description: str = "", language: str = "ko") -> dict[str, Any]:
    """A new empty corpus."""
    with services.store.write(durable=True) as session:
        row = CorpusRow(
            id=new_id("corpus"),
            name=name,
            description=description,
            language=language,
            created_at=services.now(),
            index_generation=0,
            embedder_fingerprint=None,
            embedder_state=None,
            heldout_fraction=None,
        )
        session.add(row)
        session.flush()
        body = _corpus_body(session, row)
        services.answer(session, body)
    return body


def list_corpora(services: Services, after: str | None, limit: int, order: str) -> tuple[list[dict[str, Any]], bool]:
    """A page of corpora, and whether more follow."""
    with services.store.read() as session:
        rows, more = page(session, CorpusRow, filters=(), after=after, limit=limit, order=order)
        return [_corpus_body(session, row) for row in rows], more


def get_corpus(services: Services, corpus_id: str) -> dict[str, Any]:
    """One corpus."""
    with services.store.read() as session:
        return _corpus_body(session, require_corpus(session, corpus_id))


def delete_corpus(services: Services, corpus_id: str) -> dict[str, Any]:
    """Remove a corpus with its documents, chunks and bytes; samples made from it stay, marked."""
    with services.store.write(durable=True) as session:
        require_corpus(session, corpus_id)
        documents = values(session, [DocumentRow.id], DocumentRow.corpus_id == corpus_id)
        mark_source_deleted(session, [document_id for (document_id,) in documents])
    more = True
    while more:
        with services.store.write() as session:
            more = remove_batch(session, ChunkRow, ChunkRow.corpus_id == corpus_id) > 0
    with services.store.write(durable=True) as session:
        remove(session, ChunkRow, ChunkRow.corpus_id == corpus_id)
        uploaded = values(session, [DocumentRow.sha256, DocumentRow.created_at], DocumentRow.corpus_id == corpus_id)
        renewed = listed(session, DocumentRow, DocumentRow.corpus_id == corpus_id, DocumentRow.pending.is_not(None))
        uploaded += [(row.pending["sha256"], row.created_at) for row in renewed if row.pending]
        remove(session, DocumentRow, DocumentRow.corpus_id == corpus_id)
        remove(session, CorpusRow, CorpusRow.id == corpus_id)
        remove_unneeded(services, session, [(sha256, created_at) for sha256, created_at in uploaded])
    shutil.rmtree(services.folder("indexes", corpus_id))
    return {"id": corpus_id, "object": "corpus", "deleted": True}


def submit_index(services: Services, session: Session, corpus_id: str, *, embedder: str | None = None) -> None:
    """Queue an index job for the corpus, in the caller's transaction; ``embedder`` makes it embed all chunks anew.

    One that waits already will see what this transaction stores: many uploads one after another are one job.
    """
    if embedder is None:
        waiting = (JobRow.kind == "index", JobRow.status == "queued")
        of_corpus = JobRow.params["corpus_id"].as_string() == corpus_id
        for job in listed(session, JobRow, *waiting, of_corpus):
            # Locked, so that it cannot begin before this transaction has ended.
            if job.params.get("embedder") is None and lock(session, JobRow, JobRow.id == job.id, *waiting) is not None:
                return
    params = {"corpus_id": corpus_id, "embedder": embedder}
    services.jobs.submit("index", params, resources=[f"index:{corpus_id}"], session=session)


def mark_source_deleted(session: Session, document_ids: list[str]) -> list[str]:
    """Mark samples of these documents; returns the datasets touched."""
    made_from = rests_on(document_ids)
    touched = [dataset_id for (dataset_id,) in values(session, [SampleRow.dataset_id], made_from)]
    change(session, SampleRow, made_from, source_deleted=True)
    return touched
