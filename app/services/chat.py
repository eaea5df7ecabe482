"""Chat completions in OpenAI's shapes, whole or in chunks, with a base, a checkpoint or a fine-tuned model.

``begin`` resolves the model, finds passages where a corpus is named, and asks the chat process; the ``Conversation``
that it gives turns the process's events into chunks and into the completion. Knows no HTTP.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from app.services.chat_context import Passage, citations, find_passages, url_citations
from app.services.chat_process import ChatProcess, Tell
from app.services.context import Services
from app.services.models import ChatTarget, chat_target
from corpora.errors import InvalidInputError, MalmoiError, MissingExtraError, UnavailableError

__all__ = ["ChatRequest", "Conversation", "begin", "begin_with", "failure"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRequest:
    """One chat completion, checked."""

    model: str  #: Base, checkpoint or fine-tuned model.
    messages: list[dict[str, str]]  #: Conversation, last turn the user's.
    max_tokens: int  #: Most tokens to generate.
    n: int = 1  #: Answers.
    stop: list[str] = field(default_factory=list)  #: Strings to end at.
    top_logprobs: int | None = None  #: Likeliest tokens told with each; None: no log-probabilities.
    sampling: Mapping[str, Any] = field(default_factory=dict)  #: temperature, top_p, seed, … that were given.
    corpus_id: str | None = None  #: Where passages come from.
    k: int = 5  #: Passages to look for.
    include_usage: bool = False  #: Whether a stream ends with the counts of tokens.


@dataclass(slots=True)
class _Choice:
    """One answer as far as it has come."""

    text: str = ""
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: str | None = None


class Conversation:
    """A completion under way."""

    def __init__(self, process: ChatProcess, request: ChatRequest, passages: Sequence[Passage]) -> None:
        self.request = request
        self._process = process
        self._found = passages
        self._shown: Sequence[Passage] = ()
        self._choices = [_Choice() for _ in range(request.n)]
        self._usage: dict[str, int] | None = None
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": request.model}
        self.asked = ""  #: What the chat process knows it by.

    def cancel(self) -> None:
        """Nobody listens any more."""
        self._process.cancel(self.asked)

    def take(self, event: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Note an event; returns the chunks that a stream sends for it.

        Raises:
            MalmoiError: the event tells of an error.
        """
        kind = event["type"]
        if kind == "error":
            raise failure(event["error"])
        if kind == "start":
            self._shown = self._found[: event["passages"]]
            delta = {"role": "assistant", "content": "", "refusal": None}
            return [self._chunk(index, delta) for index in range(self.request.n)]
        if kind == "delta":
            return [self._grow(event["index"], event["text"], event["logprobs"])]
        if kind == "finish":
            return [self._finish(event["index"], event["finish_reason"])]
        prompt, made = event["prompt_tokens"], event["completion_tokens"]
        self._usage = {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made}
        if not self.request.include_usage:
            return []
        return [self._head | {"object": "chat.completion.chunk", "choices": [], "usage": self._usage}]

    def completion(self) -> dict[str, Any]:
        """The whole of it, once ``end`` was taken."""
        assert self._usage is not None
        choices = [
            {
                "index": index,
                "message": {
                    "role": "assistant",
                    "content": choice.text,
                    "refusal": None,
                    "annotations": url_citations(self._shown, choice.text),
                },
                "finish_reason": choice.finish_reason,
                "logprobs": self._logprobs(choice.logprobs),
            }
            for index, choice in enumerate(self._choices)
        ]
        body = self._head | {"object": "chat.completion", "choices": choices, "usage": self._usage}
        return body | self.citations()

    def citations(self) -> dict[str, Any]:
        """``citations`` and ``retrieval`` where a corpus was named."""
        if self.request.corpus_id is None:
            return {}
        return {
            "citations": citations(self._shown, [choice.text for choice in self._choices]),
            "retrieval": {"found": len(self._found), "shown": len(self._shown)},
        }

    def _grow(self, index: int, text: str, logprobs: list[dict[str, Any]]) -> dict[str, Any]:
        choice = self._choices[index]
        choice.text += text
        choice.logprobs += logprobs
        return self._chunk(index, {"content": text}, self._logprobs(logprobs))

    def _finish(self, index: int, reason: str) -> dict[str, Any]:
        choice = self._choices[index]
        choice.finish_reason = reason
        last = all(other.finish_reason is not None for other in self._choices)
        noted = url_citations(self._shown, choice.text)
        chunk = self._chunk(index, {"annotations": noted} if noted else {}, finish_reason=reason)
        return chunk | (self.citations() if last else {})

    def _logprobs(self, entries: list[dict[str, Any]]) -> dict[str, Any] | None:
        return None if self.request.top_logprobs is None else {"content": entries, "refusal": None}

    def _chunk(
        self,
        index: int,
        delta: dict[str, Any],
        logprobs: dict[str, Any] | None = None,
        finish_reason: str | None = None,
    ) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        body = self._head | {"object": "chat.completion.chunk", "choices": [choice]}
        return body | ({"usage": None} if self.request.include_usage else {})


def begin(services: Services, process: ChatProcess, request: ChatRequest, tell: Tell) -> Conversation:
    """Ask for a completion; ``tell`` hears the events, which go to the conversation's ``take``.

    Raises:
        NotFoundError: there is no such model or corpus.
        InvalidInputError: the corpus has nothing to search in (``index_missing``).
        UnavailableError: the model or the index is not built yet, or training holds the GPU.
        MissingExtraError: torch is not installed.
    """
    target = chat_target(services, request.model)
    if find_spec("torch") is None:
        raise MissingExtraError("train", "Chat")
    passages: tuple[Passage, ...] = ()
    if request.corpus_id is not None:
        passages = find_passages(services, request.corpus_id, request.messages, request.k)
    return begin_with(process, target, request, passages, tell)


def begin_with(
    process: ChatProcess, target: ChatTarget, request: ChatRequest, passages: Sequence[Passage], tell: Tell
) -> Conversation:
    """The same with the model and the passages at hand."""
    conversation = Conversation(process, request, passages)
    wire = {
        "model": {"base": target.base_path, "adapter": target.adapter_path, "recipe": target.recipe},
        "messages": request.messages,
        "passages": [[passage.label, passage.chunk["text"]] for passage in passages],
        "max_tokens": request.max_tokens,
        "n": request.n,
        "stop": request.stop,
        "top_logprobs": request.top_logprobs,
        **request.sampling,
    }
    conversation.asked = process.ask(wire, tell)
    return conversation


def failure(error: Mapping[str, Any]) -> MalmoiError:
    """An error of the chat process as one of our tree."""
    status = error.get("status", 500)
    kind = InvalidInputError if status < 500 else UnavailableError if status == UnavailableError.status else MalmoiError
    return kind(error["message"], code=error.get("code"), param=error.get("param"), hint=error.get("hint") or "")
