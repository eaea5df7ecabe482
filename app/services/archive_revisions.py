"""A zip that comes again, changed or not: each of its files goes to the document that it was before.

Which one that is ``archive_matching`` says. What changed becomes the document's next revision with ``revising``, what
is new a document, what is gone is removed unless another zip holds it too; the others keep their chunks. A zip that has
no file in common with the earlier one of its name stands beside it. Members are stored one by one: an attempt that is
killed is followed by one that finds those that are done by their name and bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.jobs.kinds import JobContext
from app.services.archive_matching import File, match_files, was_read
from app.services.archives import few, ingest_archive, move_shared, same_bytes
from app.services.context import Services
from app.services.corpora import mark_source_deleted
from app.services.corpus_index import token_limit
from app.services.deletion import remove_rows
from app.services.document_states import failure, keep_revision
from app.services.documents import ARCHIVE
from app.services.ingest import Made, cut, fail_document, store_document
from app.services.labels import file_label
from app.services.originals import remove_unneeded
from app.services.parsing import parse_archive
from app.services.revising import holder_of, revise
from app.services.uploads import new_document
from app.store.disk import is_disk_full
from app.store.jobs import hold
from app.store.queries import Session, count, find, listed, lock
from app.store.tables import CorpusRow, DocumentRow
from corpora.readers import ReadDocument

__all__ = ["revise_archive", "wait_as_fetched"]


@dataclass(slots=True)
class _Newer:
    """The zip that waits to take the earlier one's place."""

    id: str
    corpus_id: str
    pending: dict[str, Any]
    files: list[File]
    elsewhere: str | None = None  #: The document that it is, having no file in common with the earlier zip.
    told: list[str] = field(default_factory=list)
    shared: dict[str, str] = field(default_factory=dict)

    def waits(self, session: Session, context: JobContext) -> DocumentRow | None:
        """The zip's row, locked with its corpus; None where it is gone or overtaken by a zip that is newer still."""
        hold(session, context.job_id, context.attempt)
        lock(session, CorpusRow, CorpusRow.id == self.corpus_id)
        row = lock(session, DocumentRow, DocumentRow.id == self.id)
        if row is None or row.pending is None or row.pending["sha256"] != self.pending["sha256"]:
            return None
        return row


def revise_archive(services: Services, context: JobContext, document_id: str) -> None:
    """Read the zip that is pending on a zip, and let it take that one's place."""
    with services.store.read() as session:
        row = find(session, DocumentRow, DocumentRow.id == document_id)
    if row is None or row.pending is None:
        return
    files: list[File] = []
    try:
        with services.blobs.open(row.pending["sha256"]) as file:
            data = file.read()
        # All of it before anything changes: which files are gone, and which have only moved, the last one may decide.
        for member in parse_archive(data, row.filename):
            if context.should_stop():
                return
            name, told = file_label(member.name)
            sha256 = member.sha256 or _stand_in(row.pending["sha256"], member.name)
            files.append(File(filename=name, sha256=sha256, bytes=member.bytes, told=told, found=member.found))
    except Exception as exc:
        fail_document(services, context, document_id, exc)
        return
    newer = _Newer(id=row.id, corpus_id=row.corpus_id, pending=row.pending, files=files)
    if not _begin(services, context, newer):
        if newer.elsewhere is not None:
            revise_archive(services, context, newer.elsewhere)  # where it waits on another zip
            _ingest(services, context, newer.elsewhere)
        return
    changed = [one for one in files if one.twin is None and not one.same]
    for number, one in enumerate(changed):
        if context.should_stop() or not _take(services, context, newer, one):
            return
        if number == 0:
            context.advanced()  # a restart in a long zip is no sign that the zip is at fault
    _end(services, context, newer)


def wait_as_fetched(services: Services, context: JobContext, document_id: str) -> bool:
    """Let a zip whose address was fetched once more wait for ``revise_archive``; False where it has no members yet."""
    with services.store.write() as session:
        hold(session, context.job_id, context.attempt)
        row = lock(session, DocumentRow, DocumentRow.id == document_id)
        if row is None or row.url is None or not count(session, DocumentRow, DocumentRow.archive_id == document_id):
            return False
        fetched = {"sha256": row.sha256, "bytes": row.bytes, "media_type": row.media_type, "title": row.title}
        row.pending = fetched | {"warnings": row.warnings}
        row.media_type, row.encoding = ARCHIVE, "binary"
    return True


def _ingest(services: Services, context: JobContext, document_id: str) -> None:
    """Read a zip that stands alone, where it was not read yet."""
    with services.store.read() as session:
        row = find(session, DocumentRow, DocumentRow.id == document_id)
    if row is not None and row.encoding is None:
        ingest_archive(services, context, document_id)


def _stand_in(sha256: str, name: str) -> str:
    """What stands for the hash of bytes that are not at hand, or not the document's any more."""
    return hashlib.sha256(f"{sha256} {name}".encode()).hexdigest()


def _begin(services: Services, context: JobContext, newer: _Newer) -> bool:
    """Match the files with the members, and note what those are now; False where nothing is to be done here."""
    with services.store.write() as session:
        mine = newer.waits(session, context)
        if mine is None or mine.pending is None or _is_another(session, mine):
            return False
        rows = listed(session, DocumentRow, DocumentRow.archive_id == newer.id)
        match_files(newer.files, rows)
        if "members" in mine.pending or mine.sha256 == newer.pending["sha256"]:
            alike = True
        else:
            alike = not rows or any(one.document_id for one in newer.files)
        if not alike:
            newer.elsewhere = _part(services, session, mine, newer)
            return False
        if "members" not in mine.pending:
            # Kept until the end: what changed is told of all attempts together.
            mine.pending = mine.pending | {"members": {row.id: [row.sha256, row.filename] for row in rows}}
    return True


def _is_another(session: Session, mine: DocumentRow) -> bool:
    """Whether the bytes that wait have become another document meanwhile, which is told."""
    assert mine.pending is not None
    other = holder_of(session, mine, mine.pending["sha256"])
    if other is None or other.id == mine.id:
        return False
    told = f"A newer file of this name has the same bytes as '{other.filename}' ({other.id})."
    keep_revision(mine, {"same_as": other.id}, told)
    return True


def _part(services: Services, session: Session, mine: DocumentRow, newer: _Newer) -> str:
    """The zip has the name alone in common: it is the next revision of another one of that name, or one of its own."""
    pending = newer.pending
    names = {one.filename for one in newer.files}
    hashes = {one.sha256 for one in newer.files}
    named = (DocumentRow.corpus_id == mine.corpus_id, DocumentRow.filename == mine.filename)
    for own in listed(session, DocumentRow, *named, DocumentRow.media_type == ARCHIVE):
        members = listed(session, DocumentRow, DocumentRow.archive_id == own.id)
        if was_read(own) and any(row.filename in names or row.sha256 in hashes for row in members):
            begun = {name: held for name, held in (own.pending or {}).items() if name == "members"}
            own.status, own.pending = "processing", pending | begun
            break
    else:
        own = new_document(session, mine.corpus_id, pending["sha256"], pending["bytes"], services.now())
        own.filename, own.title, own.media_type = mine.filename, pending["title"], pending["media_type"]
        own.warnings, own.status = list(pending["warnings"]), "processing"
    told = f"Another zip of this name has other files and is the document '{own.id}'."
    keep_revision(mine, {"separate_document_id": own.id}, told)
    return own.id


def _take(services: Services, context: JobContext, newer: _Newer, file: File) -> bool:
    """Bring one document up to its file; False where the zip is gone or overtaken."""
    made = _cut(services, newer, file) if file.document_id is not None else None
    with services.store.write() as session:
        if newer.waits(session, context) is None:
            return False
        row = lock(session, DocumentRow, DocumentRow.id == file.document_id, DocumentRow.archive_id == newer.id)
        holder = find(session, DocumentRow, DocumentRow.corpus_id == newer.corpus_id, DocumentRow.sha256 == file.sha256)
        if holder is not None and (row is None or holder.id != row.id):
            if holder.archive_id == newer.id:
                # It becomes something else itself, or goes: two files have changed places.
                holder.sha256 = _stand_in(newer.pending["sha256"], holder.id)
                session.flush()
            elif holder.status == "failed" and isinstance(file.found, ReadDocument):
                row = holder  # under this name the bytes are a document
            else:
                newer.told.append(same_bytes(file.filename, holder.filename, holder.id))
                newer.shared[holder.id] = file.filename
                file.document_id = holder.id
                return True
        if made is not None and row is not None and row.id == file.document_id and was_read(row):
            _renew(services, session, row, file, made)
            return True
        if row is None:
            row = new_document(session, newer.corpus_id, file.sha256, file.bytes, services.now())
        row.filename, row.archive_id, row.sha256, row.bytes = file.filename, newer.id, file.sha256, file.bytes
        row.status, row.error, row.encoding, row.warnings = "processing", None, None, list(file.told)
        file.document_id = row.id
    made = _cut(services, newer, file)
    if isinstance(made, Exception):
        fail_document(services, context, file.document_id, made)
    else:
        store_document(services, context, file.document_id, made)
    return True


def _cut(services: Services, newer: _Newer, file: File) -> Made | Exception:
    """The chunks of a file, or why there are none."""
    if not isinstance(file.found, ReadDocument):
        return file.found
    assert file.document_id is not None
    try:
        return cut(file.document_id, file.found, "", token_limit(services, newer.corpus_id))
    except Exception as exc:
        if is_disk_full(exc):
            raise
        return exc


def _renew(services: Services, session: Session, row: DocumentRow, file: File, made: Made | Exception) -> None:
    """The document's next revision, its new name, or why it stays as it is."""
    row.filename = file.filename
    if isinstance(made, Exception):
        error, status = failure(made), row.status
        row.pending = file.pending()
        keep_revision(row, {"error": error}, f"A newer file of this name was not taken: {error['message']}")
        row.status = status  # it may wait for the index
    elif row.sha256 == file.sha256 and row.text == made.read.text:
        row.title, row.media_type = made.title, made.read.media_type
    else:
        row.status = "processing"
        revise(services, session, row, made, file.pending())


def _end(services: Services, context: JobContext, newer: _Newer) -> None:
    """What the newer zip does not hold goes, and the newer zip takes the earlier one's place."""
    with services.store.write() as session:
        mine = newer.waits(session, context)
        if mine is None or mine.pending is None or _is_another(session, mine):
            return
        named = {one.document_id for one in newer.files}
        rows = listed(session, DocumentRow, DocumentRow.archive_id == newer.id)
        _tell(mine, [row for row in rows if row.id in named])
        gone = move_shared(services, session, newer.corpus_id, newer.id, [row for row in rows if row.id not in named])
        if gone:
            mark_source_deleted(session, [row.id for row in gone])
            remove_rows(services, session, gone)
        for one in newer.files:
            if one.twin is not None and one.twin.document_id is not None:
                newer.told.append(same_bytes(one.filename, one.twin.filename, one.twin.document_id))
        before = mine.sha256
        mine.sha256, mine.bytes, mine.encoding = mine.pending["sha256"], mine.pending["bytes"], "binary"
        mine.warnings = list(few([*mine.pending["warnings"], *newer.told]))
        mine.shared = [list(one) for one in newer.shared.items()]
        mine.pending = None
        session.flush()
        if mine.sha256 != before:
            remove_unneeded(services, session, [(before, mine.created_at)])


def _tell(mine: DocumentRow, rows: Sequence[DocumentRow]) -> None:
    """Say on the zip what became of its members; the same zip once more is no revision."""
    assert mine.pending is not None
    if mine.pending["sha256"] == mine.sha256:
        return
    before: dict[str, list[str]] = mine.pending["members"]
    now = {row.id: [row.sha256, row.filename] for row in rows}
    kept = [one for one in now if before.get(one) == now[one]]
    mine.revision += 1
    mine.changes = {
        "revision": mine.revision,
        "sha256": mine.sha256,
        "members_added": _members(now, [one for one in now if one not in before]),
        "members_changed": _members(now, [one for one in now if before.get(one, now[one]) != now[one]]),
        "members_removed": _members(before, [one for one in before if one not in now]),
        "members_kept": len(kept),
    }


def _members(held: Mapping[str, Sequence[str]], document_ids: Sequence[str]) -> list[dict[str, str]]:
    return [{"document_id": one, "filename": held[one][1]} for one in document_ids]
