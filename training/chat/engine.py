"""Answers conversations, several at once: each gets one token in turn, so that a short answer need not wait for a long.

Must not know pipes or HTTP: requests come in as values, events go out as plain dictionaries.

Use::

    chat = Chat()
    chat.submit({"id": "1", "model": {"base": …, "adapter": None, "recipe": …}, "messages": […], "max_tokens": 64})
    while chat.busy:
        for event in chat.turn():
            ...

Events, each with the request's ``id``: ``start`` (prompt_tokens, passages), ``delta`` (index, text, logprobs),
``finish`` (index, finish_reason), ``end`` (prompt_tokens, completion_tokens), or ``error`` instead of the rest.
Requests are taken in the order in which they came. One that needs another base than the loaded one waits until those
before it are answered, and so do those behind it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from typing import Any

import torch

from corpora.errors import InvalidInputError, MalmoiError
from training.chat.answering import Answering, Asked, read_asked
from training.chat.models import ADAPTERS, Shelf
from training.chat.prompt import fitted_prompt

__all__ = ["ACTIVE", "Chat"]

#: Requests answered at the same time; each holds its own key-value cache. Fewer than ``ADAPTERS``.
ACTIVE = 4

logger = logging.getLogger("malmoi.chat")
Event = dict[str, Any]


class Chat:
    """Answers of one process; not to be shared between threads."""

    def __init__(self, *, adapters: int = ADAPTERS, active: int = ACTIVE) -> None:
        self.shelf = Shelf(adapters)
        self._active_most = active
        self._waiting: deque[Asked] = deque()
        self._active: list[Answering] = []

    @property
    def busy(self) -> bool:
        """Whether something is to be answered."""
        return bool(self._waiting or self._active)

    def submit(self, request: dict[str, Any]) -> None:
        """Queue a request."""
        self._waiting.append(read_asked(request))

    def cancel(self, request_id: str) -> None:
        """Forget a request; nothing more is told of it."""
        self._waiting = deque(asked for asked in self._waiting if asked.id != request_id)
        self._active = [answering for answering in self._active if answering.asked.id != request_id]

    def turn(self) -> Iterator[Event]:
        """Take what can be taken, then give each request that is being answered one token."""
        yield from self._admit()
        for answering in list(self._active):
            if answering not in self._active:
                continue  # cancelled meanwhile
            try:
                events = answering.step(self.shelf)
            except Exception as exc:  # one request's fault, told to it alone
                self._active.remove(answering)
                yield _failure(answering.asked.id, exc)
                continue
            if answering.over:
                self._active.remove(answering)
            yield from events

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The whole first answer to one request, with nothing else under way: text, finish_reason, token counts.

        Raises:
            MalmoiError: what went wrong with it.
        """
        self.submit({"id": "only"} | request)
        text = ""
        told: dict[str, Any] = {}
        while self.busy:
            for event in self.turn():
                if event["type"] == "error":
                    raise event["exception"]
                if event["type"] == "delta" and event["index"] == 0:
                    text += event["text"]
                told |= event
        names = ("finish_reason", "prompt_tokens", "completion_tokens")
        return {"text": text} | {name: told[name] for name in names}

    def _admit(self) -> Iterator[Event]:
        while self._waiting and len(self._active) < self._active_most:
            asked = self._waiting[0]
            if self._active and asked.base != self.shelf.base:
                return
            self._waiting.popleft()
            try:
                answering = self._begin(asked)
            except Exception as exc:  # one request's fault, told to it alone
                yield _failure(asked.id, exc)
                continue
            self._active.append(answering)
            yield {
                "id": asked.id,
                "type": "start",
                "prompt_tokens": len(answering.prompt),
                "passages": answering.passages,
            }

    def _begin(self, asked: Asked) -> Answering:
        self.shelf.open(asked.base)
        in_use = {answering.adapter for answering in self._active if answering.adapter is not None}
        adapter = None if asked.adapter is None else self.shelf.adapter(asked.adapter, in_use)
        manner = self.shelf.manner(asked.recipe, asked.adapter)
        vocabulary = len(self.shelf.tokenizer)
        wrong = next((token for token in asked.sampling.logit_bias if not 0 <= token < vocabulary), None)
        if wrong is not None:
            raise InvalidInputError(f"'logit_bias': the model has no token {wrong}.", param="logit_bias")
        prompt, passages = fitted_prompt(asked, self.shelf.tokenizer, manner.template, self.shelf.context)
        return Answering(asked, prompt, passages, adapter, manner, self.shelf.context)


def _failure(request_id: str, exc: Exception) -> Event:
    """What became of a request, told; ``exception`` is for code and does not travel."""
    if isinstance(exc, torch.OutOfMemoryError):
        torch.cuda.empty_cache()
        exc = MalmoiError(
            "The GPU's memory is full.", code="out_of_memory", hint="Ask for fewer choices (n) or a shorter answer."
        )
    elif not isinstance(exc, MalmoiError):
        logger.error("request %s could not be answered", request_id, exc_info=exc)
        exc = MalmoiError(f"The model could not answer: {exc}", code="chat_failed")
    error = {"message": exc.message, "code": exc.code, "status": exc.status, "param": exc.param, "hint": exc.hint}
    return {"id": request_id, "type": "error", "error": error, "exception": exc}
