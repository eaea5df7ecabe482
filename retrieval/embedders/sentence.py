"""Embedders that run on this machine: any sentence-transformers model, by name or by folder.

The library is imported when the first text is embedded, never before. Prefixes such as e5's ``query: `` come from the
model's own configuration or are set by hand. Code out of a model's folder is never run, and only safetensors are read
(``model_folder``). What the model would cut off a long text is counted and logged: see ``count_tokens``, ``overlong``.

Use::

    folder = local_folder("intfloat/multilingual-e5-small")
    embedder = SentenceEmbedder(LocalModel(folder=folder, query_prefix="query: ", passage_prefix="passage: "))
    embedder.embed(["입고는 오전에 합니다."]).shape          # (1, 384)
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import MissingExtraError
from retrieval.embedders.base import OTHERS_THRESHOLD, Prefixes, Vectors, composed, paired, unit_rows
from retrieval.embedders.errors import EmbeddingNonsenseError, UnusableEmbedderError
from retrieval.embedders.model_folder import check_folder, folder_hash, folder_signature, read_prefixes

__all__ = ["LocalModel", "SentenceEmbedder"]

logger = logging.getLogger(__name__)

_LIBRARY = "sentence-transformers"
#: Texts in one pass of the model: what the library itself takes; 32 x 512 tokens stay far below a GB on small models.
BATCH = 32
#: A limit that tokenizers write when they know none.
_NO_LIMIT = 10**6


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalModel:
    """Which model, and how it is asked."""

    folder: Path  #: Of the model's files (``model_folder.local_folder``).
    query_prefix: str | None = None  #: Before questions; None is the model's own.
    passage_prefix: str | None = None  #: Before passages; None is the model's own.
    semantic_threshold: float = OTHERS_THRESHOLD  #: Cosine from which two questions are semantic duplicates.
    device: str = "cpu"  #: As torch names it.


class SentenceEmbedder:
    """A sentence-transformers model; safe for several threads, which take turns."""

    by_words = False

    def __init__(self, model: LocalModel) -> None:
        """Look at the folder; weights are hashed now and loaded at the first text.

        Raises:
            UnusableEmbedderError: the folder is refused.
            MissingExtraError: sentence-transformers is not installed.
        """
        check_folder(model.folder)
        try:
            library = version(_LIBRARY).split(".")[0]
        except PackageNotFoundError as exc:
            raise MissingExtraError("local", f"The embedder {model.folder.name}") from exc
        own = read_prefixes(model.folder)
        self.prefixes = Prefixes(
            query=own.query if model.query_prefix is None else model.query_prefix,
            passage=own.passage if model.passage_prefix is None else model.passage_prefix,
        )
        # Now and not when it is asked for: the files may be replaced while this embedder lives.
        self._files = folder_signature(model.folder)
        parts = (folder_hash(model.folder, self._files), self.prefixes.query, self.prefixes.passage, library)
        #: Files of the model, prefixes and the library's major version, hashed.
        self.fingerprint = f"local-{sha256(repr(parts).encode()).hexdigest()[:16]}"
        self.semantic_threshold = model.semantic_threshold
        #: Texts since the start whose end the model did not read.
        self.truncated = 0
        self._given = model
        self._loaded: Any = None
        self._loading = threading.Lock()
        self._turn = threading.RLock()

    @property
    def dimension(self) -> int:
        """Length of a vector; loads the model."""
        return int(self._model.get_embedding_dimension())

    @property
    def max_tokens(self) -> int | None:
        """Tokens that the model reads of a text, its own marks and the prefix included; None without a limit."""
        limit = self._model.max_seq_length
        return int(limit) if limit is not None and limit < _NO_LIMIT else None

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as a passage: with the prefix and the model's own marks, nothing cut off."""
        return self._count([self.prefixes.passage + composed(text) for text in texts])

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of passages, shape (n, dimension), float32; zeros for a blank text."""
        return self._embed(texts, self.prefixes.passage)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of questions, with the prefix for questions."""
        return self._embed(texts, self.prefixes.query)

    def embed_pairs(self, pairs: Sequence[tuple[str, str | None]]) -> Vectors:
        """Question and answer as one passage, a line each."""
        return self.embed(paired(pairs))

    def _embed(self, texts: Sequence[str], prefix: str) -> Vectors:
        vectors: Vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        places = [at for at, text in enumerate(texts) if text.strip()]
        if not places:
            return vectors
        filled = [composed(texts[at]) for at in places]
        with self._turn:
            self._notice(filled, prefix)
            # The prefix goes apart: some models leave it out when they pool.
            found = self._model.encode(
                filled, prompt=prefix, batch_size=BATCH, show_progress_bar=False, convert_to_numpy=True
            )
        if found.shape != (len(filled), vectors.shape[1]) or not np.isfinite(found).all():
            raise EmbeddingNonsenseError(
                f"The model in {self._given.folder} gives vectors that are no numbers or of another length.",
                hint="Its files may be damaged; fetch them again, or name another model with MALMOI_EMBEDDER.",
            )
        vectors[places] = unit_rows(found)
        return vectors

    def _notice(self, texts: Sequence[str], prefix: str) -> None:
        limit = self.max_tokens
        cut = 0 if limit is None else sum(count > limit for count in self._count([prefix + text for text in texts]))
        if cut:
            self.truncated += cut
            logger.warning("%d of %d texts are longer than the embedder's %d tokens", cut, len(texts), limit)

    def _count(self, texts: list[str]) -> list[int]:
        if not texts:
            return []
        with self._turn:
            tokenizer = self._model.tokenizer
            if hasattr(tokenizer, "encode_batch"):  # static embeddings bring a bare one
                return [len(found.ids) for found in tokenizer.encode_batch(texts)]
            return [len(ids) for ids in tokenizer(texts, truncation=False, padding=False, verbose=False)["input_ids"]]

    @property
    def _model(self) -> Any:
        # A lock of its own, always taken last: whoever waits for it may hold the turn.
        with self._loading:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def _load(self) -> Any:
        if folder_signature(self._given.folder) != self._files:
            raise UnusableEmbedderError(
                f"The files in {self._given.folder} were replaced a moment ago; ask again.", param="embedder"
            )
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as exc:
            raise MissingExtraError("local", f"The embedder {self._given.folder.name}") from exc
        if not (self._given.folder / "modules.json").is_file():
            logger.warning("%s has no modules.json; the mean of its tokens is taken", self._given.folder)
        try:
            return SentenceTransformer(
                str(self._given.folder),
                device=self._given.device,
                local_files_only=True,
                trust_remote_code=False,
                # float32 whatever the file holds: half precision is slow on a CPU, and vectors must not depend on it.
                model_kwargs={"use_safetensors": True, "dtype": "float32"},
            )
        # What is wrong in the files comes as any exception, out of four libraries.
        except Exception as exc:
            raise UnusableEmbedderError(
                f"The model in {self._given.folder} cannot be loaded: {' '.join(str(exc).split())[:300]}",
                param="embedder",
                hint="Check its files, or name another model with MALMOI_EMBEDDER.",
            ) from exc
