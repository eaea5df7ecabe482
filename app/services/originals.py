"""The bytes behind files, documents and imported datasets: gone with what named them, unless something else needs them.

A dataset may have been masked; the file that it came from was not. Bytes are stored once by their hash, so a document,
a file, another dataset or a job that may go on may rest on them too; then they stay.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from app.services.context import Services
from app.services.curation_jobs import IMPORT
from app.store.queries import Session, count, find, listed, values
from app.store.tables import DatasetRow, DocumentRow, FileRow, JobRow

__all__ = ["remove_bytes", "remove_original", "remove_unneeded"]

#: Seconds that an upload of the same bytes may take from the blob store to its row.
UNDER_WAY_S = 3600.0


def remove_original(services: Services, session: Session, job: JobRow) -> bool:
    """Delete the file that ``job`` imported; call it where the job's dataset is deleted, before the commit.

    Before it: a crash in between leaves a dataset without its file, which can be deleted again, and never a file that
    nothing names.

    Returns:
        False where something else needs the bytes.
    """
    return _remove(services, session, job.params["sha256"], job.created_at, job)


def remove_bytes(services: Services, session: Session, sha256: str, created_at: float) -> bool:
    """Delete the bytes of a file whose row, made at ``created_at``, is gone in this transaction.

    Returns:
        False where something else needs the bytes.
    """
    return _remove(services, session, sha256, created_at, None)


def remove_unneeded(services: Services, session: Session, uploads: Sequence[tuple[str, float]]) -> None:
    """Delete the bytes of many documents whose rows are gone in this transaction, where nothing else needs them.

    Args:
        services: The opened services.
        session: The transaction.
        uploads: (sha256, when its document was made) of each; members of archives have no bytes of their own.
    """
    made = {sha256: at for sha256, at in uploads if services.blobs.stored_at(sha256) is not None}
    hashes = sorted(made)
    needed: set[str] = set()
    for start in range(0, len(hashes), 500):
        some = hashes[start : start + 500]
        for column in (FileRow.sha256, DocumentRow.sha256):
            needed |= {sha256 for (sha256,) in values(session, [column], column.in_(some))}
    needed |= _waiting(session)
    if made.keys() - needed:
        # Whatever a job of any kind was given, an import included, stays.
        given = "\n".join(json.dumps(job.params) for job in listed(session, JobRow, JobRow.kind != "index"))
        needed |= {sha256 for sha256 in made.keys() - needed if sha256 in given}
    for sha256 in hashes:
        if sha256 not in needed and not _uploaded_again(services, sha256, made[sha256]):
            services.blobs.remove(sha256)


def _remove(services: Services, session: Session, sha256: str, created_at: float, job: JobRow | None) -> bool:
    if _needed(session, job, sha256) or _uploaded_again(services, sha256, created_at):
        return False
    for link in services.folder("imports").glob(f"{sha256}*"):
        link.unlink(missing_ok=True)
    services.blobs.remove(sha256)
    return True


def _needed(session: Session, job: JobRow | None, sha256: str) -> bool:
    """Whether anything but the import ``job`` rests on the bytes."""
    if count(session, FileRow, FileRow.sha256 == sha256) or count(session, DocumentRow, DocumentRow.sha256 == sha256):
        return True
    if sha256 in _waiting(session):
        return True
    # Whatever a kind calls it: a job keeps the bytes it was given, even when their file is deleted meanwhile.
    unfinished = listed(session, JobRow, JobRow.kind != IMPORT, JobRow.status.not_in(("succeeded", "cancelled")))
    if any(sha256 in json.dumps(other.params) for other in unfinished):
        return True
    imports = listed(session, JobRow, JobRow.kind == IMPORT, JobRow.params["sha256"].as_string() == sha256)
    owners = {other.params["dataset_id"] for other in imports}
    if job is not None:
        owners.discard(job.params["dataset_id"])
    return any(find(session, DatasetRow, DatasetRow.id == owner) is not None for owner in owners)


def _waiting(session: Session) -> set[str]:
    """Bytes of newer files that are to take a document's place."""
    waiting = listed(session, DocumentRow, DocumentRow.pending.is_not(None))
    return {row.pending["sha256"] for row in waiting if row.pending}


def _uploaded_again(services: Services, sha256: str, created_at: float) -> bool:
    """Whether the same bytes came in just now, perhaps for an object whose row is still to be written."""
    stored = services.blobs.stored_at(sha256)
    return stored is not None and stored > max(created_at, services.now() - UNDER_WAY_S)
