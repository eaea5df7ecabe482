"""A FAISS index of unit vectors under integer ids, with removal and atomic saving. No pickle.

``VectorIndex`` is a cache of whoever holds the texts: a file that cannot be read is an error that says to rebuild.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np

from corpora.errors import MalmoiError
from retrieval.embedders import Vectors

__all__ = ["BrokenIndexError", "VectorIndex"]


class BrokenIndexError(MalmoiError):
    """The index file cannot be read; it is a cache and can be rebuilt."""

    code = "broken_index"
    hint = "Delete the file; the next index job builds it again from the store."


class VectorIndex:
    """Exact inner-product search; on unit vectors that is cosine."""

    def __init__(self, dimension: int) -> None:
        self._index = faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self._index.d)

    def ids(self) -> list[int]:
        """Every id, in the order of addition."""
        return [int(i) for i in faiss.vector_to_array(self._index.id_map)]

    def add(self, ids: Sequence[int], vectors: Vectors) -> None:
        """Add vectors of shape (len(ids), dimension)."""
        self._index.add_with_ids(np.ascontiguousarray(vectors), np.asarray(ids, dtype=np.int64))

    def remove(self, ids: Sequence[int]) -> int:
        """Remove ids; returns how many were there."""
        if not len(ids):
            return 0
        return int(self._index.remove_ids(faiss.IDSelectorBatch(np.asarray(ids, dtype=np.int64))))

    def vector(self, number: int) -> Vectors | None:
        """The vector under this id, as it was added, or None."""
        try:
            return np.asarray(self._index.reconstruct(number), dtype=np.float32)
        except RuntimeError:
            # What faiss raises where the id is not there.
            return None

    def search(self, vector: Vectors, k: int) -> list[tuple[int, float]]:
        """The ``k`` nearest (id, cosine), best first; equal scores by id."""
        k = min(k, len(self))
        if k <= 0:
            return []
        scores, ids = self._index.search(np.ascontiguousarray(vector.reshape(1, -1)), k)
        found = [(int(i), float(s)) for i, s in zip(ids[0], scores[0], strict=True) if i != -1]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))

    def save(self, path: Path) -> None:
        """Write the file whole or not at all: temporary file, fsync, rename, fsync of the folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as handle:
                handle.write(faiss.serialize_index(self._index).tobytes())
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @classmethod
    def load(cls, path: Path) -> VectorIndex:
        """The index in ``path``.

        Raises:
            BrokenIndexError: the file is missing, cut short or no index of this kind.
        """
        try:
            raw = faiss.deserialize_index(np.frombuffer(path.read_bytes(), dtype=np.uint8))
        except (RuntimeError, OSError, ValueError) as exc:
            raise BrokenIndexError(f"{path} cannot be read as an index: {exc}") from exc
        if not isinstance(raw, faiss.IndexIDMap2):
            raise BrokenIndexError(f"{path} holds an index of another kind.")
        index = cls.__new__(cls)
        index._index = raw
        return index
