"""Files in OpenAI's shape: training data in, results out; bytes lie in the blob store under their hash.

A file that has expired is gone for every reader at that second; its row and its bytes are cleaned away by the next
call that creates or lists files. Bytes go with the last thing that needs them (``app.services.originals``).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from app.services.context import Services
from app.services.originals import remove_bytes
from app.store.paging import page
from app.store.queries import Session, count, find, listed
from app.store.tables import FileRow
from corpora.errors import InvalidInputError, NotFoundError
from corpora.ids import new_id

__all__ = [
    "EXPIRES_AFTER_S",
    "PURPOSES",
    "add_file",
    "create_file",
    "delete_file",
    "get_file",
    "list_files",
    "read_file_bytes",
    "sweep_expired",
]

#: Purposes that an upload may have here.
PURPOSES = ("fine-tune", "user_data")
#: OpenAI's others, each with the service that it belongs to.
_ELSEWHERE = {
    "assistants": "the Assistants API",
    "batch": "the Batch API",
    "evals": "the Evals API; POST /v1/evaluations takes files of purpose fine-tune",
    "vision": "vision fine-tuning",
}
#: Seconds from its creation after which a file may expire: an hour to 30 days, as OpenAI has it.
EXPIRES_AFTER_S = (3600, 2_592_000)
#: Expired files cleaned away by one call: their bytes are unlinked inside the transaction.
SWEEP = 100
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
        "expires_at": int(row.expires_at) if row.expires_at is not None else None,
    }


def require_file(session: Session, file_id: str, param: str = "file_id") -> FileRow:
    """The file, or a NotFoundError naming ``param``; one that has expired is no longer there."""
    row = find(session, FileRow, FileRow.id == file_id)
    if row is None or (row.expires_at is not None and row.expires_at <= Services.now()):
        raise NotFoundError(
            f"There is no file '{file_id}'; GET /v1/files lists them.", param=param, code="file_not_found"
        )
    return row


def add_file(
    session: Session, filename: str, purpose: str, blob: tuple[str, int], now: float, expires_after: int | None = None
) -> FileRow:
    """A file row for bytes that are in the blob store already, in the caller's transaction.

    Args:
        session: The caller's transaction.
        filename: As its owner calls it.
        purpose: One of OpenAI's.
        blob: Hash and size of the bytes.
        now: Unix seconds.
        expires_after: Seconds from now after which it is gone; None keeps it.
    """
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
        expires_at=None if expires_after is None else now + expires_after,
    )
    session.add(row)
    session.flush()
    return row


def _check_purpose(purpose: str) -> None:
    if purpose in PURPOSES:
        return
    owner = _ELSEWHERE.get(purpose)
    reason = f" (it belongs to {owner})" if owner else ""
    raise InvalidInputError(
        f"purpose '{purpose}' is not served here{reason}; use one of {', '.join(PURPOSES)}.",
        param="purpose",
        code="invalid_purpose",
    )


def create_file(
    services: Services, filename: str, purpose: str, data: Iterator[bytes], expires_after: int | None = None
) -> dict[str, Any]:
    """Store an upload. Its format is checked by the job that uses it, as OpenAI does; emptiness is refused here.

    Raises:
        InvalidInputError: the purpose is not served here (``invalid_purpose``), or the file is empty.
        TooLargeError: it is over MALMOI_MAX_UPLOAD_MB.
    """
    _check_purpose(purpose)
    first = next(data, b"")
    if not first:
        raise InvalidInputError(f"The file '{filename}' is empty.", param="file", code="empty_file")
    blob = services.blobs.put(chain((first,), data), services.settings.max_upload_mb * 2**20)
    with services.store.write(durable=True) as session:
        body = _body(add_file(session, filename, purpose, blob, services.now(), expires_after))
        services.answer(session, body)
    sweep_expired(services)
    return body


def sweep_expired(services: Services) -> int:
    """Clean away files that have expired, ``SWEEP`` of them at most; returns how many."""
    now = services.now()
    expired = (FileRow.expires_at.is_not(None), FileRow.expires_at <= now)
    with services.store.read() as session:
        if not count(session, FileRow, *expired):
            return 0
    with services.store.write() as session:
        rows = listed(session, FileRow, *expired, limit=SWEEP)
        for row in rows:
            _remove(services, session, row)
    return len(rows)


def _remove(services: Services, session: Session, row: FileRow) -> None:
    session.delete(row)
    session.flush()
    remove_bytes(services, session, row.sha256, row.created_at)


def list_files(
    services: Services, after: str | None, limit: int, order: str, purpose: str | None
) -> tuple[list[dict[str, Any]], bool]:
    """A page of files, of one purpose where given."""
    sweep_expired(services)
    # More may have expired than one sweep takes.
    alive = FileRow.expires_at.is_(None) | (FileRow.expires_at > services.now())
    filters = (alive, FileRow.purpose == purpose) if purpose else (alive,)
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
    """Remove a file and, where nothing else needs them, its bytes; a job that may go on keeps what it was given."""
    with services.store.write() as session:
        _remove(services, session, require_file(session, file_id))
    return {"id": file_id, "object": "file", "deleted": True}
