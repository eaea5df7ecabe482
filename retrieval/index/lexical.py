"""The lexical index: BM25 over content morphemes, and BM25 over character n-grams, of the rows that are living.

Morphemes find what is asked in other forms of its words; n-grams find what Kiwi splits wrongly, codes and typing
errors. Statistics (how many rows hold a term, mean length) are counted at the query over living rows only: an index
from which rows were removed scores exactly as one that never had them. Knows no chunks and no vectors::

    index = LexicalIndex()
    index.add([7, 9], ["반품은 7일 안에 접수합니다.", "오류 E-204는 재시도합니다."])
    found = index.scores("반품 기한")      # found.ids, found.bm25, found.grams: one entry for each living row

One thread writes at a time; ``scores`` and ``ids`` may run beside it and see the state before or after.

KorQuAD 1.0 dev, passage among the first 5 of 964 (2026-11-21, ``tests.benchmarks.retrieval_quality``): morphemes
0.981, n-grams 0.988, both mixed 0.991. N-grams by TF-IDF cosine gave 0.981; BM25 also needs no norms of rows, which
would be a pass over all lists after each change.
"""

from __future__ import annotations

import functools
import hashlib
import re
import struct
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corpora.korean.analyse import content_morphemes, content_morphemes_many, tokenizer_version
from retrieval.index.files import BrokenIndexError
from retrieval.index.postings import Postings, Segment, segment

__all__ = ["LexicalIndex", "LexicalScores", "gram_terms", "morpheme_terms"]

#: Lengths of the n-grams. With k1 = 1.2, alone: 2 gives 0.985, 3 gives 0.983, both 0.985; with the morphemes 0.988,
#: 0.989, 0.989. One length costs half of the memory, but 3 alone does not find 관리 in 재고관리.
GRAMS = (2, 3)
#: How much the repetition of a term counts, of morphemes and of n-grams. Of the first 5, n-grams alone: 2 gives 0.982,
#: 1.2 (the usual) 0.985, 0.6 0.988, 0.4 0.988, 0.1 0.987; morphemes alone: 1.2 0.980, 0.6 0.981, 0.4 0.981.
K1 = (0.6, 0.4)
B = 0.75
#: A quarter of dead rows costs a quarter of every search; then the lists are written anew.
DEAD_SHARE = 0.25
#: Texts that are analysed at a time: bounds the memory of an addition.
BATCH = 2_000
VERSION = 1
_WORD = re.compile(r"\w+")
_CODE = re.compile(r"[a-z0-9]+(?:[-_./:][a-z0-9]+)+")
_DIGIT = re.compile(r"[0-9]")

Scores = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class LexicalScores:
    """Scores of every living row; 0 where it shares nothing with the query."""

    ids: NDArray[np.int64]  #: The rows, in the order of their addition.
    bm25: Scores  #: Over content morphemes.
    grams: Scores  #: Over character n-grams.


@dataclass(frozen=True, kw_only=True, slots=True)
class _State:
    """All there is, replaced as a whole."""

    ids: NDArray[np.int64]
    alive: NDArray[np.bool_]
    lengths: NDArray[np.int32]  #: (2, rows): morphemes and n-grams of each row.
    fields: tuple[Postings, Postings]  #: Morphemes and n-grams.


@functools.lru_cache(maxsize=200_000)
def _term(token: str) -> int:
    """blake2b, so that it is the same in every process."""
    return int.from_bytes(hashlib.blake2b(token.encode(), digest_size=8).digest(), "little")


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).lower()


def morpheme_terms(text: str, found: Sequence[str]) -> list[int]:
    """Terms of content morphemes, and of codes such as WMS-1024 as a whole, which Kiwi splits."""
    codes = [code for code in _CODE.findall(_folded(text)) if _DIGIT.search(code)]
    return [_term(token) for token in (*found, *codes)]


def gram_terms(text: str) -> NDArray[np.uint64]:
    """Terms of the n-grams of each word with a blank before it: three code points are 63 bits, nothing is hashed."""
    line = "".join(f" {word}" for word in _WORD.findall(_folded(text)))
    points = np.frombuffer(line.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    blank = points == ord(" ")
    found = []
    for size in GRAMS:
        count = len(points) - size + 1
        if count <= 0:
            continue
        packed = np.zeros(count, dtype=np.uint64)
        inside = np.ones(count, dtype=bool)
        for place in range(size):
            packed = (packed << np.uint64(21)) | points[place : place + count]
            if place:  # A blank may only stand first.
                inside &= ~blank[place : place + count]
        found.append(packed[inside])
    return np.concatenate(found) if found else np.zeros(0, dtype=np.uint64)


class LexicalIndex:
    """Inverted lists of morphemes and n-grams under integer ids."""

    def __init__(self) -> None:
        none = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool), np.zeros((2, 0), dtype=np.int32))
        self._state = _State(ids=none[0], alive=none[1], lengths=none[2], fields=(Postings(), Postings()))

    def __len__(self) -> int:
        return int(self._state.alive.sum())

    @property
    def nbytes(self) -> int:
        """Memory of the lists in bytes."""
        return sum(postings.nbytes for postings in self._state.fields)

    def ids(self) -> NDArray[np.int64]:
        """The living rows, in the order of their addition."""
        state = self._state
        return state.ids[state.alive]

    def add(self, ids: Sequence[int], texts: Sequence[str]) -> None:
        """Add texts under new ids.

        Raises:
            ValueError: an id is there already or stands twice, or there are not as many texts as ids.
        """
        numbers = np.asarray(ids, dtype=np.int64)
        if len(numbers) != len(texts):
            raise ValueError(f"{len(numbers)} ids for {len(texts)} texts.")
        if len(np.unique(numbers)) != len(numbers) or np.isin(numbers, self.ids()).any():
            raise ValueError("An id is in the index already; remove it first.")
        state = self._state
        for start in range(0, len(texts), BATCH):
            state = _grown(state, numbers[start : start + BATCH], texts[start : start + BATCH])
        self._state = state

    def remove(self, ids: Sequence[int]) -> int:
        """Remove ids; returns how many were there."""
        state = self._state
        gone = state.alive & np.isin(state.ids, np.asarray(ids, dtype=np.int64))
        state = replace(state, alive=state.alive & ~gone)
        dead = len(state.alive) - int(state.alive.sum())
        self._state = _compact(state) if dead > DEAD_SHARE * len(state.alive) else state
        return int(gone.sum())

    def scores(self, query: str) -> LexicalScores:
        """How well each living row fits ``query``."""
        state = self._state
        words = Counter(morpheme_terms(query, content_morphemes(query)))
        grams = Counter(gram_terms(query).tolist())
        return LexicalScores(ids=state.ids[state.alive], bm25=_bm25(state, 0, words), grams=_bm25(state, 1, grams))

    def save(self, path: Path) -> None:
        """Write one file, in place: whoever needs it whole or not at all renames it."""
        state = self._state
        if not state.alive.all():
            state = _compact(state)
        arrays: dict[str, NDArray[np.generic]] = {
            "made_by": np.array(_made_by()),
            "ids": state.ids,
            "lengths": state.lengths,
        }
        for name, postings in zip(("words", "grams"), state.fields, strict=True):
            whole = postings.joined()
            arrays |= {f"{name}_{part}": getattr(whole, part) for part in ("keys", "starts", "rows", "counts")}
        with path.open("wb") as handle:
            np.savez(handle, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> LexicalIndex:
        """The index in ``path``.

        Raises:
            BrokenIndexError: the file is missing, cut short, damaged, or was made by another tokenizer or version.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            made_by, ids, lengths = str(arrays["made_by"]), arrays["ids"], arrays["lengths"]
            parts = [
                Segment(*(arrays[f"{name}_{part}"] for part in ("keys", "starts", "rows", "counts")))
                for name in ("words", "grams")
            ]
        except _UNREADABLE as exc:
            raise BrokenIndexError(f"{path} cannot be read as a lexical index: {exc}") from exc
        if made_by != _made_by():
            raise BrokenIndexError(f"{path} was made by {made_by}; this is {_made_by()}.")
        count = ids.size
        right = ids.dtype == np.int64 and lengths.dtype == np.int32 and lengths.shape == (2, count)
        if not right or ids.ndim != 1 or not all(part.is_sound(count) for part in parts):
            raise BrokenIndexError(f"{path} does not hold a sound lexical index.")
        index = cls()
        index._state = _State(
            ids=ids,
            alive=np.ones(count, dtype=bool),
            lengths=lengths,
            fields=(Postings((parts[0],)), Postings((parts[1],))),
        )
        return index


#: What numpy and zipfile raise on a file that is missing, cut short or damaged.
_UNREADABLE = (
    *(OSError, ValueError, TypeError, KeyError, EOFError, RuntimeError, OverflowError, MemoryError),
    *(struct.error, zipfile.BadZipFile),
)


def _made_by() -> str:
    return f"lexical-v{VERSION} {'-'.join(map(str, GRAMS))} {tokenizer_version()}"


def _grown(state: _State, ids: NDArray[np.int64], texts: Sequence[str]) -> _State:
    words = [
        np.array(morpheme_terms(text, found), dtype=np.uint64)
        for text, found in zip(texts, content_morphemes_many(texts), strict=True)
    ]
    grams = [gram_terms(text) for text in texts]
    lengths = np.array([[len(found) for found in field] for field in (words, grams)], dtype=np.int32)
    rows = np.arange(len(state.ids), len(state.ids) + len(ids), dtype=np.int32)
    first, second = (
        postings.added(segment(np.concatenate(found), np.repeat(rows, size)))
        for postings, found, size in zip(state.fields, (words, grams), lengths, strict=True)
    )
    return _State(
        ids=np.concatenate([state.ids, ids]),
        alive=np.concatenate([state.alive, np.ones(len(ids), dtype=bool)]),
        lengths=np.concatenate([state.lengths, lengths], axis=1),
        fields=(first, second),
    )


def _compact(state: _State) -> _State:
    first, second = (postings.without(state.alive) for postings in state.fields)
    return _State(
        ids=state.ids[state.alive],
        alive=np.ones(int(state.alive.sum()), dtype=bool),
        lengths=state.lengths[:, state.alive],
        fields=(first, second),
    )


def _bm25(state: _State, field: int, terms: Counter[int]) -> Scores:
    """BM25 of each living row in one field."""
    alive = state.alive
    living = int(alive.sum())
    whole = living == len(alive)
    lengths = state.lengths[field]
    mean = float(lengths.sum() if whole else lengths[alive].sum()) / max(living, 1)
    k1 = K1[field]
    norms = (k1 * (1 - B + B * lengths / max(mean, 1.0))).astype(np.float32)
    scores = np.zeros(len(alive), dtype=np.float32)
    # In one order, so that equal texts get equal sums whatever the order of the query.
    for term, times in sorted(terms.items()):
        found = list(state.fields[field].of(term))
        held = sum(len(rows) if whole else int(np.count_nonzero(alive.take(rows))) for rows, _ in found)
        if not held:
            continue
        weight = np.float32(times * (k1 + 1) * np.log1p((living - held + 0.5) / (held + 0.5)))
        for rows, counts in found:
            gains = counts.astype(np.float32)
            gains *= weight / (gains + norms.take(rows))
            # Three times as fast as ``scores[rows] += gains`` (100,000 rows, float32).
            np.add.at(scores, rows, gains)
    return scores if whole else scores[alive]
