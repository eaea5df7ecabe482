"""Chunks of a document as the API shows them."""

from __future__ import annotations

from typing import Any

from app.services.context import Services
from app.services.documents import require_document
from app.store.paging import page
from app.store.tables import ChunkRow

__all__ = ["chunk_body", "list_chunks"]


def list_chunks(
    services: Services, document_id: str, after: str | None, limit: int, order: str
) -> tuple[list[dict[str, Any]], bool]:
    """A page of a document's chunks, in the order of the text: those of a newer revision may be younger rows."""
    with services.store.read() as session:
        document = require_document(session, document_id)
        filters = (ChunkRow.document_id == document_id,)
        rows, more = page(session, ChunkRow, filters=filters, after=after, limit=limit, order=order, by="index")
        return [chunk_body(row, document.created_at) for row in rows], more


def chunk_body(row: ChunkRow, created_at: float) -> dict[str, Any]:
    """A chunk in the contract's shape; its time is its document's, from which it can be cut again at any moment."""
    return {
        "id": row.id,
        "object": "chunk",
        "created_at": int(created_at),
        "document_id": row.document_id,
        "index": row.index,
        "text": row.text,
        "start": row.start,
        "end": row.end,
        "headings": row.headings,
        "place": row.place,
    }
