"""Tables of corpora: documents, their chunks, and vectors that were paid for."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.store.table_base import AUTO, CASCADE, Base, Seq

__all__ = ["ChunkRow", "CorpusRow", "DocumentRow", "DocumentUnitsRow", "EmbeddingRow"]


class CorpusRow(Base):
    """A named set of documents."""

    __tablename__ = "corpora"
    seq: Mapped[int] = mapped_column(Seq, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    description: Mapped[str]
    language: Mapped[str]
    created_at: Mapped[float]
    #: Grows with every index build; readers reload when theirs differs.
    index_generation: Mapped[int] = mapped_column(default=0)
    #: The embedder that built the index, as the setting EMBEDDER names it; None before the first build.
    embedder: Mapped[str | None]
    #: Fingerprint of that embedder; the index's folder.
    embedder_fingerprint: Mapped[str | None]
    #: The default embedder's frozen state (idf), or None before the first build.
    embedder_state: Mapped[dict[str, Any] | None]
    #: Set when documents are assigned to the test split for the first time.
    heldout_fraction: Mapped[float | None]


class DocumentRow(Base):
    """One uploaded document and its decoded text."""

    __tablename__ = "documents"
    __table_args__ = (UniqueConstraint("corpus_id", "sha256"), AUTO)
    seq: Mapped[int] = mapped_column(Seq, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    corpus_id: Mapped[str] = mapped_column(ForeignKey("corpora.id", ondelete=CASCADE), index=True)
    filename: Mapped[str]
    title: Mapped[str]
    media_type: Mapped[str]
    bytes: Mapped[int]
    sha256: Mapped[str]
    status: Mapped[str]
    error: Mapped[dict[str, Any] | None]
    #: Where it was fetched from, for a URL document.
    url: Mapped[str | None]
    #: The zip that it was taken out of; the zip is a document of its own, without chunks.
    archive_id: Mapped[str | None] = mapped_column(index=True)
    #: Of a zip, members whose bytes are a document of another zip or of their own: [[document id, name in this zip]].
    shared: Mapped[list[Any]] = mapped_column(default=list)
    #: How the bytes were read, and the language of the text (BCP 47); None until it is parsed.
    encoding: Mapped[str | None]
    language: Mapped[str | None]
    #: Grows when another upload of the same file name takes this one's place.
    revision: Mapped[int] = mapped_column(default=1)
    #: A newer file of this name that is to take its place: sha256, bytes, media_type, title, warnings; until the index
    #: job has read it, the earlier text and chunks stay. Of a zip that the job has begun also ``members``, as they
    #: were before: {document id: [sha256, name]}.
    pending: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    #: What the last revision changed: ids of chunks added and removed, how many were kept; of a zip its members; None
    #: for the first.
    changes: Mapped[dict[str, Any] | None]
    #: Documents of the corpus that say nearly the same: [{document_id, filename, share}].
    similar: Mapped[list[Any]] = mapped_column(default=list)
    #: Where pages, slides, sheets and files begin: [[offset, label]].
    marks: Mapped[list[Any]] = mapped_column(default=list, deferred=True)
    #: Read only where it is asked for: a page of a hundred documents would otherwise hold all their texts.
    text: Mapped[str] = mapped_column(deferred=True)
    characters: Mapped[int]
    chunk_count: Mapped[int]
    warnings: Mapped[list[Any]]
    #: Side of the hold-out; None until the first generation job that reads the document decides it, for good.
    heldout: Mapped[bool | None]
    created_at: Mapped[float]


class ChunkRow(Base):
    """A passage; ``seq`` is its id in the FAISS file."""

    __tablename__ = "chunks"
    seq: Mapped[int] = mapped_column(Seq, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    corpus_id: Mapped[str] = mapped_column(ForeignKey("corpora.id", ondelete=CASCADE), index=True)
    document_id: Mapped[str] = mapped_column(ForeignKey("documents.id", ondelete=CASCADE), index=True)
    index: Mapped[int]
    text: Mapped[str]
    start: Mapped[int]
    end: Mapped[int]
    headings: Mapped[list[Any]]
    #: Page, slide, sheet or file that it begins on (``page 3``); None where the format has none.
    place: Mapped[str | None]


class DocumentUnitsRow(Base):
    """The sentences of a document as hashes, so that documents are compared without reading every chunk again."""

    __tablename__ = "document_units"
    __table_args__ = ()
    document_id: Mapped[str] = mapped_column(ForeignKey("documents.id", ondelete=CASCADE), primary_key=True)
    corpus_id: Mapped[str] = mapped_column(index=True)
    #: Of the document whose text they are; a newer revision has another one.
    sha256: Mapped[str]
    #: As ``retrieval.similar_documents.packed`` writes them.
    units: Mapped[bytes] = mapped_column(LargeBinary)


class EmbeddingRow(Base):
    """The vector that a model gave a text, so that no text is sent twice; float32, little endian."""

    __tablename__ = "embeddings"
    __table_args__ = ()
    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    #: SHA-256 of the text as it was sent, prefix included.
    text_sha256: Mapped[str] = mapped_column(primary_key=True)
    vector: Mapped[bytes] = mapped_column(LargeBinary)
