"""From ``processing`` to ``processed`` or ``failed``: which documents stand where, and how one comes to fail.

A document is *unread* until its text and chunks are stored, *read* until the index holds them, then processed. Its
encoding tells the two apart, so that an index job that was killed goes on behind the last one that was read. One whose
newer file is ``pending`` is unread too; should that file fail, the earlier revision stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.services.context import Services
from app.store.disk import DiskFullError, is_disk_full
from app.store.queries import Session, change, count, latest, listed, lock, remove, values
from app.store.tables import ChunkRow, CorpusRow, DocumentRow, JobRow
from corpora.errors import MalmoiError

__all__ = [
    "BATCH",
    "fail",
    "failure",
    "keep_revision",
    "processing",
    "read_conditions",
    "settle",
    "unread_conditions",
]

#: Rows written in one transaction at most; longer ones starve heartbeats on SQLite.
BATCH = 500


def processing(corpus_id: str) -> tuple[Any, ...]:
    """Documents that an index job works on or is to work on."""
    return DocumentRow.corpus_id == corpus_id, DocumentRow.status == "processing"


def unread_conditions(corpus_id: str) -> tuple[Any, ...]:
    """Those of them whose text is not stored yet."""
    return *processing(corpus_id), DocumentRow.encoding.is_(None) | DocumentRow.pending.is_not(None)


def read_conditions(corpus_id: str) -> tuple[Any, ...]:
    """Those of them whose text and chunks are stored and wait for the index."""
    return *processing(corpus_id), DocumentRow.encoding.is_not(None), DocumentRow.pending.is_(None)


def failure(exc: BaseException, job_id: str | None = None) -> dict[str, Any]:
    """What a document says of the fault that it failed of; ``job_id`` where it was the job's fault and not its own."""
    if is_disk_full(exc) and not isinstance(exc, DiskFullError):
        exc = DiskFullError("The disk is full.", hint="Make room, then upload the document again.")
    known = exc if isinstance(exc, MalmoiError) else None
    message = known.message if known else f"An unexpected error: {exc!r}"
    # A library may quote the file in it; no database stores a NUL or half a surrogate pair.
    message = message.replace("\0", "").encode("utf-8", "replace").decode()
    return {
        "code": known.code if known else "internal_error",
        "message": message if job_id is None else f"The index job {job_id} failed: {message}",
        "hint": (known.hint if known else "") or "Upload it again to try once more.",
    }


def fail(session: Session, document_ids: Sequence[str], error: dict[str, Any]) -> None:
    """Those of the documents that are processing fail; nothing of them is left for the index. At most ``BATCH``.

    One whose newer file was pending goes back to what it was, and says why in its ``changes``. One that has become a
    newer revision keeps it: its earlier bytes are gone, and the next index job finds its chunks.
    """
    failing = listed(session, DocumentRow, DocumentRow.id.in_(document_ids), DocumentRow.status == "processing")
    for row in failing:
        if row.pending is not None:
            keep_revision(row, {"error": error}, f"A newer file of this name was not taken: {error['message']}")
        elif row.revision > 1 and row.encoding is not None:
            row.status, row.changes = "processed", (row.changes or {}) | {"error": error}
            told = f"This revision is not searched yet: {error['message']}"
            row.warnings = list(dict.fromkeys([*row.warnings, told]))
    ids = [row.id for row in failing if row.status == "processing"]
    if not ids:
        return
    remove(session, ChunkRow, ChunkRow.document_id.in_(ids))
    nothing = {"text": "", "characters": 0, "chunk_count": 0, "marks": [], "encoding": None}
    change(session, DocumentRow, DocumentRow.id.in_(ids), status="failed", error=error, **nothing)


def keep_revision(row: DocumentRow, changes: dict[str, Any], why: str) -> None:
    """The pending file does not take the document's place; its revision stays and says so."""
    assert row.pending is not None
    told = {"revision": None, "sha256": row.pending["sha256"]} | changes
    stays = f"Revision {row.revision} stays."
    if "members" in row.pending:
        stays = f"Revision {row.revision} stays, with files of the newer zip among its own; send the zip again."
    row.status, row.pending, row.changes = "processed", None, told
    row.warnings = list(dict.fromkeys([*row.warnings, f"{why} {stays}"]))


def settle(services: Services, corpus_id: str) -> None:
    """Documents whose index job is gone for good (killed five times in a row, cancelled) fail and say why.

    Call it where somebody looks at a document that is processing; it costs one query.
    """
    with services.store.read() as session:
        if not _abandoned(session, corpus_id):
            return
    more = True
    while more:
        with services.store.write() as session:
            # An upload locks the same row: its documents come with their job, or not at all.
            lock(session, CorpusRow, CorpusRow.id == corpus_id)
            more = _abandoned(session, corpus_id)
            if more:
                waiting = values(session, [DocumentRow.seq, DocumentRow.id], *processing(corpus_id))
                fail(session, [document_id for _, document_id in waiting[:BATCH]], _left(session, corpus_id))


def _of(corpus_id: str) -> tuple[Any, ...]:
    return JobRow.kind == "index", JobRow.params["corpus_id"].as_string() == corpus_id


def _abandoned(session: Session, corpus_id: str) -> bool:
    """Whether documents wait for an index job that will not come."""
    if count(session, JobRow, *_of(corpus_id), JobRow.status.in_(("queued", "running"))):
        return False
    # In this order: a job ends after its documents have left this state, so that none is taken for left behind.
    return count(session, DocumentRow, *processing(corpus_id)) > 0


def _left(session: Session, corpus_id: str) -> dict[str, Any]:
    job = latest(session, JobRow, *_of(corpus_id))
    said = (job.error or {}).get("message", f"it ended as {job.status}") if job is not None else "there is none"
    return {
        "code": "index_failed",
        "message": f"The index job of this document has ended without it: {said}",
        "hint": "Upload it again to try once more.",
    }
