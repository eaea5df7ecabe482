"""Which document an upload is a newer version of: by its name first, by what it says where that can be told at once.

Asked before the upload's transaction, since comparing takes a moment; what it names must be looked at again inside.
Of zips the name is asked alone; the job sees whether they have a file in common.
"""

from __future__ import annotations

from app.services.context import Services
from app.services.documents import ARCHIVE
from app.services.parsing import is_archive, parse_document, parsed_here
from app.store.queries import Session, find, listed
from app.store.tables import DocumentRow
from corpora.errors import UnreadableDocumentError
from retrieval.similar_documents import SAME_MANUAL, same_manual

__all__ = ["earlier_version", "may_be_replaced", "pending_rows"]

#: Bytes of a file, and characters of a document, that are compared in the service.
COMPARED = 1 << 17


def earlier_version(services: Services, corpus_id: str, name: str, media_type: str | None, sha256: str) -> str | None:
    """Id of the document that stored bytes under this name are a version of, or None.

    Text and Markdown are compared here, and of zips the newest of that name is taken. For other formats one document of
    that name is enough: the job compares, and makes the file a document of its own where it must.

    Args:
        services: The opened services.
        corpus_id: Where the file goes.
        name: Its name, as documents have it.
        media_type: As the client said.
        sha256: Of its bytes, which are in the blob store.
    """
    with services.store.read() as session:
        if find(session, DocumentRow, DocumentRow.corpus_id == corpus_id, DocumentRow.sha256 == sha256) is not None:
            return None
        named = (DocumentRow.corpus_id == corpus_id, DocumentRow.filename == name)
        archive = is_archive(name, media_type)
        rows = [
            row
            for row in listed(session, DocumentRow, *named)
            if may_be_replaced(row) and (row.media_type == ARCHIVE) is archive
        ]
        if archive or not rows:
            return rows[-1].id if rows else None
        with services.blobs.open(sha256) as file:
            data = file.read(COMPARED + 1)
        # A megabyte of headings took 400 MB to parse: what is long is compared in the job.
        long = len(data) > COMPARED or any(row.characters > COMPARED for row in rows)
        if long or not parsed_here(name, media_type, len(data)):
            return rows[0].id if len(rows) == 1 else None
        try:
            text = parse_document(data, name, media_type).text
        except UnreadableDocumentError:
            return None  # a failed document of its own
        share, document_id = max((same_manual(row.text, text), row.id) for row in rows)
    return document_id if share >= SAME_MANUAL else None


def may_be_replaced(row: DocumentRow | None) -> bool:
    """Whether a newer file may take this document's place: it was read, from a file of its own."""
    if row is None or row.archive_id is not None or row.url is not None:
        return False
    return row.status in ("processed", "processing") and row.encoding is not None


def pending_rows(session: Session, corpus_id: str) -> dict[str, DocumentRow]:
    """The documents that a newer file waits for, by the sha256 of that file."""
    rows = listed(session, DocumentRow, DocumentRow.corpus_id == corpus_id, DocumentRow.pending.is_not(None))
    return {row.pending["sha256"]: row for row in rows if row.pending is not None}
