"""Asks an OpenAI-compatible endpoint (OpenAI, vLLM, Ollama, llama.cpp …) through the ``openai`` package.

This module is the HTTP; patience, budget and cache are ``asker``'s. Must not know prompts, generators or where cache
and ledger live.

Use::

    client = OpenAIModelClient(EndpointSettings(base_url=..., api_key=..., model=...), cache=cache, ledger=ledger)
    reply, usage = await client.complete(ModelRequest(slot=0, step="pairs", messages=(...,), max_tokens=512))
    client.stats()
    await client.aclose()
"""

from __future__ import annotations

import asyncio
import json

import httpx2
import openai

from generators.llm.asker import Asker
from generators.llm.endpoint import Endpoint
from generators.llm.parameters import ParameterSupport
from generators.llm.rates import read_hints
from generators.llm.settings import EndpointSettings
from generators.llm.structured import Mode
from generators.llm.timing import Timing
from generators.llm.translate import time_out, translate
from generators.llm.transport import Sent
from generators.llm.wire import claim_of, completion_body, read_completion, request_hash, token_upper_bound
from generators.ports import Claim, Ledger, ModelRequest, Reply, ReplyCache

__all__ = [
    "EndpointSettings",
    "OpenAIModelClient",
    "OpenAITransport",
    "claim_of",
    "openai_client",
    "request_hash",
    "token_upper_bound",
]

#: Seconds to make a connection, where the whole request may take longer.
_CONNECT_S = 15.0
_HEADERS = {"Content-Type": "application/json"}


def openai_client(settings: EndpointSettings) -> openai.AsyncOpenAI:
    """The openai client of an endpoint: no retries of its own, a pool as large as the concurrency, HTTP/1.1."""
    # Retries are ours, or they would bypass the budget. The pool keeps every connection: with the package's default
    # of 100 idle ones, 256 requests at once would make most of their connections anew.
    pool = httpx2.Limits(max_connections=None, max_keepalive_connections=settings.concurrency)
    timeout = httpx2.Timeout(settings.timeout_s, connect=min(_CONNECT_S, settings.timeout_s))
    client = openai.AsyncOpenAI(
        base_url=settings.base_url,
        # The key "none" is for servers without one; the openai client insists on some text.
        api_key=settings.api_key or "none",
        timeout=timeout,
        max_retries=0,
        http_client=openai.DefaultAsyncHttpxClient(limits=pool, timeout=timeout, http2=False),
    )
    # The openai client takes these from the environment; another endpoint has no business with them.
    client.organization = None
    client.project = None
    return client


class OpenAITransport:
    """Chat completions over HTTP."""

    def __init__(self, settings: EndpointSettings, timing: Timing, parameters: ParameterSupport | None = None) -> None:
        self._parameters = parameters or ParameterSupport()
        self._settings = settings
        self._timing = timing
        self._client = openai_client(settings)

    async def send(self, request: ModelRequest, claim: Claim, mode: Mode) -> Sent:
        """Send once."""
        body = self._parameters.adapted(completion_body(request, self._settings, mode))
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        try:
            # The time-outs of the connection are per read; an answer that drips for ever is none either.
            async with asyncio.timeout(self._settings.timeout_s):
                # The response as it is: the package's typed methods check the request and build a model of the answer,
                # which together take longer than sending it (see docs/decisions.md).
                response = await self._client.post(
                    "/chat/completions",
                    cast_to=httpx2.Response,
                    content=content,
                    options={"headers": _HEADERS},
                )
        except TimeoutError as error:
            return Sent(failure=time_out(self._settings, sent=True, cause=error))
        except openai.OpenAIError as error:
            return Sent(failure=translate(error, self._settings, self._timing.wall()))
        hints = read_hints(response.headers)
        outcome = read_completion(response.content, claim, self._settings)
        if isinstance(outcome, Reply):
            return Sent(reply=outcome, hints=hints)
        return Sent(failure=outcome)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()


class OpenAIModelClient(Asker):
    """A model behind an OpenAI-compatible endpoint, with one job's cache and budget.

    Safe for many ``complete`` calls at once in one event loop.
    """

    def __init__(
        self, settings: EndpointSettings, *, cache: ReplyCache, ledger: Ledger, endpoint: Endpoint | None = None
    ) -> None:
        """Connect lazily.

        Args:
            settings: where to ask and how patiently.
            cache: replies of the job.
            ledger: budget of the job.
            endpoint: what is shared with other clients of the same endpoint and model; None for a client on its own.
        """
        shared = endpoint or Endpoint(settings)
        transport = OpenAITransport(settings, shared.timing, shared.parameters)
        super().__init__(settings, transport, cache=cache, ledger=ledger, endpoint=shared)
