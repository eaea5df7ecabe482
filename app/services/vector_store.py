"""A corpus of the service as a LangChain vector store, for programs that open its data folder themselves.

Use::

    retriever = vector_store(services, corpus_id).as_retriever(search_kwargs={"k": 4})

Read-only: documents come and go over the service. The index is the one that stands when the store is made; chunks that
were deleted since are left out. Needs the extra ``langchain``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from app.services.context import Services
from app.services.corpora import require_corpus
from app.services.corpus_index import chunk_record
from app.services.document_states import BATCH
from app.services.searching import current_index
from app.store.queries import listed, values
from app.store.tables import ChunkRow
from corpora.records import Chunk

if TYPE_CHECKING:
    from retrieval.index.langchain_store import CorpusVectorStore

__all__ = ["vector_store"]


class _StoredChunks:
    """The chunks of one corpus, read from the store as they are asked for."""

    def __init__(self, services: Services, corpus_id: str) -> None:
        self._services = services
        self._corpus_id = corpus_id

    def chunks(self, numbers: Sequence[int]) -> Mapping[int, Chunk]:
        """Those that are still there, by number."""
        found: dict[int, Chunk] = {}
        with self._services.store.read() as session:
            for start in range(0, len(numbers), BATCH):
                some = ChunkRow.seq.in_(list(numbers[start : start + BATCH]))
                rows = listed(session, ChunkRow, ChunkRow.corpus_id == self._corpus_id, some)
                found.update({row.seq: chunk_record(row) for row in rows})
        return found

    def numbers(self, document_ids: Collection[str]) -> Collection[int]:
        """The numbers of all chunks of these documents."""
        with self._services.store.read() as session:
            of_corpus = (ChunkRow.corpus_id == self._corpus_id, ChunkRow.document_id.in_(list(document_ids)))
            return {seq for (seq,) in values(session, [ChunkRow.seq], *of_corpus)}


def vector_store(services: Services, corpus_id: str) -> CorpusVectorStore:
    """The corpus's index as LangChain sees one.

    Raises:
        MissingExtraError: langchain-core is not installed.
        NotFoundError: there is no such corpus.
        UnavailableError: its index is being built.
    """
    from retrieval.index.langchain_store import CorpusVectorStore

    with services.store.read() as session:
        corpus = require_corpus(session, corpus_id)
    index, embedder = current_index(services, corpus)
    return CorpusVectorStore(index=index, chunks=_StoredChunks(services, corpus_id), embedder=embedder)
