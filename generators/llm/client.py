"""Asks an OpenAI-compatible endpoint: cache first, then budget, then the wire, with bounded retries.

One ``complete`` is one decided reply. Replies that arrived are cached before they are used, so a resumed job sends
nothing twice; failures are never cached. Must not know prompts, generators or where cache and ledger live.

Use::

    client = OpenAIModelClient(EndpointSettings(base_url=..., api_key=..., model=...), cache=cache, ledger=ledger)
    reply, usage = await client.complete(slot=0, step="pairs", messages=[...], max_tokens=512, temperature=0.7)
    await client.aclose()
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import openai
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from corpora.records import Message
from generators.llm.errors import NonsenseReplyError
from generators.llm.retry import Pauses
from generators.llm.settings import EndpointSettings
from generators.llm.translate import Failure, detail_of, translate
from generators.ports import Ledger, Reply, ReplyCache, Usage

__all__ = ["EndpointSettings", "OpenAIModelClient", "request_hash", "token_upper_bound"]

# Tokens a chat template may add: once for its preamble and generation prompt, and once a message for role and marks.
# The longest preamble of the templates in use (Vicuna's English sentence, 139 bytes) fits twice.
_TEMPLATE_TOKENS = 288
_MESSAGE_TOKENS = 16


class _ReplyMessage(BaseModel):
    model_config = ConfigDict(strict=True)
    content: str | None = None


class _Choice(BaseModel):
    model_config = ConfigDict(strict=True)
    message: _ReplyMessage
    finish_reason: str | None = None


class _Usage(BaseModel):
    model_config = ConfigDict(strict=True)
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)


class _Completion(BaseModel):
    """The part of a chat completion that is relied on; the rest may be anything."""

    model_config = ConfigDict(strict=True)
    choices: list[_Choice] = Field(min_length=1)
    model: str | None = None
    usage: _Usage | None = None


def request_hash(request: Mapping[str, Any]) -> str:
    """SHA-256 of the request as canonical JSON (sorted keys, no spaces, UTF-8).

    The base URL is no part of it: the same model behind another address gives no reason to pay again.
    """
    canonical = json.dumps(request, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def token_upper_bound(messages: Sequence[Message], max_tokens: int) -> int:
    """Tokens that one request can cost at most: no tokeniser makes more tokens than there are UTF-8 bytes."""
    sent = sum(len(message.content.encode("utf-8")) + _MESSAGE_TOKENS for message in messages)
    return sent + _TEMPLATE_TOKENS + max_tokens


class OpenAIModelClient:
    """A model behind an OpenAI-compatible endpoint, with one job's cache and budget.

    Safe for many ``complete`` calls at once in one event loop.
    """

    def __init__(
        self, settings: EndpointSettings, *, cache: ReplyCache, ledger: Ledger, pauses: Pauses | None = None
    ) -> None:
        self.settings = settings
        self._cache = cache
        self._ledger = ledger
        self._pauses = pauses or Pauses()
        self._slots = asyncio.Semaphore(settings.concurrency)
        # max_retries=0: retries are ours, or they would bypass the budget. The key "none" is for servers without one;
        # the openai client insists on some text.
        self._client = openai.AsyncOpenAI(
            base_url=settings.base_url,
            api_key=settings.api_key or "none",
            timeout=settings.timeout_s,
            max_retries=0,
        )
        # The openai client takes these from the environment; another endpoint has no business with them.
        self._client.organization = None
        self._client.project = None

    async def complete(
        self,
        *,
        slot: int,
        step: str,
        messages: Sequence[Message],
        max_tokens: int,
        temperature: float,
        top_p: float = 1.0,
        seed: int | None = None,
    ) -> tuple[Reply, Usage]:
        """One reply, from the cache if this slot and step have asked exactly this before.

        Args:
            slot: number of the slot that asks.
            step: which of the slot's requests this is.
            messages: the conversation so far.
            max_tokens: upper limit of the reply in tokens.
            temperature: sampling temperature.
            top_p: nucleus of the sampling.
            seed: sampling seed, sent where the settings allow it.

        Returns:
            The reply and what it cost: sends of this call (none for a cached reply) and reported tokens. Where an
            endpoint reports no usage, the reserved upper bound is counted, so that the budget stays a limit.

        Raises:
            BudgetExhaustedError: the budget does not cover another send; nothing was sent.
            EndpointError: one of its kinds, after every attempt that made sense.
        """
        request: dict[str, Any] = {
            "model": self.settings.model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "max_tokens": max_tokens,
            "temperature": temperature,
            "top_p": top_p,
        }
        if seed is not None and self.settings.send_seed:
            request["seed"] = seed
        key = request_hash(request)
        cached = self._cache.get(slot, step, key)
        if cached is not None:
            return cached, Usage(cached_requests=1)
        bound = token_upper_bound(messages, max_tokens)
        reply, usage = await self._send_until_done(request, bound, max_tokens)
        self._cache.put(slot, step, key, reply)
        return reply, usage

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _send_until_done(self, request: dict[str, Any], bound: int, max_tokens: int) -> tuple[Reply, Usage]:
        spent = Usage()
        while True:
            outcome = await self._send(request, bound, max_tokens)
            if isinstance(outcome, Reply):
                return outcome, spent + Usage(
                    requests=1, prompt_tokens=outcome.prompt_tokens, completion_tokens=outcome.completion_tokens
                )
            spent += Usage(requests=1, prompt_tokens=bound - max_tokens if outcome.maybe_billed else 0)
            spent += Usage(completion_tokens=max_tokens if outcome.maybe_billed else 0)
            policy = self.settings.retry
            wait = policy.wait_s(spent.requests, self._pauses.uniform(), outcome.retry_after_s)
            if not outcome.again or wait is None:
                sends = f" after {spent.requests} attempts" if outcome.again else ""
                raise outcome.kind(f"{outcome.message}{sends}.", usage=spent) from outcome.cause
            if outcome.retry_after_s:
                self._pauses.hold(outcome.retry_after_s)
            await self._pauses.sleep(wait)

    async def _send(self, request: dict[str, Any], bound: int, max_tokens: int) -> Reply | Failure:
        """Send once: reserve, ask, settle. A crash or cancellation in between leaves the reservation as spent."""
        async with self._slots:
            await self._pauses.pass_gate()
            reservation = self._ledger.reserve(bound)
            try:
                response = await self._client.chat.completions.with_raw_response.create(**request)
            except openai.OpenAIError as error:
                failure = translate(error, self.settings)
                self._settle_failure(reservation, failure, bound, max_tokens)
                return failure
        try:
            completion = _Completion.model_validate_json(response.content)
        except ValidationError as error:
            # The endpoint answered 200 and may have charged for it.
            self._ledger.settle(reservation, bound - max_tokens, max_tokens)
            what = detail_of(response.content.decode("utf-8", errors="replace"), self.settings.api_key)
            message = f"The model endpoint {self.settings.base_url} answered with no chat completion: {what}"
            # A page that is no JSON stays one; JSON without choices is how some routers report a passing failure.
            again = error.errors()[0]["type"] != "json_invalid"
            return Failure(kind=NonsenseReplyError, message=message, again=again, maybe_billed=True, cause=error)
        usage = completion.usage or _Usage(prompt_tokens=bound - max_tokens, completion_tokens=max_tokens)
        self._ledger.settle(reservation, usage.prompt_tokens, usage.completion_tokens)
        choice = completion.choices[0]
        return Reply(
            # PostgreSQL stores no NUL; as U+FFFD it is seen and refused by the filters like other broken text.
            text=(choice.message.content or "").replace("\0", "\ufffd"),
            finish_reason=choice.finish_reason or "stop",
            model=completion.model or self.settings.model,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
        )

    def _settle_failure(self, reservation: int, failure: Failure, bound: int, max_tokens: int) -> None:
        if failure.maybe_billed:
            self._ledger.settle(reservation, bound - max_tokens, max_tokens)
        else:
            self._ledger.settle(reservation, 0, 0)
