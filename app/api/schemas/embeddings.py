"""OpenAI's shape of embeddings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.api.schemas.common import Answer

__all__ = ["Embeddings"]


class Embedding(Answer):
    """The vector of one text."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str = Field(description="Numbers, or little-endian float32 in base64 where asked.")


class EmbeddingUsage(Answer):
    """What the embedder read."""

    prompt_tokens: int = Field(description="Tokens of the embedder's model; with 'hashed', morphemes of content.")
    total_tokens: int


class Embeddings(Answer):
    """Vectors in the order of the texts."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage
