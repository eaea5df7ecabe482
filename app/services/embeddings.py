"""``/v1/embeddings``: texts to vectors with the embedder that the settings name, in OpenAI's shape.

Texts are embedded as passages, with the model's own prefix where it has one. The default embedder weighs words by how
rare they are in a corpus: with ``corpus_id`` vectors can be compared with that corpus's index, without it every word
weighs the same.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.services.context import Services
from app.services.corpora import require_corpus
from app.services.embedders import embedder_for
from app.services.labels import Identifier, Storable
from corpora.errors import InvalidInputError
from corpora.korean.analyse import content_morphemes_many
from retrieval.embedders import Embedder, Vectors
from retrieval.embedders.base import TokenLimited
from retrieval.embedders.choose import HASHED
from retrieval.embedders.endpoint import EndpointEmbedder

__all__ = ["CreateEmbeddings", "create_embeddings"]

#: OpenAI's limit of one request.
MAX_INPUTS = 2048

Text = Annotated[str, Storable]


class CreateEmbeddings(BaseModel):
    """The body of ``POST /v1/embeddings``: OpenAI's fields, and ``corpus_id`` through ``extra_body``."""

    model_config = ConfigDict(extra="forbid")
    model: Identifier
    input: Text | Annotated[list[Text], Field(min_length=1, max_length=MAX_INPUTS)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1)] | None = None
    user: str | None = None
    corpus_id: Annotated[Identifier | None, Field(description="Weigh words as this corpus's index does.")] = None

    @field_validator("input", mode="before")
    @classmethod
    def _no_tokens(cls, given: Any) -> Any:
        """Token ids of somebody else's tokenizer mean nothing here."""
        first = given[0] if isinstance(given, list) and given else None
        if isinstance(first, list) or (isinstance(first, int) and not isinstance(first, bool)):
            raise ValueError("token arrays are not read here, since every tokenizer counts its own; send the text")
        return given

    @field_validator("input")
    @classmethod
    def _no_blanks(cls, given: str | list[str]) -> str | list[str]:
        texts = [given] if isinstance(given, str) else given
        empty = next((at for at, text in enumerate(texts) if not text.strip()), None)
        if empty is not None:
            raise ValueError("must not be an empty string" + ("" if isinstance(given, str) else f" (item {empty})"))
        return given

    @property
    def texts(self) -> list[str]:
        """The input as a list."""
        return [self.input] if isinstance(self.input, str) else self.input


def _embedder(services: Services, request: CreateEmbeddings) -> Embedder:
    """The configured embedder; where a corpus is named, the one of its index, in its state."""
    configured = services.settings.embedder
    if request.corpus_id is None:
        _must_be(request.model, configured, "this service embeds with '{}' (MALMOI_EMBEDDER)")
        return embedder_for(services, configured, None, ())
    with services.store.read() as session:
        corpus = require_corpus(session, request.corpus_id)
    if corpus.embedder_fingerprint is None:
        raise InvalidInputError(
            f"Corpus '{request.corpus_id}' has no index yet; add documents and wait until they are processed.",
            param="corpus_id",
            code="index_missing",
        )
    built_with = corpus.embedder or HASHED
    _must_be(request.model, built_with, f"the index of '{corpus.id}' was built with '{{}}'")
    return embedder_for(services, built_with, corpus.embedder_state, (), fingerprint=corpus.embedder_fingerprint)


def _must_be(asked: str, there: str, why: str) -> None:
    if asked != there:
        raise InvalidInputError(
            f"There is no embedder '{asked}' here; {why.format(there)}.", param="model", code="model_not_found"
        )


def create_embeddings(services: Services, request: CreateEmbeddings) -> dict[str, Any]:
    """One vector for each text, in order.

    Raises:
        InvalidInputError: another embedder or another dimension is asked for, or the corpus has no index yet.
        NotFoundError: there is no such corpus.
        EmbeddingError: the embedder's endpoint gives no vectors.
        MissingExtraError: a local model without the extra ``local``.
    """
    embedder = _embedder(services, request)
    if request.dimensions not in (None, embedder.dimension):
        raise InvalidInputError(
            f"'{request.model}' makes vectors of {embedder.dimension} dimensions, not {request.dimensions}; leave "
            "dimensions out.",
            param="dimensions",
        )
    vectors, tokens = _embedded(embedder, request.texts)
    data = [
        {"object": "embedding", "index": index, "embedding": _encoded(vector, request.encoding_format)}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": request.model, "usage": usage}


def _encoded(vector: Any, encoding: Literal["float", "base64"]) -> list[float] | str:
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
    numbers: list[float] = vector.tolist()
    return numbers


def _embedded(embedder: Embedder, texts: Sequence[str]) -> tuple[Vectors, int]:
    """Vectors, and what the embedder read: its own tokens, or what its endpoint counted; morphemes by default."""
    if isinstance(embedder, EndpointEmbedder):
        return embedder.embed_counted(texts)
    vectors = embedder.embed(texts)
    if isinstance(embedder, TokenLimited):
        return vectors, sum(embedder.count_tokens(texts))
    return vectors, sum(len(found) for found in content_morphemes_many(texts))
