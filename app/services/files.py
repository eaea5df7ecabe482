"""Files in OpenAI's shape: training data in, results out; bytes lie in the blob store under their hash."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from app.services.context import Services
from app.store.paging import page
from app.store.queries import Session, find
from app.store.tables import FileRow
from corpora.errors import InvalidInputError, NotFoundError
from corpora.ids import new_id

__all__ = [
    "PURPOSES",
    "add_file",
    "create_file",
    "delete_file",
    "get_file",
    "list_files",
    "read_file_bytes",
]

#: Purposes that an upload may have here; OpenAI's others belong to services that Malmoi does not offer.
PURPOSES = ("fine-tune", "user_data")
BLOCK = 1 << 20


def _body(row: FileRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "object": "file",
        "bytes": row.bytes,
        "created_at": int(row.created_at),
        "filename": row.filename,
        "purpose": row.purpose,
        "status": row.status,
        "status_details": row.status_details,
    }


def require_file(session: Session, file_id: str, param: str = "file_id") -> FileRow:
    """The file, or a NotFoundError naming ``param``."""
    row = find(session, FileRow, FileRow.id == file_id)
    if row is None:
        raise NotFoundError(
            f"There is no file '{file_id}'; GET /v1/files lists them.", param=param, code="file_not_found"
        )
    return row


def add_file(session: Session, filename: str, purpose: str, blob: tuple[str, int], now: float) -> FileRow:
    """A file row for bytes that are in the blob store already, in the caller's transaction."""
    sha256, size = blob
    row = FileRow(
        id=new_id("file").replace("_", "-", 1),
        filename=filename,
        purpose=purpose,
        bytes=size,
        sha256=sha256,
        status="processed",
        status_details=None,
        created_at=now,
    )
    session.add(row)
    session.flush()
    return row


def create_file(services: Services, filename: str, purpose: str, data: Iterator[bytes]) -> dict[str, Any]:
    """Store an upload. Its format is checked by the job that uses it, as OpenAI does; emptiness is refused here."""
    if purpose not in PURPOSES:
        raise InvalidInputError(
            f"purpose '{purpose}' is not served here; use one of {', '.join(PURPOSES)}.", param="purpose"
        )
    first = next(data, b"")
    if not first:
        raise InvalidInputError(f"The file '{filename}' is empty.", param="file", code="empty_file")
    blob = services.blobs.put(chain((first,), data), services.settings.max_upload_mb * 2**20)
    with services.store.write(durable=True) as session:
        body = _body(add_file(session, filename, purpose, blob, services.now()))
        services.answer(session, body)
    return body


def list_files(
    services: Services, after: str | None, limit: int, order: str, purpose: str | None
) -> tuple[list[dict[str, Any]], bool]:
    """A page of files, of one purpose where given."""
    filters = (FileRow.purpose == purpose,) if purpose else ()
    with services.store.read() as session:
        rows, more = page(session, FileRow, filters=filters, after=after, limit=limit, order=order)
        return [_body(row) for row in rows], more


def get_file(services: Services, file_id: str) -> dict[str, Any]:
    """One file's description."""
    with services.store.read() as session:
        return _body(require_file(session, file_id))


def read_file_bytes(services: Services, file_id: str) -> Iterator[bytes]:
    """A file's bytes, block by block."""
    with services.store.read() as session:
        sha256 = require_file(session, file_id).sha256

    def blocks() -> Iterator[bytes]:
        with services.blobs.open(sha256) as handle:
            while block := handle.read(BLOCK):
                yield block

    return blocks()


def delete_file(services: Services, file_id: str) -> dict[str, Any]:
    """Remove a file from the list; a running job keeps the bytes it was given."""
    with services.store.write() as session:
        session.delete(require_file(session, file_id))
    return {"id": file_id, "object": "file", "deleted": True}
