"""A corpus as LangChain's ``VectorStore``, to be asked by any chain. Needs the extra ``langchain``.

Read-only: documents come through Malmoi, which cuts, indexes and remembers them. Knows no store: whoever has the chunks
gives them as a ``ChunkSource``. Not imported by ``retrieval.index``, because LangChain may not be installed::

    store = CorpusVectorStore(index=index, chunks=source, embedder=embedder)
    retriever = store.as_retriever(search_kwargs={"k": 4, "filter": {"document_id": "doc_1"}})
    chain = {"context": retriever | join, "question": RunnablePassthrough()} | prompt | model

Search types: ``similarity``, ``mmr`` and ``similarity_score_threshold``, whose threshold is a cosine of the embedder.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NoReturn, Protocol

from corpora.errors import InvalidInputError, MalmoiError, MissingExtraError
from corpora.records import Chunk
from retrieval.embedders import Embedder
from retrieval.index import CorpusIndex, Mode, Scored

try:
    from langchain_core.documents import Document
    from langchain_core.vectorstores import VectorStore
except ImportError as error:
    raise MissingExtraError("langchain", "LangChain's vector store over a corpus") from error

__all__ = ["ChunkSource", "CorpusVectorStore", "ReadOnlyIndexError"]

#: Candidates of ``mmr`` unless the caller says: LangChain's own default.
FETCHED = 20


class ReadOnlyIndexError(MalmoiError):
    """This vector store is read-only."""

    code = "read_only_index"
    hint = "Upload or delete the document through Malmoi; the index follows."


class ChunkSource(Protocol):
    """Who has the chunks."""

    def chunks(self, numbers: Sequence[int]) -> Mapping[int, Chunk]:
        """The chunks under these ids of the index; those that are gone are left out."""
        ...

    def numbers(self, document_ids: Collection[str]) -> Collection[int]:
        """Ids of all chunks of these documents; an unknown document has none."""
        ...


class CorpusVectorStore(VectorStore):
    """Searches one corpus."""

    def __init__(self, *, index: CorpusIndex, chunks: ChunkSource, embedder: Embedder, mode: Mode = "hybrid") -> None:
        """Over an index that was built with ``embedder``.

        Args:
            index: The index.
            chunks: Gives the chunk of an id.
            embedder: The one that the index was built with.
            mode: How to search unless a call says ``mode``.
        """
        self._index = index
        self._chunks = chunks
        self._embedder = embedder
        self._mode: Mode = mode

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """The ``k`` best chunks, best first; see ``similarity_search_with_score`` for the arguments."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> list[tuple[Document, float]]:
        """The ``k`` best chunks with their scores, best first; greater is better.

        Args:
            query: The question.
            k: How many; fewer where fewer share anything with the query.
            kwargs: ``filter``: ``{"document_id": id}`` or ``{"document_id": [id, …]}``; ``mode``: hybrid, dense or
                lexical. Scores of dense are cosines, those of the other two have no scale of their own.

        Raises:
            InvalidInputError: another argument, or a filter by anything else.
        """
        return [(_document(chunk), hit.score) for hit, chunk in self._found(query, k, *self._asked(kwargs))]

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = FETCHED, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """As ``similarity_search``, among the ``fetch_k`` best the ``k`` that differ most from each other.

        Args:
            query: The question.
            k: How many.
            fetch_k: How many candidates.
            lambda_mult: From 0 (by difference alone) to 1 (by score alone).
            kwargs: As for ``similarity_search_with_score``.

        Raises:
            InvalidInputError: ``lambda_mult`` is outside 0 to 1, or as for ``similarity_search_with_score``.
        """
        if not 0 <= lambda_mult <= 1:
            raise InvalidInputError(f"lambda_mult is from 0 to 1, not {lambda_mult}.", param="lambda_mult")
        mode, allowed = self._asked(kwargs)
        candidates = {hit.number: chunk for hit, chunk in self._found(query, max(k, fetch_k), mode, allowed)}
        # Scores are standardised over all rows whatever is allowed, so the candidates keep theirs.
        # All are asked for and the first taken: asked for fewer, the index would choose among fewer.
        hits = self._index.search(
            query, len(candidates), self._embedder, mode=mode, allowed=candidates.keys(), diversity=1 - lambda_mult
        )
        return [_document(candidates[hit.number]) for hit in hits[:k]]

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Relevance is the cosine, which has a scale; the order stays that of the mode."""
        found = self._found(query, k, *self._asked(kwargs))
        if any(hit.dense is None for hit, _ in found):
            message = "Lexical scores have no scale for a threshold; ask with mode 'hybrid' or 'dense'."
            raise InvalidInputError(message, param="mode")
        return [(_document(chunk), min(max(hit.dense or 0.0, 0.0), 1.0)) for hit, chunk in found]

    def _asked(self, kwargs: Mapping[str, Any]) -> tuple[Mode, Collection[int] | None]:
        """Mode and allowed ids of a call."""
        unknown = sorted(set(kwargs) - {"filter", "mode"})
        if unknown:
            raise InvalidInputError(f"Unknown argument '{unknown[0]}'; known are filter and mode.", param=unknown[0])
        wanted = kwargs.get("filter")
        allowed = None if wanted is None else self._chunks.numbers(_documents(wanted))
        return _mode(kwargs.get("mode", self._mode)), allowed

    def _found(self, query: str, k: int, mode: Mode, allowed: Collection[int] | None) -> list[tuple[Scored, Chunk]]:
        wanted = k
        while True:
            hits = self._index.search(query, wanted, self._embedder, mode=mode, allowed=allowed)
            chunks = self._chunks.chunks([hit.number for hit in hits])
            found = [(hit, chunks[hit.number]) for hit in hits if hit.number in chunks]
            # The store is the truth: a chunk that it no longer has is left out, and others move up.
            if len(found) >= k or len(hits) < wanted:
                return found[:k]
            wanted *= 2

    def add_texts(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refused.

        Raises:
            ReadOnlyIndexError: always.
        """
        raise ReadOnlyIndexError

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refused.

        Raises:
            ReadOnlyIndexError: always.
        """
        raise ReadOnlyIndexError

    @classmethod
    def from_texts(cls, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refused.

        Raises:
            ReadOnlyIndexError: always.
        """
        raise ReadOnlyIndexError


def _mode(value: object) -> Mode:
    if value == "hybrid" or value == "dense" or value == "lexical":  # noqa: PLR1714 - mypy narrows this form only
        return value
    raise InvalidInputError(f"Mode '{value}' is none of hybrid, dense, lexical.", param="mode")


def _documents(asked: object) -> list[str]:
    """The document ids of a filter."""
    if isinstance(asked, Mapping) and set(asked) == {"document_id"}:
        wanted = asked["document_id"]
        if isinstance(wanted, str):
            return [wanted]
        if isinstance(wanted, list | tuple | set | frozenset) and all(isinstance(one, str) for one in wanted):
            return list(wanted)
    raise InvalidInputError('A filter has the form {"document_id": id} or {"document_id": [id, …]}.', param="filter")


def _document(chunk: Chunk) -> Document:
    return Document(
        id=chunk.id,
        page_content=chunk.text,
        metadata={
            "document_id": chunk.document_id,
            "chunk_id": chunk.id,
            "headings": list(chunk.headings),
            "start": chunk.start,
            "end": chunk.end,
        },
    )
