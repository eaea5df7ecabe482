"""Corpora and their documents: create, upload, list, delete.

An upload is decoded here, at once, so that bytes that are no text are refused before anything is stored; chunking and
embedding are an index job (``app.services.indexing``).
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from app.services.context import Services
from app.services.curation_jobs import CURATE
from app.services.parsing import parse_document
from app.store.paging import page
from app.store.queries import Session, change, count, find, listed, lock, remove, remove_batch, values
from app.store.sample_documents import rests_on
from app.store.tables import ChunkRow, CorpusRow, DatasetRow, DocumentRow, JobRow, SampleRow
from corpora.errors import ConflictError, MalmoiError, NotFoundError
from corpora.ids import new_id
from corpora.readers import ReadDocument

__all__ = [
    "create_corpus",
    "delete_corpus",
    "delete_document",
    "get_corpus",
    "get_document",
    "list_corpora",
    "list_documents",
    "require_corpus",
    "require_document",
    "upload_documents",
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


def _document_body(row: DocumentRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "object": "document",
        "created_at": int(row.created_at),
        "corpus_id": row.corpus_id,
        "filename": row.filename,
        "title": row.title,
        "media_type": row.media_type,
        "bytes": row.bytes,
        "sha256": row.sha256,
        "status": row.status,
        "error": row.error,
        "characters": row.characters,
        "chunk_count": row.chunk_count,
        "warnings": row.warnings,
        "heldout": bool(row.heldout),
    }


def require_corpus(session: Session, corpus_id: str) -> CorpusRow:
    """The corpus, or a NotFoundError that says what to do."""
    row = find(session, CorpusRow, CorpusRow.id == corpus_id)
    if row is None:
        raise NotFoundError(
            f"There is no corpus '{corpus_id}'; GET /v1/corpora lists them.", param="corpus_id", code="corpus_not_found"
        )
    return row


def require_document(session: Session, document_id: str) -> DocumentRow:
    """The document, or a NotFoundError."""
    row = find(session, DocumentRow, DocumentRow.id == document_id)
    if row is None:
        raise NotFoundError(f"There is no document '{document_id}'.", param="document_id", code="document_not_found")
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
    """Remove a corpus with its documents and chunks; samples made from it stay, marked."""
    with services.store.write(durable=True) as session:
        require_corpus(session, corpus_id)
        documents = values(session, [DocumentRow.id], DocumentRow.corpus_id == corpus_id)
        _mark_source_deleted(session, [document_id for (document_id,) in documents])
    more = True
    while more:
        with services.store.write() as session:
            more = remove_batch(session, ChunkRow, ChunkRow.corpus_id == corpus_id) > 0
    with services.store.write(durable=True) as session:
        remove(session, ChunkRow, ChunkRow.corpus_id == corpus_id)
        remove(session, DocumentRow, DocumentRow.corpus_id == corpus_id)
        remove(session, CorpusRow, CorpusRow.id == corpus_id)
    shutil.rmtree(services.folder("indexes", corpus_id))
    return {"id": corpus_id, "object": "corpus", "deleted": True}


def upload_documents(
    services: Services, corpus_id: str, uploads: Sequence[tuple[str, str | None, bytes]], title: str | None = None
) -> list[str]:
    """Store decoded documents and submit their index job; all of them or none.

    Args:
        services: The opened services.
        corpus_id: Where they go.
        uploads: (file name, media type, bytes) of each.
        title: The documents' title; None takes each one's own heading or file name.

    Returns:
        Ids of the documents; bytes that are there already give the earlier document's id.

    Raises:
        UnreadableDocumentError: one is empty or no text; the message names it and nothing is stored.
    """
    with services.store.read() as session:
        require_corpus(session, corpus_id)  # before anything is read or stored
    decoded = [(name, data, _read(name, media_type, data, title)) for name, media_type, data in uploads]
    stored = [(name, *services.blobs.put([data], None), read) for name, data, read in decoded]
    ids: list[str] = []
    with services.store.write(durable=True) as session:
        # Locked: of two uploads of the same bytes at once the second must see the first's document.
        lock(session, CorpusRow, CorpusRow.id == corpus_id)
        require_corpus(session, corpus_id)
        fresh = False
        for name, sha256, size, read in stored:
            known = find(session, DocumentRow, DocumentRow.corpus_id == corpus_id, DocumentRow.sha256 == sha256)
            if known is None:
                known = _add_document(session, corpus_id, (name, sha256, size), read, services.now())
                fresh = True
            ids.append(known.id)
        if fresh:
            submit_index(services, session, corpus_id)
        services.answer(session, {"ids": ids})
    services.wake()
    return ids


def submit_index(services: Services, session: Session, corpus_id: str) -> None:
    """Queue an index job for the corpus, in the caller's transaction."""
    services.jobs.submit("index", {"corpus_id": corpus_id}, resources=[f"index:{corpus_id}"], session=session)


def _read(name: str, media_type: str | None, data: bytes, title: str | None) -> ReadDocument:
    try:
        read = parse_document(data, name, media_type)
        return read if title is None else replace(read, title=title)
    except MalmoiError as exc:
        exc.param = exc.param or "file"
        raise


def _add_document(
    session: Session, corpus_id: str, blob: tuple[str, str, int], read: ReadDocument, now: float
) -> DocumentRow:
    name, sha256, size = blob
    row = DocumentRow(
        id=new_id("doc"),
        corpus_id=corpus_id,
        filename=name,
        title=read.title,
        media_type=read.media_type,
        bytes=size,
        sha256=sha256,
        status="processing",
        error=None,
        text=read.text,
        characters=len(read.text),
        chunk_count=0,
        warnings=list(read.warnings),
        heldout=None,
        created_at=now,
    )
    session.add(row)
    session.flush()
    return row


def list_documents(
    services: Services, corpus_id: str, after: str | None, limit: int, order: str
) -> tuple[list[dict[str, Any]], bool]:
    """A page of a corpus's documents."""
    with services.store.read() as session:
        require_corpus(session, corpus_id)
        filters = (DocumentRow.corpus_id == corpus_id,)
        rows, more = page(session, DocumentRow, filters=filters, after=after, limit=limit, order=order)
        return [_document_body(row) for row in rows], more


def get_document(services: Services, document_id: str) -> dict[str, Any]:
    """One document."""
    with services.store.read() as session:
        return _document_body(require_document(session, document_id))


def documents_by_id(services: Services, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Documents in the order of ``ids``; one that was deleted meanwhile is left out."""
    with services.store.read() as session:
        found = (find(session, DocumentRow, DocumentRow.id == document_id) for document_id in ids)
        return [_document_body(row) for row in found if row is not None]


def document_text(services: Services, document_id: str) -> str:
    """The decoded text that every offset points into."""
    with services.store.read() as session:
        return require_document(session, document_id).text


def _mark_source_deleted(session: Session, document_ids: list[str]) -> list[str]:
    """Mark samples of these documents; returns the datasets touched."""
    made_from = rests_on(document_ids)
    touched = [dataset_id for (dataset_id,) in values(session, [SampleRow.dataset_id], made_from)]
    change(session, SampleRow, made_from, source_deleted=True)
    return touched


def _remove_samples(session: Session, dataset_id: str, document_id: str) -> None:
    """Take a document's samples out of a dataset, accepted and rejected, and count them as removed."""
    made = (SampleRow.dataset_id == dataset_id, rests_on([document_id]))
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


def delete_document(services: Services, document_id: str, *, delete_samples: bool = False) -> dict[str, Any]:
    """Remove a document; its chunks stop being found at once, its samples are marked or removed.

    Raises:
        ConflictError: samples are to be removed while a curation of their dataset waits or runs.
    """
    with services.store.write(durable=True) as session:
        row = require_document(session, document_id)
        corpus_id = row.corpus_id
        touched = _mark_source_deleted(session, [document_id])
        if delete_samples:
            _refuse_while_curated(session, touched)
        for dataset_id in touched if delete_samples else ():
            _remove_samples(session, dataset_id, document_id)
        remove(session, ChunkRow, ChunkRow.document_id == document_id)
        session.delete(row)
        submit_index(services, session, corpus_id)
    services.wake()
    return {"id": document_id, "object": "document", "deleted": True, "datasets": touched}
