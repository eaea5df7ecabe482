"""A zip in an index job: each file in it becomes a document of its own, with its own status and error.

The zip's row stays, without text and chunks, and leads to its members by their ``archive_id``. A zip that is read
again after a kill finds the members that are there by their bytes; one that comes again, changed or not, is
``archive_revisions``'. A file that is a document elsewhere already is noted on the zip as ``shared``: it becomes the
zip's member when that other zip goes, and is read out of the zip again when that document changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from app.jobs.kinds import JobContext
from app.services.context import Services
from app.services.corpora import submit_index
from app.services.corpus_index import token_limit
from app.services.documents import ARCHIVE
from app.services.ingest import cut, fail_document, store_document
from app.services.labels import file_label
from app.services.parsing import parse_archive
from app.services.uploads import new_document
from app.store.jobs import hold
from app.store.queries import Session, find, listed, lock
from app.store.tables import CorpusRow, DocumentRow
from corpora.readers import ReadDocument
from corpora.readers.limits import MAX_WARNINGS
from corpora.readers.members import ArchiveMember

__all__ = ["few", "ingest_archive", "move_shared", "read_shared_again", "same_bytes"]


@dataclass(slots=True)
class _Archive:
    """The zip that is being read."""

    id: str
    corpus_id: str
    sha256: str
    told: list[str] = field(default_factory=list)  #: Warnings on the zip's own row.
    shared: dict[str, str] = field(default_factory=dict)  #: Documents elsewhere that have a member's bytes: its name.
    seen: set[str] = field(default_factory=set)  #: Documents that its members have become in this attempt.


def ingest_archive(services: Services, context: JobContext, document_id: str) -> None:
    """Make a document of every member; the zip is read when all of them are stored or have failed."""
    with services.store.read() as session:
        row = find(session, DocumentRow, DocumentRow.id == document_id)
    if row is None:
        return
    archive = _Archive(id=row.id, corpus_id=row.corpus_id, sha256=row.sha256)
    try:
        with services.blobs.open(row.sha256) as file:
            data = file.read()
        for member in parse_archive(data, row.filename):
            if context.should_stop():
                return
            stored = len(archive.seen)
            if not _ingest_member(services, context, archive, member):
                return  # the zip was deleted
            if stored == 0 and archive.seen:
                context.advanced()  # a restart in a long zip is no sign that the zip is at fault
    except Exception as exc:
        # Members that came before stay: they were read, and the zip's error says that there are more.
        fail_document(services, context, document_id, exc)
        return
    with services.store.write() as session:
        hold(session, context.job_id, context.attempt)
        mine = lock(session, DocumentRow, DocumentRow.id == document_id)
        if mine is not None:
            mine.media_type, mine.encoding = ARCHIVE, "binary"
            mine.warnings = list(few([*mine.warnings, *archive.told]))
            mine.shared = [list(one) for one in archive.shared.items()]


def _ingest_member(services: Services, context: JobContext, archive: _Archive, member: ArchiveMember) -> bool:
    """Store one member; False where its zip is gone."""
    name, told = file_label(member.name)
    with services.store.write() as session:
        hold(session, context.job_id, context.attempt)
        lock(session, CorpusRow, CorpusRow.id == archive.corpus_id)
        if lock(session, DocumentRow, DocumentRow.id == archive.id) is None:
            return False
        row = _row(session, archive, member, name, services.now())
        if row is None:
            return True
        row.warnings = list(told)
        document_id = row.id
    found = member.found
    try:
        if not isinstance(found, ReadDocument):
            raise found
        made = cut(document_id, found, "", token_limit(services, archive.corpus_id))
    except Exception as exc:
        fail_document(services, context, document_id, exc)
    else:
        store_document(services, context, document_id, made)
    return True


def _row(session: Session, archive: _Archive, member: ArchiveMember, name: str, now: float) -> DocumentRow | None:
    """The member's row, ready to be filled; None where its bytes are a document already."""
    sha256 = member.sha256 or hashlib.sha256(f"{archive.sha256} {member.name}".encode()).hexdigest()
    row = find(session, DocumentRow, DocumentRow.corpus_id == archive.corpus_id, DocumentRow.sha256 == sha256)
    if row is None:
        row = new_document(session, archive.corpus_id, sha256, member.bytes, now)
    elif row.status == "failed":
        # Under another name (and ending) the bytes may be a document; two that are none are one failure.
        if row.id in archive.seen and not isinstance(member.found, ReadDocument):
            archive.told.append(same_bytes(name, row.filename, row.id))
            return None
    elif row.filename != name or row.archive_id != archive.id:
        archive.told.append(same_bytes(name, row.filename, row.id))
        if row.archive_id != archive.id:
            archive.shared[row.id] = name
        return None
    elif row.encoding is not None:
        return None  # read by an earlier attempt
    archive.seen.add(row.id)
    row.filename, row.archive_id = name, archive.id
    row.status, row.error, row.encoding = "processing", None, None
    return row


def same_bytes(name: str, other: str, other_id: str) -> str:
    """Why a file of a zip is no document of its own."""
    return f"'{name}' holds the same bytes as '{other}' ({other_id}); it is one document."


def move_shared(
    services: Services, session: Session, corpus_id: str, archive_id: str, members: Sequence[DocumentRow]
) -> list[DocumentRow]:
    """Give members that a zip loses to the first other zip that holds them too; returns those that are to be removed.

    One that was not read, or could not be, is removed as well: the other zip is read again. Call it with the corpus
    locked.
    """
    heirs: dict[str, tuple[DocumentRow, str]] = {}
    for zip_ in _sharing(session, corpus_id, {row.id for row in members}):
        for document_id, name in zip_.shared if zip_.id != archive_id else ():
            heirs.setdefault(document_id, (zip_, name))
    moved: set[str] = set()
    again: dict[str, DocumentRow] = {}
    for row in members:
        if row.id not in heirs:
            continue
        heir, name = heirs[row.id]
        if row.encoding is None or row.status == "failed":
            again[heir.id] = heir
        else:
            row.archive_id, row.filename = heir.id, name
            moved.add(row.id)
    for heir in {heirs[one][0].id: heirs[one][0] for one in moved}.values():
        heir.shared = [one for one in heir.shared if one[0] not in moved]
    _read_again(services, session, corpus_id, again.values())
    return [row for row in members if row.id not in moved]


def read_shared_again(services: Services, session: Session, document: DocumentRow) -> None:
    """The document has other bytes from now on: zips that hold the earlier ones are compared with it once more.

    Call it with the corpus locked.
    """
    others = [zip_ for zip_ in _sharing(session, document.corpus_id, {document.id}) if zip_.id != document.archive_id]
    _read_again(services, session, document.corpus_id, others)


def _read_again(services: Services, session: Session, corpus_id: str, zips: Collection[DocumentRow]) -> None:
    for row in zips:
        if row.pending is None and row.encoding is not None:
            row.status = "processing"
            held = {"sha256": row.sha256, "bytes": row.bytes, "media_type": row.media_type, "title": row.title}
            row.pending = held | {"warnings": []}
    if zips:
        submit_index(services, session, corpus_id)


def _sharing(session: Session, corpus_id: str, document_ids: Collection[str]) -> list[DocumentRow]:
    """Zips that name one of these documents as shared, in order of addition."""
    zips = listed(session, DocumentRow, DocumentRow.corpus_id == corpus_id, DocumentRow.media_type == ARCHIVE)
    return [row for row in zips if any(shared[0] in document_ids for shared in row.shared)]


def few(warnings: list[str]) -> Iterator[str]:
    """The warnings, each once; the last one says how many more there were."""
    told = list(dict.fromkeys(warnings))
    yield from told if len(told) <= MAX_WARNINGS else told[: MAX_WARNINGS - 1]
    if len(told) > MAX_WARNINGS:
        yield f"{len(told) - MAX_WARNINGS + 1} more warnings are not shown."
