"""Corpora, documents, chunks and what a search finds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.api.schemas.common import Answer, JobError, Seconds, Status

__all__ = ["Chunk", "Corpus", "CorpusDeleted", "CorpusIndexBody", "Document", "DocumentDeleted", "SearchResult"]


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


class Member(Answer):
    """A file of a zip."""

    document_id: str
    filename: str


class DocumentChanges(Answer):
    """What the newest file of a document's name came to. Counts and chunks stand there where it became a revision.

    Of a zip its members are told; the chunks of each stand in the member's own `changes`.
    """

    revision: int | None = Field(description="The revision that it became; null where the earlier one stays.")
    sha256: str = Field(description="Of the bytes before; where the earlier revision stays, of those not taken.")
    added: list[str] = Field(default=[], description="Chunks that are new.")
    removed: list[str] = Field(default=[], description="Chunks that are gone.")
    kept: int = Field(default=0, description="Chunks of equal text and headings; they keep id and vector.")
    moved: int = Field(default=0, description="Of the kept ones, those at another place.")
    members_added: list[Member] = Field(default=[], description="Of a zip: files that are new.")
    members_changed: list[Member] = Field(default=[], description="Files with other bytes or another name.")
    members_removed: list[Member] = Field(
        default=[], description="Files that are gone: deleted, or moved to another zip that holds them too."
    )
    members_kept: int = Field(default=0, description="Files that stayed as they were.")
    error: JobError | None = Field(default=None, description="Why it was not taken, or is not searched yet.")
    separate_document_id: str | None = Field(
        default=None, description="The document that it became because it is another text under the same name."
    )
    same_as: str | None = Field(default=None, description="Another document that has the same bytes.")


class SimilarDocument(Answer):
    """A document of the corpus that says nearly the same."""

    document_id: str
    filename: str
    share: float = Field(description="Share of this document's sentences that the other one has too, by their length.")
    other_share: float = Field(description="Share of the other one's sentences that this one has.")


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
    error: JobError | None = Field(description="Why it failed; uploading the same bytes again tries once more.")
    url: str | None = Field(description="Where it was fetched from.")
    archive_id: str | None = Field(description="The zip that it was taken out of, itself a document.")
    documents: int | None = Field(description="Of a zip, how many documents were made of it; it has no text itself.")
    encoding: str | None = Field(description="How the bytes were read; `binary` for formats that are no text.")
    language: str | None = Field(description="By its script, as in BCP 47: `ko`, `ja`, `zh`, `und-Latn`, `und`.")
    revision: int = Field(description="Grows when another upload of the same file name takes its place.")
    changes: DocumentChanges | None = Field(description="What the last revision changed; null for the first.")
    similar: list[SimilarDocument] = Field(description="Documents of the corpus that say nearly the same.")
    characters: int
    chunk_count: int
    warnings: list[str]
    heldout: bool = Field(description="Whether it is kept out of training data.")


class DocumentDeleted(Answer):
    """A document that is gone, the datasets that hold samples made from it, and the adapters trained on those."""

    id: str
    object: Literal["document"]
    deleted: Literal[True]
    datasets: list[str]
    adapters: list[str]


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
    place: str | None = Field(description="Page, slide, sheet or file that it begins on: `page 3`, `sheet 재고`.")


class Hit(Answer):
    """A passage that was found."""

    chunk: Chunk
    score: float = Field(description="Orders the hits of one query; compares with no other query's.")
    document_id: str
    dense: float | None = Field(description="Cosine with the query; null in `lexical` mode.")
    lexical: float | None = Field(description="Sum of BM25 over morphemes and character n-grams; null in `dense` mode.")


class SearchResult(Answer):
    """The nearest passages, best first."""

    data: list[Hit]


class IndexJob(Answer):
    """A job that reads documents and brings the index up to them."""

    id: str
    object: Literal["index.job"]
    created_at: Seconds
    status: Status
    embedder: str | None = Field(description="What it embeds all chunks with; null for what is new only.")
    progress: dict[str, int]
    result: dict[str, int] | None
    error: JobError | None
    finished_at: Seconds | None


class CorpusIndexBody(Answer):
    """The index of a corpus."""

    object: Literal["corpus.index"]
    id: str
    created_at: Seconds
    corpus_id: str
    status: Literal["empty", "ready"]
    embedder: str | None = Field(description="What embedded it, as the setting `EMBEDDER` is written.")
    fingerprint: str | None
    generation: int
    chunks: int
    job: IndexJob | None
