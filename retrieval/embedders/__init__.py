"""Embedders: text to unit vectors."""

from __future__ import annotations

from retrieval.embedders.base import Embedder, Vectors
from retrieval.embedders.hashed import HashedEmbedder

__all__ = ["Embedder", "HashedEmbedder", "Vectors"]
