"""Uploads: bytes into the store, a row in ``processing`` for each document, and the index job that reads them.

A file that cannot be read becomes a failed document and the others of its upload are processed. The same bytes twice in
a corpus are one document; bytes that failed are tried once more. A newer file of a document's name waits on that
document until the job has made it the next revision, and a zip that comes again waits on itself: it is compared with
its members once more.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from app.services.context import Services
from app.services.corpora import require_corpus, submit_index
from app.services.documents import ARCHIVE
from app.services.fetching_addresses import allowed_url
from app.services.labels import file_label
from app.services.versions import earlier_version, may_be_replaced, pending_rows
from app.store.disk import telling_full_disk
from app.store.queries import Session, find, lock
from app.store.tables import CorpusRow, DocumentRow
from corpora.errors import InvalidInputError
from corpora.ids import new_id

__all__ = ["add_url", "new_document", "pieces", "upload_documents"]

_PIECE = 1 << 20
_MAKE_ROOM = "Make room on the disk of the data folder and of the database, then send the documents again."


def upload_documents(
    services: Services,
    corpus_id: str,
    uploads: Sequence[tuple[str, str | None, bytes | BinaryIO]],
    title: str | None = None,
) -> list[str]:
    """Store documents and submit their index job; all of them or none.

    Args:
        services: The opened services.
        corpus_id: Where they go.
        uploads: (file name, media type, bytes or an opened file) of each.
        title: The documents' title; None takes each one's own heading or file name.

    Returns:
        Ids of the documents; bytes that are there already give the earlier document's id, and so does a newer version.

    Raises:
        NotFoundError: there is no such corpus.
        DiskFullError: there is no room for the bytes.
    """
    with services.store.read() as session:
        require_corpus(session, corpus_id)  # before anything is stored
    with telling_full_disk(_MAKE_ROOM):
        files = [_stored(services, corpus_id, *upload, title or "") for upload in uploads]
        ids: list[str] = []
        with services.store.write(durable=True) as session:
            # Locked: of two uploads of the same bytes at once the second must see the first's document.
            lock(session, CorpusRow, CorpusRow.id == corpus_id)
            require_corpus(session, corpus_id)
            waiting = pending_rows(session, corpus_id)
            work = False
            for file in files:
                row = find(session, DocumentRow, DocumentRow.corpus_id == corpus_id, DocumentRow.sha256 == file.sha256)
                if row is not None and row.media_type == ARCHIVE and row.encoding is not None:
                    # Members may have failed or been deleted, or be those of a newer zip that is half read.
                    _wait(row, file)
                    work = True
                elif row is not None and row.pending is not None:
                    row.pending = None  # back to what it is: the newer file that waited is not wanted any more
                row = row or waiting.get(file.sha256)
                # Two files of one name in one upload are two documents, whatever they say.
                if row is None and file.earlier is not None and file.earlier not in ids:
                    row = _waiting(session, file)
                    work = work or row is not None
                    waiting |= {file.sha256: row} if row is not None else {}
                row = row or new_document(session, corpus_id, file.sha256, file.bytes, services.now())
                if row.status == "new" or _again(row):
                    _begin(row, file)
                    work = True
                ids.append(row.id)
            if work:
                submit_index(services, session, corpus_id)
            services.answer(session, {"ids": ids})
    services.wake()
    return ids


@dataclass(frozen=True, kw_only=True, slots=True)
class _File:
    """A file of an upload whose bytes are stored."""

    name: str  #: As documents have it.
    media_type: str  #: As the client said, or empty.
    title: str  #: That the client chose, or empty.
    sha256: str = ""
    bytes: int = 0
    told: tuple[str, ...] = ()  #: What was changed in the name.
    earlier: str | None = None  #: The document that it seems to be a newer version of.


def _stored(
    services: Services, corpus_id: str, name: str, media_type: str | None, data: bytes | BinaryIO, title: str
) -> _File:
    sha256, size = services.blobs.put(pieces(data), None)
    label, told = file_label(name)
    return _File(
        name=label,
        media_type=media_type or "",
        title=title,
        sha256=sha256,
        bytes=size,
        told=told,
        earlier=earlier_version(services, corpus_id, label, media_type, sha256),
    )


def _waiting(session: Session, file: _File) -> DocumentRow | None:
    """The earlier version, which the file now waits to take the place of; None where that has changed meanwhile."""
    row = lock(session, DocumentRow, DocumentRow.id == file.earlier)
    if row is None or not may_be_replaced(row):
        return None
    _wait(row, file)
    return row


def _wait(row: DocumentRow, file: _File) -> None:
    """The file waits for the job to compare it with the document."""
    # A zip whose members the job has begun to change goes on from what they were before.
    begun = {name: held for name, held in (row.pending or {}).items() if name == "members"}
    row.status = "processing"
    row.pending = {
        "sha256": file.sha256,
        "bytes": file.bytes,
        "media_type": file.media_type,
        "title": file.title,
        "warnings": list(file.told),
    } | begun


def add_url(services: Services, corpus_id: str, url: str) -> list[str]:
    """A document that the index job is to fetch; an address that is there already gives the earlier document's id.

    Raises:
        InvalidInputError: such documents are switched off, or the address is none that may be asked.
        NotFoundError: there is no such corpus.
        DiskFullError: there is no room for the row.
    """
    if not services.settings.url_documents:
        raise InvalidInputError(
            "Documents from URLs are switched off; upload the file, or let the operator set URL_DOCUMENTS=true.",
            param="url",
            code="url_documents_disabled",
        )
    allowed_url(url)  # what can be seen without a connection is refused at once
    parts = urlsplit(url)
    name = unquote(PurePosixPath(parts.path).name) or parts.hostname or "document"
    with telling_full_disk(_MAKE_ROOM), services.store.write(durable=True) as session:
        lock(session, CorpusRow, CorpusRow.id == corpus_id)
        require_corpus(session, corpus_id)
        row = find(session, DocumentRow, DocumentRow.corpus_id == corpus_id, DocumentRow.url == url)
        if row is None:
            # Until its bytes are there, the hash of the address stands for theirs.
            row = new_document(session, corpus_id, hashlib.sha256(f"url {url}".encode()).hexdigest(), 0, services.now())
            row.url = url
        if row.status == "new" or _again(row):
            label, told = file_label(name)
            _begin(row, _File(name=label, media_type="", title="", told=told))
            row.bytes = 0  # what came the last time is fetched again
            submit_index(services, session, corpus_id)
        services.answer(session, {"ids": [row.id]})
        ids = [row.id]
    services.wake()
    return ids


def new_document(session: Session, corpus_id: str, sha256: str, size: int, now: float) -> DocumentRow:
    """A document's row, still without name and text; its status is ``new`` until somebody sets another."""
    row = DocumentRow(
        id=new_id("doc"),
        corpus_id=corpus_id,
        filename="",
        title="",
        media_type="",
        bytes=size,
        sha256=sha256,
        status="new",
        error=None,
        url=None,
        archive_id=None,
        shared=[],
        encoding=None,
        language=None,
        revision=1,
        changes=None,
        pending=None,
        similar=[],
        marks=[],
        text="",
        characters=0,
        chunk_count=0,
        warnings=[],
        heldout=None,
        created_at=now,
    )
    session.add(row)
    session.flush()
    return row


def _begin(row: DocumentRow, file: _File) -> None:
    """The document is to be read, under the name of this upload: the last one may have had a wrong ending."""
    row.filename, row.title, row.media_type = file.name, file.title, file.media_type
    row.warnings = list(file.told)
    row.status, row.error, row.encoding = "processing", None, None


def _again(row: DocumentRow) -> bool:
    """Whether what is there already is to be read again: what failed, and a zip whenever its address comes again."""
    return row.status == "failed" or (row.media_type == ARCHIVE and row.status == "processed")


def pieces(data: bytes | BinaryIO) -> Iterator[bytes]:
    """The bytes from the first on, a megabyte at a time."""
    file = io.BytesIO(data) if isinstance(data, bytes) else data
    file.seek(0)
    while piece := file.read(_PIECE):
        yield piece
