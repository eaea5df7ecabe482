"""What can go wrong with an embedder, with the next step for a person.

::

    UnusableEmbedderError     the model's folder or the setting is refused (HTTP 400)
    EmbeddingError            no usable vectors came (HTTP 502)
    ├── EmbeddingRefusedError     the endpoint refused the key, the model or the request
    └── EmbeddingNonsenseError    an answer that is no list of vectors: wrong count, wrong length, not a number
    EmbeddingDownError        the endpoint kept failing; works later (HTTP 503)
"""

from __future__ import annotations

from corpora.errors import InvalidInputError, MalmoiError, UnavailableError

__all__ = [
    "EmbeddingDownError",
    "EmbeddingError",
    "EmbeddingNonsenseError",
    "EmbeddingRefusedError",
    "UnusableEmbedderError",
]


class UnusableEmbedderError(InvalidInputError):
    """The embedder that the settings name cannot be used."""

    code = "embedder_unusable"


class EmbeddingError(MalmoiError):
    """The embedder gave no usable vectors."""

    code = "embedding_failed"
    status = 502


class EmbeddingRefusedError(EmbeddingError):
    """The embedding endpoint refused the request."""

    code = "embedding_refused"
    hint = "Check MALMOI_EMBEDDER (openai:<model>), MALMOI_EMBEDDER_BASE_URL (it usually ends in /v1) and the key."


class EmbeddingNonsenseError(EmbeddingError):
    """The embedding endpoint answered with something that is no list of vectors."""

    code = "embedding_nonsense"
    hint = "Check that MALMOI_EMBEDDER_BASE_URL is an OpenAI-compatible API with embeddings (it usually ends in /v1)."


class EmbeddingDownError(UnavailableError):
    """The embedding endpoint could not be reached or kept failing."""

    code = "embedding_down"
    hint = "Check that the endpoint runs, then try again; vectors that came are kept and not asked for twice."
