"""The index job of a corpus: it reads what is new, brings the index up to the store, tells which documents are alike.

One document is read by ``ingest``, a zip by ``archives``, what comes again by ``revising`` and ``archive_revisions``;
the index itself is ``corpus_index``'s, who asks it is ``searching``. With another embedder named, the job embeds every
chunk anew while search goes on with the old index.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from app.jobs.kinds import JobContext, JobOutcome
from app.services.archive_revisions import revise_archive, wait_as_fetched
from app.services.archives import ingest_archive
from app.services.context import Services
from app.services.corpus_index import Built, build
from app.services.document_states import BATCH, fail, failure, read_conditions, unread_conditions
from app.services.documents import ARCHIVE
from app.services.ingest import fail_document, fetch_document, ingest_document
from app.services.parsing import is_archive
from app.services.revising import revise_document
from app.services.similar_documents import tell_similar
from app.store.disk import DiskFullError, is_disk_full
from app.store.jobs import LostLeaseError, hold
from app.store.queries import Session, change, find, values
from app.store.tables import CorpusRow, DocumentRow
from corpora.errors import UnreadableDocumentError

__all__ = ["IndexParams", "run_index"]

#: Deaths of workers in a row after which the document that was being read is taken for the reason.
FATAL_CRASHES = 2


class _WorkerDiedError(UnreadableDocumentError):
    """The worker died twice while it read this document: it is damaged, or takes more memory than there is."""

    code = "worker_crashed"
    hint = "Split it, or give the service more memory; then upload it again."


class IndexParams(BaseModel):
    """What an index job is asked."""

    corpus_id: str
    embedder: str | None = None  #: As EMBEDDER is written; None keeps the corpus's own.


def run_index(services: Services, context: JobContext, params: IndexParams) -> JobOutcome:
    """Read the documents that are not read yet, then bring the index file up to the store.

    A killed attempt is followed by one that goes on behind the last document that was read.
    """
    corpus_id = params.corpus_id
    with services.store.read() as session:
        if find(session, CorpusRow, CorpusRow.id == corpus_id) is None:  # deleted meanwhile: nothing is left to index
            return JobOutcome(status="succeeded", result={"documents": 0})
        waiting = [document_id for _, document_id in _numbered(session, unread_conditions(corpus_id))]
    if params.embedder is not None:
        # Documents that wait have a job of their own: another embedder that fails is no fault of theirs.
        return _told(context, 0, build(services, context, corpus_id, params.embedder))
    try:
        if not _read_all(services, context, waiting):
            return JobOutcome(status="cancelled", result={"documents": 0})
        built = build(services, context, corpus_id)
        if built.stopped:
            return JobOutcome(status="cancelled", result={"documents": 0})
        tell_similar(services, context, corpus_id)
    except LostLeaseError:
        raise
    except Exception as exc:
        _fail_all(services, context, corpus_id, waiting, exc)
        raise
    return _told(context, _finish(services, context, corpus_id), built)


def _told(context: JobContext, done: int, built: Built) -> JobOutcome:
    if built.stopped:
        return JobOutcome(status="cancelled", result={"documents": done})
    told = {"documents": done, "chunks": built.chunks, "added": built.added, "removed": built.removed}
    context.event("info", f"색인을 마쳤습니다: 문서 {done}개, 청크 {built.chunks}개", data=told)
    return JobOutcome(status="succeeded", result=told)


def _numbered(session: Session, conditions: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    return values(session, [DocumentRow.seq, DocumentRow.id], *conditions)


def _read_all(services: Services, context: JobContext, document_ids: Sequence[str]) -> bool:
    """Read each document; False where somebody asked the job to stop.

    The document of which the worker died twice is told as failed, so that the others get their turn: from the second
    attempt on each is named in the job's progress before it is read.
    """
    job = services.jobs.get(context.job_id)
    fatal = job.progress.get("document") if job.crashes >= FATAL_CRASHES else None
    crashed = job.crashes > 0
    for document_id in document_ids:
        if context.should_stop():
            return False
        if document_id == fatal:
            fail_document(services, context, document_id, _WorkerDiedError())
        else:
            if crashed:
                context.progress({"document": document_id})
            _read(services, context, document_id)
        if crashed:
            context.advanced()
            context.progress({})
            crashed = False
    return not context.should_stop()


def _read(services: Services, context: JobContext, document_id: str) -> None:
    """Fetch and read one document or all documents of a zip; what fails says so on its row."""
    if not fetch_document(services, context, document_id):
        return
    with services.store.read() as session:
        row = find(session, DocumentRow, DocumentRow.id == document_id, DocumentRow.status == "processing")
    if row is None:
        return  # deleted meanwhile
    if row.pending is not None and row.media_type == ARCHIVE:
        revise_archive(services, context, document_id)
    elif row.pending is not None:
        revise_document(services, context, document_id)
    elif row.encoding is not None:
        return  # read as a member of its zip
    elif is_archive(row.filename, row.media_type or None):
        if wait_as_fetched(services, context, document_id):
            revise_archive(services, context, document_id)
        else:
            ingest_archive(services, context, document_id)
    else:
        ingest_document(services, context, document_id)


def _finish(services: Services, context: JobContext, corpus_id: str) -> int:
    """What was read is in the index now; returns how many documents that are."""
    with services.store.read() as session:
        ids = [document_id for _, document_id in _numbered(session, read_conditions(corpus_id))]
    for start in range(0, len(ids), BATCH):
        with services.store.write() as session:
            hold(session, context.job_id, context.attempt)
            some = DocumentRow.id.in_(ids[start : start + BATCH])
            change(session, DocumentRow, some, DocumentRow.status == "processing", status="processed")
    return len(ids)


def _fail_all(services: Services, context: JobContext, corpus_id: str, waiting: Sequence[str], exc: Exception) -> None:
    """Say on the documents that their index job failed; uploading them again tries once more."""
    with services.store.read() as session:
        read = [document_id for _, document_id in _numbered(session, read_conditions(corpus_id))]
    ids = list(dict.fromkeys([*waiting, *read]))
    error = failure(exc, context.job_id)
    try:
        for start in range(0, len(ids), BATCH):
            with services.store.write() as session:
                hold(session, context.job_id, context.attempt)
                fail(session, ids[start : start + BATCH], error)
    except Exception as second:
        # No room for saying so either: the documents wait, and the next attempt finds them.
        if not is_disk_full(second):
            raise
    if is_disk_full(exc):
        raise DiskFullError() from exc
