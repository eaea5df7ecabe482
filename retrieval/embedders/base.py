"""What every embedder can do, and where vectors that cost money or minutes are kept.

Nothing here knows a model, a library or a database. ``app/store/vectors.py`` implements ``VectorCache`` on the store;
``MemoryVectors`` is the version for tests and for the command line.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "OTHERS_THRESHOLD",
    "Embedder",
    "MemoryVectors",
    "Prefixed",
    "Prefixes",
    "TokenLimited",
    "VectorCache",
    "Vectors",
    "composed",
    "overlong",
    "paired",
    "text_key",
    "unit_rows",
]

Vectors = NDArray[np.float32]
#: Cosine of semantic duplicates for any embedder but the default one, where nobody has set another. Not calibrated:
#: models differ (cosines of unrelated texts are far above 0 with many), and a value too high drops fewer good rows.
OTHERS_THRESHOLD = 0.92


class Embedder(Protocol):
    """Anything that makes vectors."""

    def __hash__(self) -> int:
        """So that what was opened for it can be remembered."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever the same text could give another vector; fit for the name of a folder."""
        ...

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    @property
    def semantic_threshold(self) -> float:
        """Cosine from which two questions count as semantic duplicates, calibrated for this embedder."""
        ...

    @property
    def by_words(self) -> bool:
        """Whether it knows words and no meaning: a cosine without any common word is then a collision of hashes."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of passages: (len(texts), dimension), float32, of length 1 (0 for a text without any content)."""
        ...

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of questions that look for passages; as ``embed`` where the model knows no difference."""
        ...

    def embed_pairs(self, pairs: Sequence[tuple[str, str | None]]) -> Vectors:
        """One vector for each question with its answer, where it has one."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Prefixes:
    """What the model wants to see before a text."""

    query: str  #: Before a question that looks for passages.
    passage: str  #: Before a passage.


@runtime_checkable
class Prefixed(Protocol):
    """An embedder that sets something before texts; with other prefixes it is another embedder."""

    @property
    def prefixes(self) -> Prefixes:
        """What it sets before questions and before passages."""
        ...


@runtime_checkable
class TokenLimited(Protocol):
    """An embedder that reads only the beginning of a long text."""

    @property
    def max_tokens(self) -> int | None:
        """Most tokens, as ``count_tokens`` counts them, of a text that is read whole; None where there is no limit."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as a passage: with the prefix and the model's own marks."""
        ...


def overlong(embedder: Embedder, texts: Sequence[str]) -> list[int]:
    """Positions of the texts whose end the embedder would not read; index jobs show how many there are."""
    if not isinstance(embedder, TokenLimited):
        return []
    limit = embedder.max_tokens
    return [] if limit is None else [at for at, count in enumerate(embedder.count_tokens(texts)) if count > limit]


class VectorCache(Protocol):
    """Vectors by fingerprint of the embedder and ``text_key`` of the text as it was sent."""

    def get_many(self, fingerprint: str, keys: Sequence[str]) -> dict[str, Vectors]:
        """Those of ``keys`` that are known, each a vector of one dimension, float32."""
        ...

    def put_many(self, fingerprint: str, vectors: Mapping[str, Vectors]) -> None:
        """Keep these for good; one that is there already is replaced."""
        ...


class MemoryVectors:
    """A ``VectorCache`` that ends with the process."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Vectors] = {}

    def get_many(self, fingerprint: str, keys: Sequence[str]) -> dict[str, Vectors]:
        """Those of ``keys`` that are known."""
        return {key: self._kept[fingerprint, key] for key in keys if (fingerprint, key) in self._kept}

    def put_many(self, fingerprint: str, vectors: Mapping[str, Vectors]) -> None:
        """Keep these."""
        self._kept.update({(fingerprint, key): vector for key, vector in vectors.items()})


def text_key(sent: str) -> str:
    """SHA-256 of a text as it is sent, prefix included, in hexadecimal."""
    return hashlib.sha256(sent.encode("utf-8")).hexdigest()


def composed(text: str) -> str:
    """``text`` in NFC: to a model, Hangul in single letters (as some systems type it) is another script."""
    return unicodedata.normalize("NFC", text)


def paired(pairs: Sequence[tuple[str, str | None]]) -> list[str]:
    """Question and answer as one text, a line each; the question alone where there is no answer."""
    return [question if answer is None else f"{question}\n{answer}" for question, answer in pairs]


def unit_rows(vectors: Any) -> Vectors:
    """Rows of length 1 in float32, shape as given; rows of zeros stay."""
    exact = np.asarray(vectors, dtype=np.float64)
    norms = np.linalg.norm(exact, axis=1, keepdims=True)
    unit: Vectors = (exact / np.where(norms > 0, norms, 1.0)).astype(np.float32)
    return unit
