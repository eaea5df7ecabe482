"""Chunks of a document: exact offsets, structure first, stable ids."""

from retrieval.chunking.document import MAX_CHARS, MIN_CHARS, chunk_document
from retrieval.chunking.tokens import TokenLimit

__all__ = ["MAX_CHARS", "MIN_CHARS", "TokenLimit", "chunk_document"]
