"""Turns the openai client's exceptions into our errors, and says which are worth another attempt.

A pure function of the exception; keys never enter a message. Must not send, wait or count.
"""

from __future__ import annotations

from dataclasses import dataclass

import openai

from generators.llm.errors import (
    ContextTooSmallError,
    EndpointDownError,
    EndpointError,
    KeyRefusedError,
    QuotaExhaustedError,
    RequestRefusedError,
)
from generators.llm.retry import parse_retry_after
from generators.llm.settings import EndpointSettings

__all__ = ["Failure", "detail_of", "translate"]

_DETAIL_CHARS = 300
_RETRYABLE_4XX = frozenset({408, 409, 429})
# OpenAI's codes; compatible servers copy them. Others (vLLM, llama.cpp) say it only in words, hence the phrases.
_CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_CONTEXT_PHRASES = ("maximum context length", "context size", "context window", "reduce the length")
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A send that gave no reply."""

    kind: type[EndpointError]  #: The error to raise when giving up.
    message: str  #: What happened, without the closing full stop.
    again: bool  #: Whether another attempt makes sense.
    maybe_billed: bool = False  #: Whether the endpoint may have worked on it: then the reservation counts as spent.
    retry_after_s: float | None = None  #: What the endpoint asked for in seconds.
    cause: Exception | None = None  #: The exception behind it.


def detail_of(text: str, api_key: str) -> str:
    """The endpoint's own words on one line, at most 300 characters (then ``…``), without the key."""
    if api_key:
        text = text.replace(api_key, "[key]")
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= _DETAIL_CHARS else text[:_DETAIL_CHARS] + "…"


def translate(error: openai.OpenAIError, settings: EndpointSettings) -> Failure:
    """What an exception of the openai client means."""
    where = f"The model endpoint {settings.base_url}"
    if isinstance(error, openai.APITimeoutError):
        sent = not _never_connected(error)
        message = f"{where} did not answer within {settings.timeout_s:g} s"
        return Failure(kind=EndpointDownError, message=message, again=True, maybe_billed=sent, cause=error)
    if isinstance(error, openai.APIConnectionError):
        sent = not _never_connected(error)
        said = detail_of(str(error.__cause__ or error), settings.api_key)
        message = f"{where} can't be reached: {said}"
        return Failure(kind=EndpointDownError, message=message, again=True, maybe_billed=sent, cause=error)
    if isinstance(error, openai.APIStatusError):
        return _translate_status(error, where, settings)
    said = detail_of(str(error), settings.api_key)
    return Failure(kind=RequestRefusedError, message=f"{where} could not be asked: {said}", again=False, cause=error)


def _translate_status(error: openai.APIStatusError, where: str, settings: EndpointSettings) -> Failure:
    status = error.status_code
    said = detail_of(error.message, settings.api_key)
    codes = {error.code, error.type}
    kind: type[EndpointError] = RequestRefusedError
    verb = "refused the request"
    if status in (401, 403):
        kind, verb = KeyRefusedError, "refused the API key"
    elif status == 402 or codes & _QUOTA_CODES:
        kind, verb = QuotaExhaustedError, "says that the quota is used up"
    elif status in (400, 413, 422) and (
        codes & _CONTEXT_CODES or any(phrase in error.message.lower() for phrase in _CONTEXT_PHRASES)
    ):
        kind, verb = ContextTooSmallError, "says that the prompt does not fit the model"
    elif status in _RETRYABLE_4XX or status >= 500:
        kind, verb = EndpointDownError, "is limiting requests" if status == 429 else "keeps failing"
    headers = error.response.headers
    return Failure(
        kind=kind,
        message=f"{where} {verb} (HTTP {status}): {said}",
        again=kind is EndpointDownError,
        retry_after_s=parse_retry_after(headers.get("retry-after-ms"), headers.get("retry-after")),
        cause=error,
    )


def _never_connected(error: openai.APIConnectionError) -> bool:
    """Whether the connection was never made, so that nothing can have been billed."""
    # By name: the HTTP library beneath the openai client has changed before and is none of our dependencies.
    return type(error.__cause__).__name__ in {"ConnectError", "ConnectTimeout"}
