"""The retriever: a question in, the nearest chunks out, with scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from corpora.records import Chunk
from retrieval.embedders import Embedder, Vectors
from retrieval.index import VectorIndex

__all__ = ["Hit", "Retriever", "shown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """A chunk that was found."""

    chunk: Chunk  #: The passage.
    score: float  #: Cosine with the query.


class Retriever:
    """Dense search over chunks; a hit that is no longer among ``chunks`` is dropped."""

    def __init__(self, chunks: Mapping[int, Chunk], index: VectorIndex, embedder: Embedder) -> None:
        self._chunks = chunks
        self._index = index
        self._embedder = embedder
        self._numbers = {chunk.id: number for number, chunk in chunks.items()}

    @classmethod
    def build(cls, chunks: Sequence[Chunk], embedder: Embedder) -> Retriever:
        """A retriever in memory over exactly these chunks."""
        index = VectorIndex(embedder.dimension)
        if chunks:
            index.add(range(len(chunks)), embedder.embed([shown(chunk) for chunk in chunks]))
        return cls(dict(enumerate(chunks)), index, embedder)

    def search(self, query: str, k: int = 5, *, exclude_documents: frozenset[str] = frozenset()) -> list[Hit]:
        """The ``k`` chunks nearest to ``query``, best first."""
        return self._nearest(self._embedder.embed_queries([query])[0], k, exclude_documents, None)

    def neighbours(self, chunk: Chunk, k: int) -> list[Hit]:
        """The ``k`` chunks nearest to ``chunk``, itself left out; one of the retriever's own is not embedded again."""
        number = self._numbers.get(chunk.id)
        own = None if number is None else self._index.vector(number)
        vector = self._embedder.embed([shown(chunk)])[0] if own is None else own
        return self._nearest(vector, k, frozenset(), chunk.id)

    def _nearest(self, vector: Vectors, k: int, exclude: frozenset[str], leave_out: str | None) -> list[Hit]:
        wanted = k + 8
        while True:
            found = self._index.search(vector, wanted)
            hits = [
                Hit(chunk=self._chunks[i], score=score)
                for i, score in found
                if i in self._chunks and self._chunks[i].document_id not in exclude and self._chunks[i].id != leave_out
            ]
            if len(hits) >= k or len(found) < wanted:
                return hits[:k]
            wanted *= 4


def shown(chunk: Chunk) -> str:
    """What is embedded of a chunk: its text, which holds its own heading, below the headings above it."""
    above = [title for title in chunk.headings if title not in chunk.text]
    return "\n".join([*above, chunk.text])
