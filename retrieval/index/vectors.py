"""Unit vectors under integer ids: the nearest by cosine, with removal, filters and atomic files. No pickle.

Up to ``EXACT_LIMIT`` rows every row is compared. Above it an inverted file takes over if it finds what the exact
search finds (``retrieval.index.inverted``); that is decided when rows are added or removed, in a job, never in a
search. Knows no text. A cache of whoever holds the texts: a file that cannot be read is an error that says to rebuild.

One thread writes, and nobody searches beside it; any number of threads may search.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.embedders import Vectors
from retrieval.index.columns import Columns, write_columns
from retrieval.index.files import BrokenIndexError, whole_file
from retrieval.index.inverted import EXACT_LIMIT, GROWTH, Choice, inverted, listed_ids, nearest_in_lists
from retrieval.index.products import inner_products

__all__ = ["BrokenIndexError", "VectorIndex"]

#: Scores nearer than this may stand in another order in FAISS: its sums depend on where a row lies.
TOLERANCE = 1e-5
#: Rows fetched beyond ``k``, so that equal scores at the end are seen.
BEYOND = 8
#: Rows whose scores are computed at a time: 16 MB at 1,024 dimensions.
ROWS = 4096
#: From this share on, a filter is applied after comparing all rows: FAISS takes 12 ms for 20,000 rows that it selects
#: one by one, 1 ms for 2,000.
WIDE_FILTER = 0.25

Ids = NDArray[np.int64]
#: The library's type hints leave out what its SWIG layer adds.
_FAISS: Any = faiss


class VectorIndex:
    """Inner-product search; on unit vectors that is cosine."""

    def __init__(self, dimension: int, *, exact_limit: int = EXACT_LIMIT) -> None:
        self._index: Any = faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))
        self._exact_limit = exact_limit
        self._choice = Choice()
        #: Whether the rows lie in a mapped file, which must not be written to.
        self._mapped = False
        #: The same rows by columns, where they were written so.
        self._columns: Columns | None = None

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self._index.d)

    @property
    def choice(self) -> Choice:
        """How it is searched, and with which recall."""
        return self._choice

    @property
    def exact(self) -> bool:
        """Whether every row is compared."""
        return self._choice.kind == "flat"

    def ids(self) -> list[int]:
        """Every id; in the order of addition while every row is compared."""
        return [int(number) for number in self.id_array()]

    def id_array(self) -> Ids:
        """As ``ids``, in an array."""
        if self.exact:
            found: Ids = faiss.vector_to_array(self._index.id_map)
            return found
        return listed_ids(self._index)

    def add(self, ids: Sequence[int], vectors: Vectors, *, settle: bool = True) -> None:
        """Add unit vectors of shape (len(ids), dimension) under new ids.

        Whoever adds in parts sets ``settle`` to False and calls ``settle()`` after the last, so that lists are
        trained once.

        Raises:
            ValueError: an id is there already or stands twice, or the shape is another.
        """
        numbers = np.asarray(ids, dtype=np.int64)
        rows = np.ascontiguousarray(vectors, dtype=np.float32)
        if rows.shape != (len(numbers), self.dimension):
            raise ValueError(f"Vectors of shape {rows.shape} for {len(numbers)} ids of {self.dimension} dimensions.")
        if len(np.unique(numbers)) != len(numbers) or np.isin(numbers, self.id_array()).any():
            raise ValueError("An id is in the index already; remove it first.")
        if len(numbers):
            self._own()
            self._index.add_with_ids(rows, numbers)
        if settle:
            self.settle()

    def remove(self, ids: Sequence[int]) -> int:
        """Remove ids; returns how many were there."""
        present = np.intersect1d(np.asarray(ids, dtype=np.int64), self.id_array())
        if not len(present):
            return 0
        self._own()
        # An inverted file with a hash table takes no other selector than this one.
        selector = faiss.IDSelectorBatch(present) if self.exact else faiss.IDSelectorArray(present)
        removed = int(self._index.remove_ids(selector))
        self.settle()
        return removed

    def settle(self) -> None:
        """Choose anew how to search where the number of rows asks for it."""
        count, before = len(self), self._choice
        if count <= self._exact_limit:
            # Far below, not just: a corpus at the limit would be trained again and again.
            if before.kind == "ivf" and 2 * count <= self._exact_limit:
                self._back_to_flat()
            return
        if before.decided_at and count < GROWTH * before.decided_at:
            return
        if before.kind == "ivf":
            self._back_to_flat()
        index, self._choice = inverted(self._rows(), self.id_array())
        if index is not None:
            self._index = index

    def vector(self, number: int) -> Vectors | None:
        """The vector under this id, as it was added, or None."""
        try:
            return np.asarray(self._index.reconstruct(number), dtype=np.float32)
        except RuntimeError:
            # What faiss raises where the id is not there.
            return None

    def vectors(self, ids: Sequence[int] | Ids) -> Vectors:
        """The vectors under these ids, shape (len(ids), dimension).

        Raises:
            KeyError: one of them is not there.
        """
        numbers = np.ascontiguousarray(ids, dtype=np.int64)
        if not len(numbers):
            return np.zeros((0, self.dimension), dtype=np.float32)
        try:
            return np.asarray(self._index.reconstruct_batch(numbers), dtype=np.float32)
        except RuntimeError as exc:
            missing = sorted(set(numbers.tolist()) - set(self.ids()))
            raise KeyError(f"Not in the index: {missing[:5]}") from exc

    def scores(self, vector: Vectors, ids: Sequence[int] | Ids) -> Vectors:
        """Cosine with each of these ids, in their order, float32; the same as ``search`` gives.

        Raises:
            KeyError: one of them is not there.
        """
        found = np.empty(len(ids), dtype=np.float32)
        for start in range(0, len(ids), ROWS):
            rows = self.vectors(ids[start : start + ROWS])
            # One product for each row, not a matrix product: equal rows get equal scores wherever they lie.
            found[start : start + ROWS] = np.vecdot(rows, np.asarray(vector, dtype=np.float32))
        return found

    def all_scores(self, vector: Vectors) -> Vectors:
        """Cosine with every id, in the order of ``ids()``, float32; the same as ``scores`` gives, up to rounding.

        Equal rows get equal scores.

        Raises:
            RuntimeError: an inverted file has no rows to read through; ask for ``scores``.
        """
        rows, query = self._rows(), np.ascontiguousarray(vector, dtype=np.float32)
        if self._columns is not None and self._columns.pays(query):
            return self._columns.scores(query)
        return inner_products(rows, query)

    def search(self, vector: Vectors, k: int, allowed: Collection[int] | None = None) -> list[tuple[int, float]]:
        """The ``k`` nearest (id, cosine), best first, equal scores by id; only among ``allowed`` where it is given."""
        only = None if allowed is None else np.intersect1d(np.fromiter(allowed, dtype=np.int64), self.id_array())
        total = len(self) if only is None else len(only)
        k = min(k, total)
        if k <= 0:
            return []
        query, wanted = np.ascontiguousarray(vector, dtype=np.float32).reshape(-1), min(k + BEYOND, total)
        while True:
            ids, scores = self._nearest(query, wanted, only)
            if wanted == total or scores[k - 1] - scores[-1] > TOLERANCE:
                break
            wanted = min(4 * wanted, total)
        # Once more, row by row: how sums are rounded depends on how they were found.
        exact = self.scores(query, ids)
        order = np.lexsort((ids, -exact))[:k]
        return [(int(ids[at]), float(exact[at])) for at in order]

    def _nearest(self, query: Vectors, wanted: int, only: Ids | None) -> tuple[Ids, Vectors]:
        """The ``wanted`` nearest, best first, up to rounding."""
        if not self.exact:
            return nearest_in_lists(self._index, query, wanted, only)
        if only is not None and len(only) < WIDE_FILTER * len(self):
            parameters = _FAISS.SearchParameters(sel=faiss.IDSelectorBatch(only))
            scores, ids = self._index.search(query[None], wanted, params=parameters)
            return ids[0], scores[0]
        ids, every = self.id_array(), self.all_scores(query)
        if only is not None:
            inside = np.isin(ids, only)
            ids, every = ids[inside], every[inside]
        top = np.argpartition(-every, wanted - 1)[:wanted]
        top = top[np.argsort(-every[top])]
        return ids[top], every[top]

    def _rows(self) -> Vectors:
        """The stored rows themselves, shape (n, dimension); not to be kept."""
        if not self.exact:
            raise RuntimeError("An inverted file has no rows to read through.")
        if not len(self):
            return np.zeros((0, self.dimension), dtype=np.float32)
        flat = _FAISS.downcast_index(self._index.index)
        rows: Vectors = faiss.rev_swig_ptr(flat.get_xb(), len(self) * self.dimension)
        return rows.reshape(len(self), self.dimension)

    def _own(self) -> None:
        """Copy the rows out of a mapped file before something is written."""
        if self._mapped and self.exact:
            self._make_flat(self.id_array(), self._rows())
        elif self._mapped:
            self._index = faiss.deserialize_index(faiss.serialize_index(self._index))
        self._mapped, self._columns = False, None

    def _make_flat(self, ids: Ids, rows: Vectors) -> None:
        index = faiss.IndexIDMap2(faiss.IndexFlatIP(self.dimension))
        if len(ids):
            index.add_with_ids(rows, ids)
        self._index = index

    def _back_to_flat(self) -> None:
        ids = np.sort(self.id_array())
        rows = self.vectors(ids)
        self._choice = Choice()
        self._make_flat(ids, rows)

    def write(self, path: Path) -> None:
        """Write one file, in place: whoever needs it whole or not at all renames it."""
        with path.open("wb") as handle:
            # A callback, since FAISS's own writer loses the error of a disk that is full at the last block.
            faiss.write_index(self._index, _FAISS.PyCallbackIOWriter(handle.write))

    def write_columns(self, folder: Path) -> None:
        """Write the rows by columns into ``folder`` as well, where that makes searches faster."""
        if self.exact:
            write_columns(folder, self._rows())

    def save(self, path: Path) -> None:
        """Write the file whole or not at all: temporary file, fsync, rename, fsync of the folder."""
        with whole_file(path) as temporary:
            self.write(temporary)

    @classmethod
    def load(
        cls, path: Path, choice: Choice | None = None, *, mapped: bool = False, exact_limit: int = EXACT_LIMIT
    ) -> VectorIndex:
        """The index in ``path``, with the columns beside it; ``choice`` is what it said when it was written.

        Mapped rows stay in the file and are copied when something is added or removed: 100,000 of them are there in
        20 ms instead of a second, and processes share them. Such a file must not be written to, though it may be
        removed or replaced, and somebody must have checked its hash: FAISS does not notice there that its end is cut.

        Raises:
            BrokenIndexError: the file is missing, cut short or no index of this kind.
        """
        try:
            raw: Any = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
        except (RuntimeError, OSError, ValueError, MemoryError) as exc:
            raise BrokenIndexError(f"{path} cannot be read as an index: {exc}") from exc
        inverted_file = type(raw) is faiss.IndexIVFFlat
        if not inverted_file and type(raw) is not faiss.IndexIDMap2:
            raise BrokenIndexError(f"{path} holds an index of another kind.")
        if choice is None and inverted_file:
            nan = float("nan")  # Nobody has written down its recall.
            choice = Choice(kind="ivf", lists=raw.nlist, probes=raw.nprobe, recall=nan, decided_at=raw.ntotal)
        choice = choice or Choice(decided_at=raw.ntotal if raw.ntotal > exact_limit else 0)
        if (choice.kind == "ivf") != inverted_file:
            raise BrokenIndexError(f"{path} is not searched as its manifest says ({choice.kind}).")
        index = cls(int(raw.d), exact_limit=exact_limit)
        index._index, index._choice, index._mapped = raw, choice, mapped
        if mapped and index.exact:
            index._columns = Columns.load(path.parent, len(index), index.dimension)
        return index
