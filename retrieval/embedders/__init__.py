"""Embedders: text to unit vectors."""

from __future__ import annotations

from retrieval.embedders.hashed import Embedder, HashedEmbedder, Vectors

__all__ = ["Embedder", "HashedEmbedder", "Vectors"]
