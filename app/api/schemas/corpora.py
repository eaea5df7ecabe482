"""Corpora, documents, chunks and what a search finds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.api.schemas.common import Answer, JobError, Seconds

__all__ = ["Chunk", "Corpus", "CorpusDeleted", "Document", "DocumentDeleted", "SearchResult"]


class Corpus(Answer):
    """A named set of documents."""

    id: str
    object: Literal["corpus"]
    created_at: Seconds
    name: str
    description: str
    language: Literal["ko"]
    document_count: int


class CorpusDeleted(Answer):
    """A corpus that is gone."""

    id: str
    object: Literal["corpus"]
    deleted: Literal[True]


class Document(Answer):
    """An uploaded document."""

    id: str
    object: Literal["document"]
    created_at: Seconds
    corpus_id: str
    filename: str
    title: str
    media_type: str
    bytes: int
    sha256: str
    status: Literal["processing", "processed", "failed"]
    error: JobError | None
    characters: int
    chunk_count: int
    warnings: list[str]
    heldout: bool = Field(description="Whether it is kept out of training data.")


class DocumentDeleted(Answer):
    """A document that is gone, and the datasets that hold samples made from it."""

    id: str
    object: Literal["document"]
    deleted: Literal[True]
    datasets: list[str]


class Chunk(Answer):
    """A passage: `text` is the document's text from `start` to `end`."""

    id: str
    object: Literal["chunk"]
    created_at: Seconds = Field(description="Its document's.")
    document_id: str
    index: int
    text: str
    start: int
    end: int
    headings: list[str]


class Hit(Answer):
    """A passage that was found."""

    chunk: Chunk
    score: float = Field(gt=0, description="Similarity to the query, at most about 1.")
    document_id: str


class SearchResult(Answer):
    """The nearest passages, best first."""

    data: list[Hit]
