"""Turns the openai client's exceptions into our errors, and says which are worth another attempt.

A pure function of the exception; keys never enter a message. Must not send, wait or count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import openai

from generators.llm.errors import (
    ContextTooSmallError,
    EndpointDownError,
    EndpointError,
    KeyRefusedError,
    QuotaExhaustedError,
    RequestFailedError,
    RequestRefusedError,
)
from generators.llm.rates import RateHints, parse_retry_after, read_hints
from generators.llm.settings import EndpointSettings

__all__ = ["Failure", "detail_of", "status_failure", "time_out", "translate"]

_DETAIL_CHARS = 300
_RETRYABLE_4XX = frozenset({408, 409})
# OpenAI's codes; compatible servers copy them. Others (vLLM, llama.cpp) say it only in words, hence the phrases.
_CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_CONTEXT_PHRASES = ("maximum context length", "context size", "context window", "reduce the length")
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
# One request that no waiting mends: its content is refused, or it alone is larger than a minute's tokens.
_CONTENT_CODES = frozenset({"content_filter", "content_policy_violation", "invalid_prompt", "moderation_blocked"})
_OVERSIZE_PHRASE = "request too large"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A send that gave no reply."""

    kind: type[EndpointError]  #: The error to raise when giving up.
    message: str  #: What happened, without the closing full stop.
    outcome: str  #: How the ledger names it: ``http_429``, ``timeout``, ``connection`` …
    again: bool  #: Whether another attempt makes sense.
    maybe_billed: bool = False  #: Whether the endpoint may have worked on it: then the reservation counts as spent.
    overload: bool = False  #: 429, 503 or a time-out: too much at once.
    busy: bool = False  #: 429 or 503: says nothing about the request itself.
    status: int | None = None  #: HTTP status, where an answer came.
    retry_after_s: float | None = None  #: What the endpoint asked for in seconds.
    hints: RateHints | None = None  #: Limits that the answer's headers report.
    cause: Exception | None = None  #: The exception behind it.


def detail_of(text: str, api_key: str) -> str:
    """The endpoint's own words on one line, at most 300 characters (then ``…``), without the key."""
    if api_key:
        text = text.replace(api_key, "[key]")
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= _DETAIL_CHARS else text[:_DETAIL_CHARS] + "…"


def translate(error: openai.OpenAIError, settings: EndpointSettings, wall: float) -> Failure:
    """What an exception of the openai client means; ``wall`` is Unix seconds, for a ``Retry-After`` that is a date."""
    where = f"The model endpoint {settings.where}"
    if isinstance(error, openai.APITimeoutError):
        return time_out(settings, sent=not _never_connected(error), cause=error)
    if isinstance(error, openai.APIConnectionError):
        sent = not _never_connected(error)
        said = detail_of(str(error.__cause__ or error), settings.api_key)
        message = f"{where} can't be reached: {said}"
        return Failure(
            kind=EndpointDownError, message=message, again=True, maybe_billed=sent, cause=error, outcome="connection"
        )
    if isinstance(error, openai.APIStatusError):
        return status_failure(
            error.status_code,
            {error.code, error.type},
            error.message,
            settings=settings,
            headers=error.response.headers,
            wall=wall,
            cause=error,
        )
    said = detail_of(str(error), settings.api_key)
    message = f"{where} could not be asked: {said}"
    return Failure(kind=RequestRefusedError, message=message, again=False, cause=error, outcome="not_sent")


def time_out(settings: EndpointSettings, *, sent: bool, cause: Exception) -> Failure:
    """No answer in time; it may have been worked on, unless no connection was ever made."""
    message = f"The model endpoint {settings.where} did not answer within {settings.timeout_s:g} s"
    return Failure(
        kind=EndpointDownError,
        message=message,
        again=True,
        maybe_billed=sent,
        overload=True,
        cause=cause,
        outcome="timeout",
    )


def status_failure(
    status: int,
    codes: set[str | None],
    words: str,
    *,
    settings: EndpointSettings,
    headers: Mapping[str, str],
    wall: float,
    cause: Exception | None = None,
) -> Failure:
    """What an answer that is no success means.

    Args:
        status: HTTP status.
        codes: the error's code and type, as far as the endpoint gave any.
        words: the endpoint's message.
        settings: whom we asked.
        headers: of the answer.
        wall: Unix seconds now.
        cause: the exception behind it.
    """
    kind, verb = _kind_of(status, codes, words.lower())
    hints = read_hints(headers)
    retry_after = parse_retry_after(headers, wall)
    if retry_after is None and status == 429 and hints is not None:
        retry_after = hints.wait_s()
    busy = kind is EndpointDownError and status in (429, 503)
    return Failure(
        kind=kind,
        message=f"The model endpoint {settings.where} {verb} (HTTP {status}): {detail_of(words, settings.api_key)}",
        outcome=f"http_{status}",
        again=kind is EndpointDownError,
        overload=busy,
        busy=busy,
        status=status,
        retry_after_s=retry_after if kind is EndpointDownError else None,
        hints=hints,
        cause=cause,
    )


def _kind_of(status: int, codes: set[str | None], words: str) -> tuple[type[EndpointError], str]:
    unread = status in (400, 403, 413, 422)
    too_long = bool(codes & _CONTEXT_CODES) or any(phrase in words for phrase in _CONTEXT_PHRASES)
    kinds: tuple[tuple[bool, type[EndpointError], str], ...] = (
        (unread and bool(codes & _CONTENT_CODES), RequestFailedError, "refused the content of the request"),
        (status in (401, 403), KeyRefusedError, "refused the API key"),
        (status == 402 or bool(codes & _QUOTA_CODES), QuotaExhaustedError, "says that the quota is used up"),
        (unread and too_long, ContextTooSmallError, "says that the prompt does not fit the model"),
        (
            status == 429 and _OVERSIZE_PHRASE in words,
            ContextTooSmallError,
            "says that the request alone is over the limit of tokens a minute",
        ),
        (status == 429, EndpointDownError, "is limiting requests"),
        (status in _RETRYABLE_4XX or status >= 500, EndpointDownError, "keeps failing"),
    )
    found = next(((kind, verb) for holds, kind, verb in kinds if holds), None)
    return found or (RequestRefusedError, "refused the request")


def _never_connected(error: openai.APIConnectionError) -> bool:
    """Whether the connection was never made, so that nothing can have been billed."""
    # By name: the HTTP library beneath the openai client has changed before.
    return type(error.__cause__).__name__ in {"ConnectError", "ConnectTimeout", "PoolTimeout"}
