"""Embedders behind an OpenAI-compatible ``/embeddings``: OpenAI, vLLM, text-embeddings-inference, Ollama, llama.cpp.

This module knows batches, the cache and the vectors; ``endpoint_wire`` sends one request, patiently. Every answer goes
into the cache before the next request leaves, so that a job that is killed and begins again sends no text twice.

Use::

    embedder = EndpointEmbedder(EndpointModel(model="text-embedding-3-small", base_url=..., api_key=...), cache)
    embedder.embed(["입고는 오전에 합니다."]).shape          # (1, 1536)
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from urllib.parse import urlsplit

import numpy as np

from retrieval.embedders.base import (
    OTHERS_THRESHOLD,
    Prefixes,
    VectorCache,
    Vectors,
    composed,
    paired,
    text_key,
    unit_rows,
)
from retrieval.embedders.endpoint_wire import EndpointWire, Patience, TooManyTextsError
from retrieval.embedders.errors import EmbeddingNonsenseError

__all__ = ["EndpointEmbedder", "EndpointModel"]

#: Texts of one request. OpenAI takes 2,048, text-embeddings-inference 32 unless told otherwise: a refusal halves it.
MAX_TEXTS = 128
#: Characters of one request: OpenAI takes 300,000 tokens, and a Hangul syllable has at most three.
MAX_CHARACTERS = 100_000
#: Vectors of questions that are kept in memory; they are not stored, since nobody pays to ask the same one for ever.
RECENT_QUERIES = 1024
#: Sent where the length of a vector is asked for before any text.
_PROBE = "말모이"
#: A person waits for a search.
_QUERY_PATIENCE_S = 15.0


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointModel:
    """Which model, where, and how it is asked."""

    model: str  #: Its name at the endpoint.
    base_url: str  #: Of the API, usually with ``/v1`` at its end.
    api_key: str | None = field(default=None, repr=False)  #: Sent as bearer token; None for servers without one.
    query_prefix: str = ""  #: Before questions.
    passage_prefix: str = ""  #: Before passages.
    semantic_threshold: float = OTHERS_THRESHOLD  #: Cosine from which two questions are semantic duplicates.
    timeout_s: float = 60.0  #: Seconds to wait for one answer.
    patience_s: float = 120.0  #: Seconds of failures of one batch until it is given up.


class EndpointEmbedder:
    """A model behind an endpoint, with the vectors that were paid for; safe for several threads."""

    by_words = False

    def __init__(
        self,
        model: EndpointModel,
        cache: VectorCache,
        *,
        dimension: int | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Connect lazily.

        Args:
            model: Which model, where.
            cache: Vectors of earlier texts, of this process or another.
            dimension: Length of a vector where it is known already; None finds it out by the first answer.
            patience: Clock and waits, for tests; None are the real ones.
        """
        self.semantic_threshold = model.semantic_threshold
        self._given = model
        self._cache = cache
        self._dimension = dimension
        self._patience = patience or Patience(seconds=model.patience_s)
        self._wire = EndpointWire(
            base_url=model.base_url, model=model.model, api_key=model.api_key, timeout_s=model.timeout_s
        )
        self._max_texts = MAX_TEXTS
        self._recent: OrderedDict[str, Vectors] = OrderedDict()
        self._lock = threading.Lock()
        host = urlsplit(model.base_url).netloc.rpartition("@")[2].lower()
        # Without the length of a vector: it is not known yet when a job begins again and looks for what it has.
        self._source = f"openai-{_digest(model.model, host)}"
        self.prefixes = Prefixes(query=model.query_prefix, passage=model.passage_prefix)

    @property
    def fingerprint(self) -> str:
        """Model, host, prefixes, length of a vector; weights cannot be seen from here."""
        return f"{self._source}-{_digest(self.prefixes.query, self.prefixes.passage)}-{self.dimension}"

    @property
    def dimension(self) -> int:
        """Length of a vector; asks the endpoint for one where nothing has been embedded yet."""
        if self._dimension is None:
            self._vectors([_PROBE], keep=True)
        if self._dimension is None:
            raise EmbeddingNonsenseError(f"{self._given.model} gave no vector.")
        return self._dimension

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of passages, shape (n, dimension), float32; zeros for a blank text, which is not sent.

        Raises:
            EmbeddingError: the endpoint refuses, or its answers are no vectors of one length.
            EmbeddingDownError: the endpoint kept failing; what came before is kept.
        """
        return self.embed_counted(texts)[0]

    def embed_counted(self, texts: Sequence[str]) -> tuple[Vectors, int]:
        """As ``embed``, with the tokens that the endpoint counted; what was in the cache costs none."""
        return self._filled(texts, self.prefixes.passage, keep=True)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of questions, with their prefix; the last ones are remembered, none is stored."""
        return self._filled(texts, self.prefixes.query, keep=False)[0]

    def embed_pairs(self, pairs: Sequence[tuple[str, str | None]]) -> Vectors:
        """Question and answer as one passage, a line each."""
        return self.embed(paired(pairs))

    def _filled(self, texts: Sequence[str], prefix: str, *, keep: bool) -> tuple[Vectors, int]:
        places = [at for at, text in enumerate(texts) if text.strip()]
        found, tokens = self._vectors([prefix + composed(texts[at]) for at in places], keep=keep)
        vectors: Vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        if places:
            vectors[places] = found
        return vectors, tokens

    def _vectors(self, sent: list[str], *, keep: bool) -> tuple[Vectors, int]:
        """Unit vectors of texts as they are sent, and the tokens that they cost."""
        if not sent:
            return np.zeros((0, self.dimension), dtype=np.float32), 0
        keys = [text_key(text) for text in sent]
        texts = dict(zip(keys, sent, strict=True))
        known = self._known(keys)
        patience = self._patience if keep else _shorter(self._patience)
        tokens = 0
        while waiting := [key for key in texts if key not in known]:
            batch = next(_batches(waiting, texts, self._max_texts))
            try:
                raw, cost = self._wire.send([texts[key] for key in batch], patience)
            except TooManyTextsError:
                self._max_texts = max(1, len(batch) // 2)
                continue
            vectors = unit_rows(self._checked(raw))
            fresh = dict(zip(batch, vectors, strict=True))
            if keep:
                self._cache.put_many(self._source, fresh)
            else:
                self._remember(fresh)
            # What has another length is from before another model took this name.
            known = {key: vector for key, vector in known.items() if len(vector) == self._dimension} | fresh
            tokens += cost
        if self._dimension is None:
            self._dimension = len(known[keys[0]])
        return np.stack([known[key] for key in keys]), tokens

    def _known(self, keys: list[str]) -> dict[str, Vectors]:
        """What memory and cache hold, all of one length: the one that is known, else theirs if they agree."""
        with self._lock:
            known = {key: self._recent[key] for key in keys if key in self._recent}
        asked = list(dict.fromkeys(key for key in keys if key not in known))
        known |= self._cache.get_many(self._source, asked)
        lengths = {len(vector) for vector in known.values()}
        if self._dimension is None and len(lengths) > 1:
            return {}
        return {key: vector for key, vector in known.items() if self._dimension in (None, len(vector))}

    def _checked(self, raw: Vectors) -> Vectors:
        if self._dimension is None:
            self._dimension = raw.shape[1]
        if raw.shape[1] != self._dimension:
            raise EmbeddingNonsenseError(
                f"'{self._given.model}' gave vectors of {raw.shape[1]} dimensions, earlier ones had {self._dimension}.",
                hint="Another model answers under this name: serve it under a name of its own and set MALMOI_EMBEDDER.",
            )
        return raw

    def _remember(self, fresh: dict[str, Vectors]) -> None:
        with self._lock:
            self._recent.update(fresh)
            while len(self._recent) > RECENT_QUERIES:
                self._recent.popitem(last=False)


def _digest(*parts: str) -> str:
    return sha256(repr(parts).encode("utf-8")).hexdigest()[:12]


def _shorter(patience: Patience) -> Patience:
    return replace(patience, seconds=min(patience.seconds, _QUERY_PATIENCE_S))


def _batches(keys: list[str], texts: dict[str, str], most: int) -> Iterator[list[str]]:
    """Keys in order, each batch bounded in number and characters; a text that is longer goes alone."""
    batch: list[str] = []
    size = 0
    for key in keys:
        if batch and (len(batch) == most or size + len(texts[key]) > MAX_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(key)
        size += len(texts[key])
    yield batch
