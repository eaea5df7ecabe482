"""The index of a corpus: vectors in FAISS, inverted lists of morphemes and n-grams, and both together in one folder."""

from __future__ import annotations

from retrieval.index.corpus_index import CorpusIndex, Mode, Scored
from retrieval.index.files import BrokenIndexError
from retrieval.index.vectors import VectorIndex

__all__ = ["BrokenIndexError", "CorpusIndex", "Mode", "Scored", "VectorIndex"]
