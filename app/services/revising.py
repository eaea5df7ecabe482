"""A newer file of a document's name: the document becomes its next revision, and only what changed changes.

Chunks of equal text and headings keep their row, their number and so their vector; the others go or come. Samples
follow: offsets move along, and a sample whose passage is gone is marked as one whose source was deleted. Which uploads
may be revisions ``versions`` says; reading and cutting is ``ingest``'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.jobs.kinds import JobContext
from app.services.archives import read_shared_again
from app.services.context import Services
from app.services.corpus_index import chunk_record, token_limit
from app.services.document_states import keep_revision
from app.services.ingest import Made, cut, fail_document, fill, ingest_document, new_chunk, place_of
from app.services.originals import remove_unneeded
from app.services.parsing import parse_document
from app.services.uploads import new_document
from app.store.jobs import hold
from app.store.moved_chunks import Move, moved_spans
from app.store.queries import Session, find, listed, lock, remove
from app.store.sample_documents import rests_on
from app.store.tables import ChunkRow, CorpusRow, DocumentRow, SampleRow
from retrieval.changes import Changes, changed_chunks
from retrieval.similar_documents import SAME_MANUAL, same_manual

__all__ = ["holder_of", "revise", "revise_document"]


def revise_document(services: Services, context: JobContext, document_id: str) -> None:
    """Read the pending file of a document and let it take the document's place, where it is a version of it."""
    with services.store.read() as session:
        row = find(session, DocumentRow, DocumentRow.id == document_id)
        if row is None or row.pending is None:
            return
        pending, text = row.pending, row.text
    try:
        with services.blobs.open(pending["sha256"]) as file:
            read = parse_document(file.read(), row.filename, pending["media_type"] or None)
        made = cut(document_id, read, pending["title"], token_limit(services, row.corpus_id))
    except Exception as exc:
        fail_document(services, context, document_id, exc)
        return
    if same_manual(text, read.text) < SAME_MANUAL:
        _part(services, context, document_id, pending)
        return
    with services.store.write() as session:
        # All of it at once: a kill in between would leave chunks of two revisions, or offsets moved twice.
        hold(session, context.job_id, context.attempt)
        lock(session, CorpusRow, CorpusRow.id == row.corpus_id)
        mine = lock(session, DocumentRow, DocumentRow.id == document_id)
        if mine is None or mine.pending != pending:
            return  # deleted, or overtaken by a file that is newer still: its own job is queued
        other = holder_of(session, mine, pending["sha256"])
        if other is not None:
            told = f"A newer file of this name has the same bytes as '{other.filename}' ({other.id})."
            keep_revision(mine, {"same_as": other.id}, told)
            return
        revise(services, session, mine, made, pending)


def holder_of(session: Session, row: DocumentRow, sha256: str) -> DocumentRow | None:
    """The document of the same corpus that has these bytes; it may be the row itself."""
    return find(session, DocumentRow, DocumentRow.corpus_id == row.corpus_id, DocumentRow.sha256 == sha256)


def revise(services: Services, session: Session, row: DocumentRow, made: Made, pending: Mapping[str, Any]) -> None:
    """Put a newer text in the place of the document's, chunk by chunk; call it with the corpus and the row locked.

    Args:
        services: The opened services.
        session: The transaction; all of it must happen at once.
        row: The document.
        made: Its newer text, and the chunks that it was cut into.
        pending: The newer file, as ``DocumentRow.pending`` has it.
    """
    rows = {
        chunk.id: chunk for chunk in listed(session, ChunkRow, ChunkRow.document_id == row.id, order_by=ChunkRow.index)
    }
    changes = changed_chunks([chunk_record(chunk) for chunk in rows.values()], made.chunks)
    _move_samples(session, row.id, changes)
    remove(session, ChunkRow, ChunkRow.id.in_([chunk.id for chunk in changes.removed]))
    for old, new in changes.kept:
        kept = rows[old.id]
        kept.index, kept.start, kept.end, kept.place = new.index, new.start, new.end, place_of(made, new)
    session.add_all(new_chunk(row.corpus_id, chunk, place_of(made, chunk)) for chunk in changes.added)
    moved = sum((old.start, old.index) != (new.start, new.index) for old, new in changes.kept)
    before = row.sha256
    row.changes = {
        "revision": row.revision + 1,
        "sha256": before,
        "added": [chunk.id for chunk in changes.added],
        "removed": [chunk.id for chunk in changes.removed],
        "kept": len(changes.kept),
        "moved": moved,
    }
    row.sha256, row.bytes, row.revision = pending["sha256"], pending["bytes"], row.revision + 1
    row.warnings, row.pending = list(pending["warnings"]), None
    corpus = find(session, CorpusRow, CorpusRow.id == row.corpus_id)
    fill(row, made, corpus.language if corpus is not None else "")
    session.flush()
    remove_unneeded(services, session, [(before, row.created_at)])
    if row.sha256 != before:
        read_shared_again(services, session, row)


def _move_samples(session: Session, document_id: str, changes: Changes) -> None:
    """Spans of samples follow their passages; samples that rest on a passage that is gone say so."""
    moves = [
        Move(document_id=document_id, start=old.start, end=old.end, by=new.start - old.start)
        for old, new in changes.kept
    ]
    gone = {chunk.id for chunk in changes.removed}
    for sample in listed(session, SampleRow, rests_on([document_id])):
        spans, lost = moved_spans(sample.provenance["spans"], {document_id}, moves)
        sample.provenance = sample.provenance | {"spans": spans}
        if lost or not gone.isdisjoint(sample.provenance["chunk_ids"]):
            sample.source_deleted = True


def _part(services: Services, context: JobContext, document_id: str, pending: Mapping[str, Any]) -> None:
    """The file has the name alone in common: it becomes a document of its own."""
    with services.store.write() as session:
        hold(session, context.job_id, context.attempt)
        mine = lock(session, DocumentRow, DocumentRow.id == document_id)
        if mine is None or mine.pending != pending:
            return
        own = holder_of(session, mine, pending["sha256"])
        if own is None:
            own = new_document(session, mine.corpus_id, pending["sha256"], pending["bytes"], services.now())
            own.filename, own.title, own.media_type = mine.filename, pending["title"], pending["media_type"]
            own.warnings, own.status = list(pending["warnings"]), "processing"
        told = f"Another file of this name has other content and is the document '{own.id}'."
        keep_revision(mine, {"separate_document_id": own.id}, told)
        own_id = own.id
    ingest_document(services, context, own_id)
