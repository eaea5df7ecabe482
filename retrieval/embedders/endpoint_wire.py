"""One request to ``/embeddings``: sent through the openai package, tried again within bounds, its answer read strictly.

Knows nothing of caches and prefixes. 429, 408, 409, 5xx, time-outs and lost connections are tried again, after what
``Retry-After`` asks for or else with exponential waits; any other answer is an error at once.
"""

from __future__ import annotations

import base64
import binascii
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import numpy as np
import openai

from retrieval.embedders.base import Vectors
from retrieval.embedders.errors import (
    EmbeddingDownError,
    EmbeddingError,
    EmbeddingNonsenseError,
    EmbeddingRefusedError,
)

__all__ = ["EndpointWire", "Patience", "TooManyTextsError"]

_DETAIL_CHARS = 300
#: First wait in seconds, at most; doubled after each failure up to the second figure.
_BASE_S, _LONGEST_S = 0.5, 20.0
_AGAIN = frozenset({408, 409, 429})
_QUOTA = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
#: How servers say that a request holds too many texts, where 413 does not.
_TOO_MANY = ("batch size", "too many inputs", "maximum number of inputs", "array too long", "max_client_batch_size")


class TooManyTextsError(EmbeddingError):
    """The endpoint takes fewer texts in one request."""

    code = "too_many_texts"


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long failures are borne, and the clock that measures it."""

    seconds: float  #: From the first send until the last failure.
    clock: Callable[[], float] = time.monotonic  #: Seconds.
    sleep: Callable[[float], None] = time.sleep  #: Waits so many seconds.
    uniform: Callable[[], float] = field(default=random.random)  #: In [0, 1): spreads callers that failed together.


class EndpointWire:
    """The connection to one model of one endpoint; safe for several threads."""

    def __init__(self, *, base_url: str, model: str, api_key: str | None, timeout_s: float) -> None:
        self._model = model
        self._key = api_key or ""
        self._timeout_s = timeout_s
        # Retries are ours: the package's own know no bound in time. It insists on some text as key.
        self._client = openai.OpenAI(
            base_url=base_url, api_key=api_key or "none", timeout=timeout_s, max_retries=0, organization="", project=""
        )
        # The openai client takes these from the environment; another endpoint has no business with them.
        self._client.organization = None
        self._client.project = None
        self._where = f"{base_url} ({model})"
        self._format: Literal["base64", "float"] = "base64"

    def send(self, texts: Sequence[str], patience: Patience) -> tuple[Vectors, int]:
        """The vectors of ``texts`` as they came, (n, dimension) float32, and the tokens that the endpoint counted.

        Raises:
            TooManyTextsError: fewer texts at once may do.
            EmbeddingRefusedError: key, model or request are refused.
            EmbeddingDownError: it kept failing until patience ended.
            EmbeddingNonsenseError: the answer is no list of as many vectors.
        """
        started, failures = patience.clock(), 0
        while True:
            try:
                return self._once(texts)
            except openai.APIStatusError as exc:
                if self._only_floats(exc):
                    self._format = "float"
                    continue
                self._refuse(exc, len(texts))
                failure: Exception = exc
                message = f"keeps failing (HTTP {exc.status_code}): {self._words(exc.message)}"
                asked = _retry_after(exc.response.headers)
            except openai.APIConnectionError as exc:
                failure, asked = exc, None
                message = (
                    f"did not answer within {self._timeout_s:g} s"
                    if isinstance(exc, openai.APITimeoutError)
                    else f"can't be reached: {self._words(str(exc.__cause__ or exc))}"
                )
            except openai.OpenAIError as exc:
                raise EmbeddingRefusedError(
                    f"The embedding endpoint {self._where} could not be asked: {self._words(str(exc))}."
                ) from exc
            failures += 1
            wait = patience.uniform() * min(_LONGEST_S, _BASE_S * 2.0 ** min(failures, 30)) if asked is None else asked
            if patience.clock() - started + wait > patience.seconds:
                raise EmbeddingDownError(f"The embedding endpoint {self._where} {message}.") from failure
            patience.sleep(wait)

    def _once(self, texts: Sequence[str]) -> tuple[Vectors, int]:
        raw = self._client.embeddings.with_raw_response.create(
            model=self._model, input=list(texts), encoding_format=self._format
        )
        return self._read(raw.content, len(texts))

    def _only_floats(self, exc: openai.APIStatusError) -> bool:
        refused = exc.status_code in (400, 422, 501) and self._format == "base64"
        return refused and any(word in exc.message for word in ("encoding_format", "base64"))

    def _refuse(self, exc: openai.APIStatusError, count: int) -> None:
        """Raise unless the request may succeed when it is sent again."""
        status, words = exc.status_code, self._words(exc.message)
        lowered = exc.message.lower()
        if count > 1 and (status == 413 or (status in (400, 422) and any(mark in lowered for mark in _TOO_MANY))):
            raise TooManyTextsError(f"{self._where}: {words}") from exc
        quota = {exc.code, exc.type} & _QUOTA
        if (status in _AGAIN or status >= 500) and not quota:
            return
        said = {401: "refused the API key", 403: "refused the API key", 404: "does not know the model or the path"}
        verb = "says that the quota is used up" if quota or status == 402 else said.get(status, "refused the request")
        raise EmbeddingRefusedError(f"The embedding endpoint {self._where} {verb} (HTTP {status}): {words}.") from exc

    def _words(self, text: str) -> str:
        """The endpoint's own words on one line, without the key."""
        if self._key:
            text = text.replace(self._key, "[key]")
        text = " ".join(text.split()).rstrip(".")
        return text if len(text) <= _DETAIL_CHARS else text[:_DETAIL_CHARS] + "…"

    def _read(self, content: bytes, count: int) -> tuple[Vectors, int]:
        try:
            body = json.loads(content)
            items = body["data"]
            rows = [_vector(item["embedding"]) for item in _in_order(items)]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as exc:
            raise self._nonsense("an answer that is no list of embeddings") from exc
        if len(rows) != count:
            raise self._nonsense(f"{len(rows)} vectors for {count} texts")
        lengths = sorted({len(row) for row in rows})
        if len(lengths) != 1 or lengths[0] == 0:
            raise self._nonsense(f"vectors of different lengths ({', '.join(map(str, lengths))})")
        vectors: Vectors = np.stack(rows)
        if not np.isfinite(vectors).all() or not vectors.any(axis=1).all():
            raise self._nonsense("a vector that is no direction (NaN, infinite or all zeros)")
        usage = body.get("usage")
        tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
        return vectors, tokens if isinstance(tokens, int) else 0

    def _nonsense(self, what: str) -> EmbeddingNonsenseError:
        return EmbeddingNonsenseError(f"The embedding endpoint {self._where} gave {what}.")


def _in_order(items: Any) -> list[Any]:
    """The items by their ``index``, which must be 0 to n - 1; as they came where none has one."""
    if not isinstance(items, list):
        raise TypeError("data is no list")
    if all("index" not in item for item in items):
        return items
    ordered = sorted(items, key=lambda item: int(item["index"]))
    if [item["index"] for item in ordered] != list(range(len(items))):
        raise ValueError("the indices are not 0 to n - 1")
    return ordered


def _vector(embedding: Any) -> Vectors:
    """A row out of numbers or out of base64 of little-endian float32."""
    if isinstance(embedding, str):
        try:
            return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4").astype(np.float32)
        except binascii.Error as exc:
            raise ValueError("no base64") from exc
    if not isinstance(embedding, list) or not all(
        isinstance(number, int | float) and not isinstance(number, bool) for number in embedding
    ):
        raise TypeError("no numbers")
    return np.asarray(embedding, dtype=np.float32)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the answer asks to wait; None where it asks nothing that can be read."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * scale
        except ValueError:
            try:
                seconds = max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
            except (TypeError, ValueError):
                continue
        if 0.0 <= seconds < float("inf"):
            return seconds
    return None
