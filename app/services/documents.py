"""Documents as the API shows them: list, get, text. Uploads are ``uploads``, deletions ``deletion``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from app.services.context import Services
from app.services.corpora import require_corpus
from app.services.document_states import BATCH, settle
from app.store.paging import page
from app.store.queries import Session, count, find, values
from app.store.tables import DocumentRow
from corpora.errors import ConflictError, NotFoundError

__all__ = [
    "ARCHIVE",
    "any_processing",
    "document_text",
    "documents_by_id",
    "get_document",
    "list_documents",
    "require_document",
]

#: Media type of a zip's own row: its members are the documents, it has neither text nor chunks.
ARCHIVE = "application/zip"


def _document_body(session: Session, row: DocumentRow) -> dict[str, Any]:
    archive = row.media_type == ARCHIVE
    return {
        "id": row.id,
        "object": "document",
        "created_at": int(row.created_at),
        "corpus_id": row.corpus_id,
        "filename": row.filename,
        "title": row.title or PurePosixPath(row.filename).stem,
        "media_type": row.media_type or "application/octet-stream",
        "bytes": row.bytes,
        "sha256": row.sha256,
        "status": row.status,
        "error": row.error,
        "url": row.url,
        "archive_id": row.archive_id,
        "documents": count(session, DocumentRow, DocumentRow.archive_id == row.id) if archive else None,
        "encoding": row.encoding,
        "language": row.language,
        "revision": row.revision,
        "changes": row.changes,
        "similar": row.similar,
        "characters": row.characters,
        "chunk_count": row.chunk_count,
        "warnings": row.warnings,
        "heldout": bool(row.heldout),
    }


def require_document(session: Session, document_id: str) -> DocumentRow:
    """The document, or a NotFoundError."""
    row = find(session, DocumentRow, DocumentRow.id == document_id)
    if row is None:
        raise NotFoundError(f"There is no document '{document_id}'.", param="document_id", code="document_not_found")
    return row


def list_documents(
    services: Services, corpus_id: str, after: str | None, limit: int, order: str
) -> tuple[list[dict[str, Any]], bool]:
    """A page of a corpus's documents."""
    with services.store.read() as session:
        require_corpus(session, corpus_id)
    settle(services, corpus_id)
    with services.store.read() as session:
        filters = (DocumentRow.corpus_id == corpus_id,)
        rows, more = page(session, DocumentRow, filters=filters, after=after, limit=limit, order=order)
        return [_document_body(session, row) for row in rows], more


def get_document(services: Services, document_id: str) -> dict[str, Any]:
    """One document."""
    with services.store.read() as session:
        row = require_document(session, document_id)
    if row.status == "processing":
        settle(services, row.corpus_id)
    with services.store.read() as session:
        return _document_body(session, require_document(session, document_id))


def documents_by_id(services: Services, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Documents in the order of ``ids``; one that was deleted meanwhile is left out."""
    with services.store.read() as session:
        found = (find(session, DocumentRow, DocumentRow.id == document_id) for document_id in ids)
        return [_document_body(session, row) for row in found if row is not None]


def any_processing(services: Services, ids: Sequence[str]) -> bool:
    """Whether one of the documents is still processed."""
    with services.store.read() as session:
        for start in range(0, len(ids), BATCH):
            some = DocumentRow.id.in_(ids[start : start + BATCH])
            if values(session, [DocumentRow.status], some, DocumentRow.status == "processing"):
                return True
    return False


def document_text(services: Services, document_id: str) -> str:
    """The decoded text that every offset points into.

    Raises:
        ConflictError: there is none: the document is not read yet (``document_processing``), could not be read
            (``document_failed``), or is a zip, whose members have texts (``document_is_archive``).
    """
    with services.store.read() as session:
        row = require_document(session, document_id)
        if row.status == "failed":
            why = (row.error or {}).get("message", "it cannot be read.")
            raise ConflictError(f"Document '{document_id}' has no text: {why}", code="document_failed")
        if row.media_type == ARCHIVE:
            raise ConflictError(
                f"Document '{document_id}' is a zip; its files are documents of their own, with "
                f'"archive_id": "{document_id}" (GET /v1/corpora/{row.corpus_id}/documents).',
                code="document_is_archive",
            )
        if row.encoding is None and row.status == "processing":
            raise ConflictError(
                f"Document '{document_id}' is still being read; wait until its status is 'processed'.",
                code="document_processing",
            )
        return row.text
