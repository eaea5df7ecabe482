"""The index of a corpus: vectors in FAISS."""

from __future__ import annotations

from retrieval.index.vectors import BrokenIndexError, VectorIndex

__all__ = ["BrokenIndexError", "VectorIndex"]
