"""Search: the chunks of a corpus that answer a question best, from the index that the store names.

A hit that is not in the store any more is dropped, so a deletion counts at once. The index is a cache: where it is
missing or broken the job that builds it again is queued, and the client is told to wait.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.services.chunks import chunk_body
from app.services.context import Services
from app.services.corpora import require_corpus, submit_index
from app.services.corpus_index import corpus_embedder, index_folder
from app.services.document_states import BATCH, processing
from app.store.queries import Session, find, listed, values
from app.store.tables import ChunkRow, CorpusRow, DocumentRow, JobRow
from corpora.errors import InvalidInputError, UnavailableError
from retrieval.embedders import Embedder
from retrieval.index import BrokenIndexError, CorpusIndex, Mode, Scored

__all__ = ["current_index", "opened", "search_corpus"]


def search_corpus(
    services: Services,
    corpus_id: str,
    query: str,
    k: int,
    *,
    mode: Mode = "hybrid",
    document_ids: Sequence[str] | None = None,
    diversity: float | None = None,
) -> list[dict[str, Any]]:
    """At most ``k`` chunks, best first; what shares nothing with the query is no hit.

    Args:
        services: The opened services.
        corpus_id: Where to look.
        query: The question.
        k: How many.
        mode: By words and meaning, by meaning, or by words.
        document_ids: Only in these documents of the corpus; a zip stands for its members.
        diversity: From 0 to 1, how much passages that say the same are pushed back; None ranks by score alone.

    Returns:
        ``{chunk, score, document_id, dense, lexical}`` each; ``score`` orders the hits of one query and compares with
        no other query's, ``dense`` is the cosine, ``lexical`` the sum of both BM25 scores, None where not asked.

    Raises:
        NotFoundError: there is no such corpus.
        InvalidInputError: a document is not in the corpus.
        UnavailableError: documents are there but their index is not built yet (``index_building``).
    """
    with services.store.read() as session:
        corpus = require_corpus(session, corpus_id)
        allowed = None if document_ids is None else _chunks_of(session, corpus_id, document_ids)
        if corpus.embedder_fingerprint is None:
            if not listed(session, DocumentRow, *processing(corpus_id), limit=1):
                return []
            raise UnavailableError(
                f"The first index of '{corpus_id}' is being built; try again in some seconds.", code="index_building"
            )
    # No transaction is open while an embedder is asked: it may be slow, and be somebody else's.
    index, embedder = current_index(services, corpus)
    hits = index.search(query, k, embedder, mode=mode, allowed=allowed, diversity=diversity)
    with services.store.read() as session:
        rows = _stored(session, hits)
        if len(rows) == len(hits):
            return _told(session, hits, rows)
        # Something was deleted since this index was written: look among what is left.
        left = {seq for (seq,) in values(session, [ChunkRow.seq], ChunkRow.corpus_id == corpus_id)}
    allowed = left if allowed is None else left & set(allowed)
    hits = index.search(query, k, embedder, mode=mode, allowed=allowed, diversity=diversity)
    with services.store.read() as session:
        return _told(session, hits, _stored(session, hits))


def _told(session: Session, hits: Sequence[Scored], rows: dict[int, ChunkRow]) -> list[dict[str, Any]]:
    found = [(rows[hit.number], hit) for hit in hits if hit.number in rows]
    documents = listed(session, DocumentRow, DocumentRow.id.in_({row.document_id for row, _ in found}))
    made = {row.id: row.created_at for row in documents}
    return [
        {
            "chunk": chunk_body(row, made[row.document_id]),
            "score": hit.score,
            "document_id": row.document_id,
            "dense": hit.dense,
            "lexical": hit.lexical,
        }
        for row, hit in found
        if row.document_id in made
    ]


def _chunks_of(session: Session, corpus_id: str, document_ids: Sequence[str]) -> Collection[int]:
    """Numbers of the chunks of these documents and of the members of these zips."""
    found: set[int] = set()
    for document_id in dict.fromkeys(document_ids):
        row = find(session, DocumentRow, DocumentRow.id == document_id, DocumentRow.corpus_id == corpus_id)
        if row is None:
            raise InvalidInputError(
                f"There is no document '{document_id}' in '{corpus_id}'.",
                param="document_ids",
                code="document_not_found",
            )
        members = [one for (one,) in values(session, [DocumentRow.id], DocumentRow.archive_id == document_id)]
        for start in range(0, len(members) + 1, BATCH):
            some = [document_id, *members][start : start + BATCH]
            found.update(seq for (seq,) in values(session, [ChunkRow.seq], ChunkRow.document_id.in_(some)))
    return found


class _Opened:
    """The newest index of one corpus that was asked for; its earlier generations leave the memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._index: tuple[Path, Embedder, CorpusIndex] | None = None

    def open(self, folder: Path, embedder: Embedder) -> CorpusIndex:
        """The index in ``folder``; a new generation has a new name, so what is remembered never goes stale."""
        with self._lock:
            if self._index is None or self._index[:2] != (folder, embedder):
                self._index = (folder, embedder, CorpusIndex.load(folder, embedder))
            return self._index[2]


@lru_cache(maxsize=16)
def opened(_folder_of_corpus: Path) -> _Opened:
    """What this process remembers of a corpus; of 16 at once."""
    return _Opened()


def current_index(services: Services, corpus: CorpusRow) -> tuple[CorpusIndex, Embedder]:
    """The corpus's index and its embedder; one that is missing or broken is a cache to build again, and said so.

    Raises:
        UnavailableError: it must be built again; the job for it is queued.
    """
    if not _folder(services, corpus).is_dir():
        # Another generation may have come between reading the row and looking for the folder.
        with services.store.read() as session:
            corpus = require_corpus(session, corpus.id)
    embedder = corpus_embedder(services, corpus)
    try:
        if embedder is None:
            raise BrokenIndexError(f"'{corpus.id}' has no index.")
        folder = _folder(services, corpus)
        return opened(folder.parent.parent).open(folder, embedder), embedder
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


def _folder(services: Services, corpus: CorpusRow) -> Path:
    return index_folder(services, corpus.id, corpus.embedder_fingerprint or "none", corpus.index_generation)


def _stored(session: Session, hits: Sequence[Scored]) -> dict[int, ChunkRow]:
    """The rows of hits that are still in the store, by number."""
    wanted = [hit.number for hit in hits]
    rows: dict[int, ChunkRow] = {}
    for start in range(0, len(wanted), BATCH):
        found = listed(session, ChunkRow, ChunkRow.seq.in_(wanted[start : start + BATCH]))
        rows.update({row.seq: row for row in found})
    return rows
