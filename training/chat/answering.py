"""One request being answered: its prompt, its key-value cache, and the answers (``n`` of them) that grow together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from training.chat.models import Manner, Shelf
from training.chat.sampling import Sampler, Sampling, most_likely
from training.chat.text import AnswerText, TokenBytes, spelled

__all__ = ["TOGETHER", "Answering", "Asked", "read_asked"]

#: Answers of one request that grow at the same time; the others follow. Bounds the key-value cache's memory.
TOGETHER = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request, checked by whoever sent it."""

    id: str  #: What its events are told by.
    base: str  #: Folder or hub name.
    adapter: str | None  #: Folder, or None for the bare base.
    recipe: str  #: Whose template is used.
    messages: tuple[Mapping[str, str], ...]  #: Role and content of each turn.
    passages: tuple[tuple[str, str], ...]  #: Label and text of what was retrieved, best first.
    max_tokens: int  #: Most tokens of an answer.
    n: int  #: Answers.
    stop: tuple[str, ...]  #: Strings that end an answer.
    sampling: Sampling  #: How tokens are drawn.
    top_logprobs: int | None  #: Likeliest tokens told with each one; None tells no log-probabilities at all.


def read_asked(request: Mapping[str, Any]) -> Asked:
    """A request as it comes over the wire; what it leaves out has OpenAI's defaults."""
    model = request["model"]
    names = ("temperature", "top_p", "top_k", "repetition_penalty", "presence_penalty", "frequency_penalty", "seed")
    drawn = {name: request[name] for name in names if request.get(name) is not None}
    for name in set(drawn) - {"top_k", "seed"}:
        drawn[name] = float(drawn[name])
    bias = {int(token): float(value) for token, value in (request.get("logit_bias") or {}).items()}
    return Asked(
        id=request["id"],
        base=model["base"],
        adapter=model["adapter"],
        recipe=model["recipe"],
        messages=tuple(request["messages"]),
        passages=tuple((label, text) for label, text in request.get("passages") or ()),
        max_tokens=request["max_tokens"],
        n=request.get("n") or 1,
        stop=tuple(request.get("stop") or ()),
        sampling=Sampling(logit_bias=bias, **drawn),
        top_logprobs=request.get("top_logprobs"),
    )


class _Choice:
    """One of the answers."""

    def __init__(self, index: int, asked: Asked, stops: tuple[str, ...]) -> None:
        self.index = index
        self.sampler = Sampler(asked.sampling, index)
        self.text = AnswerText(stops)
        self.tokens: list[int] = []
        self.spoken = False  #: Whether a token has said anything.


class Answering:
    """The answers to one request; ``step`` gives each of at most ``TOGETHER`` of them one token."""

    def __init__(
        self, asked: Asked, prompt: list[int], passages: int, adapter: str | None, manner: Manner, context: int
    ) -> None:
        self.asked = asked
        self.prompt = prompt
        self.passages = passages
        self.adapter = adapter
        self._stop_ids = manner.stop_ids
        self._most = min(asked.max_tokens, context - len(prompt))
        stops = asked.stop if manner.stop_phrase is None else (*asked.stop, manner.stop_phrase)
        self._choices = [_Choice(index, asked, stops) for index in range(asked.n)]
        self._later = list(self._choices[TOGETHER:])
        self._live = list(self._choices[:TOGETHER])
        self._inputs = [prompt]
        self._cache: Any = None

    @property
    def over(self) -> bool:
        """Whether every answer has ended."""
        return not self._live

    @torch.no_grad()
    def step(self, shelf: Shelf) -> list[dict[str, Any]]:
        """One more token of every answer that has not ended, as events.

        Raises:
            BrokenModelError: the model gives no numbers.
        """
        model = shelf.use(self.adapter)
        output = model(
            input_ids=torch.tensor(self._inputs, device=shelf.device),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        # The model may have rows for more tokens than the tokenizer has; those are nothing.
        logits = output.logits[:, -1, : len(shelf.tokenizer)].float()
        if self._cache is None and len(self._live) > 1:
            # The prompt was read once for all of these answers.
            output.past_key_values.batch_repeat_interleave(len(self._live))
            logits = logits.expand(len(self._live), -1)
        self._cache = output.past_key_values
        events: list[dict[str, Any]] = []
        going: list[int] = []
        for row, choice in enumerate(self._live):
            token = choice.sampler.pick(logits[row], self.prompt, choice.tokens)
            reason = self._take(choice, token, logits[row], shelf.bytes, events)
            if reason is None:
                going.append(row)
            else:
                told = {"type": "finish", "index": choice.index, "finish_reason": reason}
                events.append({"id": self.asked.id} | told)
        self._go_on(going, shelf)
        if self.over:
            made = sum(len(choice.tokens) for choice in self._choices)
            told = {"type": "end", "prompt_tokens": len(self.prompt), "completion_tokens": made}
            events.append({"id": self.asked.id} | told)
        return events

    def _take(
        self, choice: _Choice, token: int, logits: torch.Tensor, known: TokenBytes, events: list[dict[str, Any]]
    ) -> str | None:
        """Add a token to an answer; returns why the answer ends with it, if it does."""
        choice.tokens.append(token)
        if token in self._stop_ids:
            self._tell(choice, choice.text.end(), events)
            return "stop"
        data = known.of(token, first=not choice.spoken)
        choice.spoken = choice.spoken or bool(data)
        self._tell(choice, choice.text.add(data, self._entry(token, logits, known)), events)
        if choice.text.stopped:
            return "stop"
        if len(choice.tokens) >= self._most:
            self._tell(choice, choice.text.end(), events)
            return "length"
        return None

    def _tell(self, choice: _Choice, shown: tuple[str, list[Any]], events: list[dict[str, Any]]) -> None:
        text, entries = shown
        if text or entries:
            told = {"type": "delta", "index": choice.index, "text": text, "logprobs": entries}
            events.append({"id": self.asked.id} | told)

    def _entry(self, token: int, logits: torch.Tensor, known: TokenBytes) -> dict[str, Any] | None:
        """A token's log-probability in OpenAI's shape."""
        if self.asked.top_logprobs is None:
            return None
        own, likeliest = most_likely(logits, token, self.asked.top_logprobs)
        top = [_told(known.of(other), value) for other, value in likeliest]
        return _told(known.of(token), own) | {"top_logprobs": top}

    def _go_on(self, rows: list[int], shelf: Shelf) -> None:
        """Keep the answers in ``rows`` of those that were going, in the cache too."""
        if rows and len(rows) < len(self._live):
            self._cache.batch_select_indices(torch.tensor(rows, device=shelf.device))
        self._live = [self._live[row] for row in rows]
        self._inputs = [[choice.tokens[-1]] for choice in self._live]
        if self._live:
            return
        # These have ended: the next ones begin with the prompt again.
        self._cache = None
        self._live, self._later = self._later[:TOGETHER], self._later[TOGETHER:]
        self._inputs = [self.prompt]


def _told(data: bytes, logprob: float) -> dict[str, Any]:
    # JSON has no infinity; OpenAI too writes -9999 for what cannot happen.
    return {"token": spelled(data), "bytes": list(data), "logprob": max(logprob, -9999.0)}
