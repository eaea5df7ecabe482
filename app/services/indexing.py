"""The index of a corpus: a job chunks and embeds what is new; readers open the file that the store names.

The store is the truth, the FAISS file a cache of it: ``<fingerprint>/<generation>.faiss`` under the corpus's folder.
The id in the file is ``ChunkRow.seq``; a hit that is not in the store is dropped, so a deletion counts at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from app.jobs.kinds import JobContext, JobOutcome
from app.services.chunks import chunk_body
from app.services.context import Services
from app.services.corpora import require_corpus, submit_index
from app.store.jobs import LostLeaseError, hold
from app.store.queries import Session, change, find, listed, lock, remove
from app.store.tables import ChunkRow, CorpusRow, DocumentRow, JobRow
from corpora.errors import MalmoiError, UnavailableError
from corpora.records import Chunk, Document
from retrieval.chunking import chunk_document
from retrieval.embedders import HashedEmbedder
from retrieval.index import BrokenIndexError, VectorIndex
from retrieval.retriever import shown

__all__ = ["IndexParams", "chunk_record", "corpus_embedder", "index_path", "run_index", "search_corpus"]

#: Rows written in one transaction at most; longer ones starve heartbeats on SQLite.
BATCH = 500


class IndexParams(BaseModel):
    """What an index job is asked."""

    corpus_id: str


def chunk_record(row: ChunkRow) -> Chunk:
    """A stored chunk as the record that the other rooms know."""
    return Chunk(
        id=row.id,
        document_id=row.document_id,
        index=row.index,
        text=row.text,
        start=row.start,
        end=row.end,
        headings=tuple(row.headings),
    )


def _processing(corpus_id: str) -> tuple[Any, ...]:
    return DocumentRow.corpus_id == corpus_id, DocumentRow.status == "processing"


def index_path(services: Services, corpus: CorpusRow) -> Path:
    """Where the corpus's current index file lies."""
    folder = (corpus.embedder_fingerprint or "none").replace("/", "_").replace(":", "_")
    return services.folder("indexes", corpus.id, folder) / f"{corpus.index_generation}.faiss"


def corpus_embedder(corpus: CorpusRow) -> HashedEmbedder | None:
    """The embedder that built the corpus's index, or None before the first build."""
    return HashedEmbedder.from_json(corpus.embedder_state) if corpus.embedder_state else None


def run_index(services: Services, context: JobContext, params: IndexParams) -> JobOutcome:
    """Chunk the documents that are not processed yet, then bring the index file up to the store."""
    with services.store.read() as session:
        corpus = find(session, CorpusRow, CorpusRow.id == params.corpus_id)
        if corpus is None:  # deleted meanwhile: nothing is left to index
            return JobOutcome(status="succeeded", result={"documents": 0})
        pending = listed(session, DocumentRow, *_processing(corpus.id))
        waiting = [row.id for row in pending]
    counts: dict[str, int] = {}
    try:
        for document_id in waiting:
            if context.should_stop():
                return JobOutcome(status="cancelled", result={"documents": len(counts)})
            count = _chunk(services, context, document_id)
            if count is not None:
                counts[document_id] = count
        size = _build(services, context, params.corpus_id)
    except LostLeaseError:
        raise
    except Exception as exc:
        _fail(services, context, waiting, exc)
        raise
    for start in range(0, len(counts), BATCH):
        with services.store.write() as session:
            hold(session, context.job_id, context.attempt)
            for document_id in list(counts)[start : start + BATCH]:
                change(
                    session,
                    DocumentRow,
                    DocumentRow.id == document_id,
                    DocumentRow.status == "processing",
                    status="processed",
                    chunk_count=counts[document_id],
                )
    context.event(
        "info",
        f"색인을 마쳤습니다: 문서 {len(counts)}개, 청크 {size}개",
        data={"documents": len(counts), "chunks": size},
    )
    return JobOutcome(status="succeeded", result={"documents": len(counts), "chunks": size})


def _fail(services: Services, context: JobContext, document_ids: Sequence[str], exc: Exception) -> None:
    """Say on the documents that their index job failed; uploading them again, or any other, tries once more."""
    code = exc.code if isinstance(exc, MalmoiError) else "internal_error"
    error = {
        "code": code,
        "message": f"The index job {context.job_id} failed: {exc}",
        "hint": "Delete the document and upload it again.",
    }
    for start in range(0, len(document_ids), BATCH):
        with services.store.write() as session:
            hold(session, context.job_id, context.attempt)
            some = DocumentRow.id.in_(document_ids[start : start + BATCH])
            change(session, DocumentRow, some, DocumentRow.status == "processing", status="failed", error=error)


def _chunk(services: Services, context: JobContext, document_id: str) -> int | None:
    """Cut one document and store its chunks; None when it failed or is gone."""
    with services.store.read() as session:
        row = find(session, DocumentRow, DocumentRow.id == document_id)
        if row is None:
            return None
        document = Document(id=row.id, title=row.title, text=row.text, media_type=row.media_type)
        corpus_id = row.corpus_id
    try:
        chunks = chunk_document(document)
    except MalmoiError as exc:
        _fail(services, context, [document_id], exc)
        return None
    with services.store.write() as session:
        hold(session, context.job_id, context.attempt)
        remove(session, ChunkRow, ChunkRow.document_id == document_id)
    for start in range(0, len(chunks), BATCH):
        with services.store.write() as session:
            hold(session, context.job_id, context.attempt)
            if lock(session, DocumentRow, DocumentRow.id == document_id) is None:
                return None  # deleted meanwhile, its chunks with it
            session.add_all(
                ChunkRow(
                    id=c.id,
                    corpus_id=corpus_id,
                    document_id=c.document_id,
                    index=c.index,
                    text=c.text,
                    start=c.start,
                    end=c.end,
                    headings=list(c.headings),
                )
                for c in chunks[start : start + BATCH]
            )
    return len(chunks)


def _build(services: Services, context: JobContext, corpus_id: str) -> int:
    """Write the next generation of the index file from the store; returns the number of chunks in it."""
    with services.store.read() as session:
        corpus = find(session, CorpusRow, CorpusRow.id == corpus_id)
        if corpus is None:
            return 0
        rows = listed(session, ChunkRow, ChunkRow.corpus_id == corpus_id)
        texts: dict[int, str] = {row.seq: shown(chunk_record(row)) for row in rows}
        embedder = corpus_embedder(corpus)
        old_path = index_path(services, corpus)
        generation = corpus.index_generation
    if not texts:
        return 0
    index = None
    if embedder is None:
        embedder = HashedEmbedder.fit(list(texts.values()))
    elif old_path.is_file():
        index = _load(context, old_path)
    if index is None:
        index = VectorIndex(embedder.dimension)
    known = set(index.ids())
    index.remove(sorted(known - texts.keys()))
    missing = sorted(texts.keys() - known)
    if missing:
        index.add(missing, embedder.embed([texts[seq] for seq in missing]))
    with services.store.read() as session:
        corpus = require_corpus(session, corpus_id)
        corpus.embedder_fingerprint, corpus.index_generation = embedder.fingerprint, generation + 1
        new_path = index_path(services, corpus)
        session.expunge(corpus)
    index.save(new_path)
    with services.store.write(durable=True) as session:
        hold(session, context.job_id, context.attempt)
        change(
            session,
            CorpusRow,
            CorpusRow.id == corpus_id,
            index_generation=generation + 1,
            embedder_fingerprint=embedder.fingerprint,
            embedder_state=embedder.to_json(),
        )
    _sweep(services.folder("indexes", corpus_id), keep={old_path, new_path})
    return len(texts)


def _load(context: JobContext, path: Path) -> VectorIndex | None:
    """The index file, or None for a broken one: it is a cache and is built again."""
    try:
        return VectorIndex.load(path)
    except BrokenIndexError as exc:
        context.event("warn", f"색인 파일을 읽을 수 없어 다시 만듭니다: {exc.message}", data={"code": exc.code})
        return None


def _sweep(folder: Path, keep: set[Path]) -> None:
    """Remove older generations; the one before the current stays for readers that have just looked up its name."""
    for path in folder.glob("*/*.faiss"):
        if path not in keep:
            path.unlink(missing_ok=True)


@lru_cache(maxsize=16)
def _open_index(path: Path) -> VectorIndex:
    """The index file at ``path``; a new generation has a new name, so an entry never goes stale."""
    return VectorIndex.load(path)


def _current_index(services: Services, session: Session, corpus: CorpusRow) -> VectorIndex:
    """The corpus's index; a file that is missing or broken is a cache to build again, and said so.

    Raises:
        UnavailableError: it must be built again; the job for it is queued.
    """
    path = index_path(services, corpus)
    if not path.is_file():
        # Another generation may have come between reading the row and looking for the file.
        session.refresh(corpus)
        path = index_path(services, corpus)
    try:
        return _open_index(path)
    except BrokenIndexError as exc:
        with services.store.write() as writing:
            queued = (JobRow.kind == "index", JobRow.status.in_(("queued", "running")))
            waiting = listed(writing, JobRow, *queued)
            if not any(job.params["corpus_id"] == corpus.id for job in waiting):
                submit_index(services, writing, corpus.id)
        services.wake()
        raise UnavailableError(
            f"The index of '{corpus.id}' is being built again; try again in some seconds.", code="index_building"
        ) from exc


def search_corpus(services: Services, corpus_id: str, query: str, k: int) -> list[dict[str, Any]]:
    """At most ``k`` chunks nearest to ``query``, best first; what shares nothing with it is no hit.

    Raises:
        UnavailableError: documents are there but their index is not built yet (``index_building``).
    """
    with services.store.read() as session:
        corpus = require_corpus(session, corpus_id)
        embedder = corpus_embedder(corpus)
        if embedder is None:
            if not listed(session, DocumentRow, *_processing(corpus_id), limit=1):
                return []
            raise UnavailableError(
                f"The first index of '{corpus_id}' is being built; try again in some seconds.", code="index_building"
            )
        index = _current_index(services, session, corpus)
        vector = embedder.embed([query])[0]
        # The cosine of two texts that share nothing is 0.
        hits = [hit for hit in index.search(vector, k) if hit[1] > 0]
        rows = _stored(session, hits)
        if len(rows) < min(k, len(hits)):
            # Something was deleted since this file was written: look through all of it.
            hits = [hit for hit in index.search(vector, len(index)) if hit[1] > 0]
            rows = _stored(session, hits)
        found = [(rows[seq], score) for seq, score in hits if seq in rows][:k]
        documents = listed(session, DocumentRow, DocumentRow.id.in_({row.document_id for row, _ in found}))
        made = {row.id: row.created_at for row in documents}
        return [
            {"chunk": chunk_body(row, made[row.document_id]), "score": score, "document_id": row.document_id}
            for row, score in found
            if row.document_id in made
        ]


def _stored(session: Session, hits: list[tuple[int, float]]) -> dict[int, ChunkRow]:
    """The rows of hits that are still in the store, by id in the index file."""
    wanted = [seq for seq, _ in hits]
    rows: dict[int, ChunkRow] = {}
    for start in range(0, len(wanted), BATCH):
        found = listed(session, ChunkRow, ChunkRow.seq.in_(wanted[start : start + BATCH]))
        rows.update({row.seq: row for row in found})
    return rows
