"""One document of an index job: fetch it where it is an address, read it, cut it, store text and chunks.

Whatever is wrong with a document is said on its row, and the job goes on with the next. Reading and cutting hold no
transaction; what is stored is fenced by the job's attempt. The index itself is ``indexing``; zips are ``archives``.
"""

from __future__ import annotations

import bisect
import traceback
from dataclasses import dataclass

from app.jobs.kinds import JobContext
from app.services.context import Services
from app.services.corpus_index import token_limit
from app.services.document_states import BATCH, fail, failure
from app.services.fetching import fetch
from app.services.labels import file_label
from app.services.parsing import parse_document
from app.store.disk import is_disk_full
from app.store.jobs import LostLeaseError, hold
from app.store.queries import find, lock, remove
from app.store.tables import ChunkRow, CorpusRow, DocumentRow
from corpora.errors import ConflictError, MalmoiError
from corpora.language import detect_language
from corpora.readers import ReadDocument
from corpora.records import Chunk, Document
from retrieval.chunking import TokenLimit, chunk_document

__all__ = [
    "Made",
    "cut",
    "fail_document",
    "fetch_document",
    "fill",
    "ingest_document",
    "new_chunk",
    "place_of",
    "store_document",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What is to be stored of a document."""

    read: ReadDocument  #: What the reader made of its bytes.
    title: str  #: Its title.
    chunks: list[Chunk]  #: In order.
    language: str  #: As ``detect_language`` tells it.


def ingest_document(services: Services, context: JobContext, document_id: str) -> bool:
    """Read, cut and store one document that is no zip.

    Returns:
        Whether it was stored; False where it failed, which its row tells, or is gone.
    """
    with services.store.read() as session:
        row = find(session, DocumentRow, DocumentRow.id == document_id)
    if row is None:
        return False
    try:
        with services.blobs.open(row.sha256) as file:
            read = parse_document(file.read(), row.filename, row.media_type or None)
        made = cut(document_id, read, row.title, token_limit(services, row.corpus_id))
    except Exception as exc:
        fail_document(services, context, document_id, exc)
        return False
    return store_document(services, context, document_id, made)


def cut(document_id: str, read: ReadDocument, title: str, limit: TokenLimit | None) -> Made:
    """The chunks of what a reader gave, and its language.

    Args:
        document_id: The document.
        read: What the reader gave.
        title: The one that the client chose, or empty.
        limit: What the embedder of the corpus reads of a chunk.
    """
    named = title or read.title
    document = Document(id=document_id, title=named, text=read.text, media_type=read.media_type)
    return Made(
        read=read, title=named, chunks=chunk_document(document, limit=limit), language=detect_language(read.text)
    )


def store_document(services: Services, context: JobContext, document_id: str, made: Made) -> bool:
    """Put text and chunks into the store; the row's encoding comes with the last of them. False where it is gone."""
    chunks = made.chunks
    for start in range(0, max(1, len(chunks)), BATCH):
        with services.store.write() as session:
            hold(session, context.job_id, context.attempt)
            row = lock(session, DocumentRow, DocumentRow.id == document_id)
            if row is None:
                return False  # deleted meanwhile, its chunks with it
            if start == 0:
                remove(session, ChunkRow, ChunkRow.document_id == document_id)
            session.add_all(
                new_chunk(row.corpus_id, chunk, place_of(made, chunk)) for chunk in chunks[start : start + BATCH]
            )
            if start + BATCH >= len(chunks):
                corpus = find(session, CorpusRow, CorpusRow.id == row.corpus_id)
                fill(row, made, corpus.language if corpus is not None else "")
    return True


def place_of(made: Made, chunk: Chunk) -> str | None:
    """The page, slide, sheet or file that a chunk begins on."""
    at = bisect.bisect_right(made.read.marks, chunk.start, key=lambda mark: mark.start) - 1
    return made.read.marks[at].label if at >= 0 else None


def new_chunk(corpus_id: str, chunk: Chunk, place: str | None) -> ChunkRow:
    """The row of a chunk that is not stored yet."""
    return ChunkRow(
        id=chunk.id,
        corpus_id=corpus_id,
        document_id=chunk.document_id,
        index=chunk.index,
        text=chunk.text,
        start=chunk.start,
        end=chunk.end,
        headings=list(chunk.headings),
        place=place,
    )


def fill(row: DocumentRow, made: Made, wanted: str) -> None:
    """Write on the row what was read of it; ``wanted`` is the language of its corpus."""
    read = made.read
    row.title, row.media_type, row.encoding, row.language = made.title, read.media_type, read.encoding, made.language
    row.text, row.characters, row.chunk_count = read.text, len(read.text), len(made.chunks)
    row.marks = [[mark.start, mark.label] for mark in read.marks]
    told = list(read.warnings)
    if wanted == "ko" and made.language != "ko":
        told.append(
            f"The document is not Korean ({made.language}); search and generators are made for Korean, and rows made "
            "from it may be rejected."
        )
    row.warnings = list(dict.fromkeys([*row.warnings, *told]))


def fail_document(services: Services, context: JobContext, document_id: str, exc: Exception) -> None:
    """Say on the document why it cannot be read; what is not the document's fault is raised again.

    Raises:
        LostLeaseError: another attempt has taken over.
        Exception: ``exc``, where the disk is full: that is no document's fault.
    """
    if isinstance(exc, LostLeaseError) or is_disk_full(exc):
        raise exc
    if not isinstance(exc, MalmoiError):
        told = "".join(traceback.format_exception(exc))
        context.event("error", f"예상하지 못한 오류: {exc!r}", data={"document_id": document_id, "traceback": told})
    with services.store.write() as session:
        hold(session, context.job_id, context.attempt)
        fail(session, [document_id], failure(exc))


def fetch_document(services: Services, context: JobContext, document_id: str) -> bool:
    """Get the bytes of a document that is an address, once; False where they cannot be had, which its row tells."""
    with services.store.read() as session:
        row = find(session, DocumentRow, DocumentRow.id == document_id)
    if row is None:
        return False
    if row.url is None or row.bytes:
        return True
    try:
        fetched = fetch(row.url, services.settings)
        sha256, size = services.blobs.put([fetched.data], None)
        with services.store.write() as session:
            hold(session, context.job_id, context.attempt)
            # Locked: an upload of the same bytes at this moment must see these, or these must see that one's.
            lock(session, CorpusRow, CorpusRow.id == row.corpus_id)
            same = find(session, DocumentRow, DocumentRow.corpus_id == row.corpus_id, DocumentRow.sha256 == sha256)
            if same is not None and same.id != document_id:
                raise ConflictError(
                    f"'{row.url}' gives the same bytes as document '{same.id}' ('{same.filename}').",
                    hint="Delete this one.",
                    code="duplicate_document",
                )
            mine = lock(session, DocumentRow, DocumentRow.id == document_id)
            if mine is None:
                return False
            mine.sha256, mine.bytes, mine.media_type = sha256, size, fetched.media_type or ""
            mine.filename, told = file_label(fetched.name)
            mine.warnings = list(dict.fromkeys([*mine.warnings, *told]))
    except Exception as exc:
        fail_document(services, context, document_id, exc)
        return False
    return True
