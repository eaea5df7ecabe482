"""A request on its way out and a completion on its way in: pure functions between our records and OpenAI's JSON.

The cache key is made of the ``ModelRequest``, not of what goes over the wire: what an endpoint turned out to support
must not make a job ask again. Must not send, wait or count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from corpora.records import Message
from generators.llm.errors import NonsenseReplyError
from generators.llm.settings import EndpointSettings
from generators.llm.structured import Mode, response_format
from generators.llm.translate import Failure, detail_of
from generators.ports import Claim, ModelRequest, Reply

__all__ = ["claim_of", "completion_body", "read_completion", "request_hash", "request_key", "token_upper_bound"]

# Tokens a chat template may add: once for its preamble and generation prompt, and once a message for role and marks.
# The longest preamble of the templates in use (Vicuna's English sentence, 139 bytes) fits twice.
_TEMPLATE_TOKENS = 288
_MESSAGE_TOKENS = 16


def request_hash(request: Mapping[str, Any]) -> str:
    """SHA-256 of a mapping as canonical JSON (sorted keys, no spaces, UTF-8)."""
    canonical = json.dumps(request, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def request_key(model: str, request: ModelRequest) -> str:
    """The cache key of a request.

    Model and everything that is asked are in it. The base URL is not (the same model behind another address gives no
    reason to pay again), nor is how a schema or a seed is sent, nor slot and step, which are keys of their own.
    """
    asked: dict[str, Any] = {
        "model": model,
        "messages": [[message.role, message.content] for message in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
        "stop": list(request.stop),
        "presence_penalty": request.presence_penalty,
        "schema": request.schema,
    }
    return request_hash(asked)


def token_upper_bound(messages: Sequence[Message], max_tokens: int) -> int:
    """Tokens that one request can cost at most: no tokeniser makes more tokens than there are UTF-8 bytes."""
    sent = sum(len(message.content.encode("utf-8")) + _MESSAGE_TOKENS for message in messages)
    return sent + _TEMPLATE_TOKENS + max_tokens


def claim_of(request: ModelRequest, model: str) -> Claim:
    """What a request may cost at most. A schema counts too: endpoints that take one may put it into the prompt."""
    schema = len(json.dumps(request.schema, ensure_ascii=False).encode("utf-8")) if request.schema is not None else 0
    return Claim(
        slot=request.slot,
        step=request.step,
        model=model,
        prompt_tokens=token_upper_bound(request.messages, 0) + schema,
        completion_tokens=request.max_tokens,
    )


def completion_body(request: ModelRequest, settings: EndpointSettings, mode: Mode) -> dict[str, Any]:
    """The request as it goes over the wire; only what is asked for, since some endpoints refuse unknown fields."""
    body: dict[str, Any] = {
        "model": settings.model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
    }
    if request.seed is not None and settings.send_seed:
        body["seed"] = request.seed
    if request.stop:
        body["stop"] = list(request.stop)
    if request.presence_penalty:
        body["presence_penalty"] = request.presence_penalty
    wanted = response_format(request.schema, mode) if request.schema is not None else None
    if wanted is not None:
        body["response_format"] = wanted
    return body


def read_completion(content: bytes, claim: Claim, settings: EndpointSettings) -> Reply | Failure:
    """The reply in the body of a success; where nobody reports usage, the upper bound is counted.

    The few fields that are relied on are checked by hand: it is the path of every request, and a model class of the
    whole answer costs more than everything else that is done with it.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        return _nonsense(content, settings, cause=error)
    reply = _reply(document, claim) if isinstance(document, dict) else None
    return reply if reply is not None else _nonsense(content, settings, cause=None)


def _reply(document: Mapping[str, Any], claim: Claim) -> Reply | None:
    choices = document.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        return None
    text, finish, model = message.get("content"), choice.get("finish_reason"), document.get("model")
    if not isinstance(text, str | None) or not isinstance(finish, str | None):
        return None
    usage = document.get("usage")
    prompt, completion = (
        (_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))
        if isinstance(usage, dict)
        else (None, None)
    )
    return Reply(
        # PostgreSQL stores no NUL; as U+FFFD it is seen and refused by the filters like other broken text.
        text=(text or "").replace("\0", "\ufffd"),
        finish_reason=finish or "stop",
        model=model if isinstance(model, str) and model else claim.model,
        prompt_tokens=claim.prompt_tokens if prompt is None else prompt,
        completion_tokens=claim.completion_tokens if completion is None else completion,
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _nonsense(content: bytes, settings: EndpointSettings, cause: Exception | None) -> Failure:
    said = detail_of(content.decode("utf-8", errors="replace"), settings.api_key)
    # The endpoint answered 200 and may have charged for it. JSON without choices is how some routers report a passing
    # failure, broken JSON a connection that was cut; whether it is one, the retries tell.
    return Failure(
        kind=NonsenseReplyError,
        message=f"The model endpoint {settings.where} answered with no chat completion: {said}",
        again=not content.lstrip().startswith(b"<"),
        maybe_billed=True,
        cause=cause,
        outcome="nonsense",
        status=200,
    )
