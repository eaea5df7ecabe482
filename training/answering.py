"""A base held in memory with its adapters off and on: batches of answers, likelihoods of reference answers.

``Answerer`` loads models as chat does (``training.chat.models``) and answers many prompts at once, which chat does not.
Must not know rows, files or events.

Use::

    answerer = Answerer()
    answerer.choose(side)
    answers = answerer.generate(prompts, Decoding(max_tokens=256, temperature=0.0, top_p=1.0, seed=7))
    nll, tokens = answerer.likelihood(messages)
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase, StoppingCriteria, StoppingCriteriaList

from corpora.errors import UnavailableError
from training.answer_config import AnswerSide
from training.chat.models import Manner, Shelf
from training.encoding import IGNORED, encode_row, prompt_ids
from training.errors import EncodingError
from training.recipes import recipe_for

__all__ = ["Answerer", "Decoding", "Generated"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoding:
    """How tokens are chosen."""

    max_tokens: int  #: Most tokens of an answer.
    temperature: float  #: 0 is greedy.
    top_p: float  #: Nucleus.
    seed: int  #: Of torch, set before each batch.


@dataclass(frozen=True, kw_only=True, slots=True)
class Generated:
    """One answer."""

    text: str  #: Without special tokens and stop phrase.
    finish_reason: str  #: ``stop`` or ``length``.
    completion_tokens: int  #: Tokens made, the stop token included.


class _PhraseSaid(StoppingCriteria):
    """Whether each row's last tokens have said the phrase."""

    def __init__(self, phrase: str, tokenizer: PreTrainedTokenizerBase, prompt: int) -> None:
        self._phrase, self._tokenizer, self._prompt = phrase, tokenizer, prompt
        # A token says a byte at least; one more on each side may hang on to the phrase.
        self._tokens = len(phrase.encode()) + 2

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:  # noqa: ARG002
        """One truth a row."""
        begin = max(self._prompt, input_ids.shape[1] - self._tokens)
        said = self._tokenizer.batch_decode(input_ids[:, begin:])
        return torch.tensor([self._phrase in text for text in said], device=input_ids.device)


class Answerer:
    """One base at a time, and the adapters that were asked for on it."""

    def __init__(self) -> None:
        self._shelf = Shelf()
        self._adapter: str | None = None  # as the shelf names it
        self._manner: Manner

    def choose(self, side: AnswerSide) -> None:
        """Answer as ``side`` from now on; a base that is loaded already stays.

        Raises:
            BaseModelError: the base cannot be loaded.
            AdapterError: the adapter is not there, or does not fit its base.
            InvalidInputError: there is no such recipe.
        """
        self._shelf.open(side.base)
        self._adapter = None if side.adapter is None else self._shelf.adapter(side.adapter)
        recipe = recipe_for(side.base, side.recipe).name
        self._manner = self._shelf.manner(recipe, side.template_of or side.adapter)

    @property
    def context(self) -> int:
        """Tokens that the model takes, prompt and answer together."""
        return self._shelf.context

    def prompt(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """Tokens of a conversation that waits for an answer.

        Raises:
            EncodingError: a message cannot be read as text.
        """
        return prompt_ids(messages, self._shelf.tokenizer, self._manner.template)

    @torch.no_grad()
    def generate(self, prompts: Sequence[Sequence[int]], how: Decoding) -> list[Generated]:
        """Answers to prompts in tokens, padded on the left; a batch that does not fit into memory is halved.

        Raises:
            UnavailableError: a single prompt does not fit (``out_of_memory``).
        """
        rows = None
        try:
            rows = self._tokens(prompts, how)
        except torch.OutOfMemoryError as exc:
            if len(prompts) == 1:
                raise UnavailableError(
                    f"A prompt of {len(prompts[0])} tokens and its answer do not fit into memory; lower max_tokens or "
                    "free the device.",
                    code="out_of_memory",
                ) from exc
        if rows is None:
            middle = len(prompts) // 2
            return self.generate(prompts[:middle], how) + self.generate(prompts[middle:], how)
        return [self._read(row) for row in rows]

    def _tokens(self, prompts: Sequence[Sequence[int]], how: Decoding) -> list[list[int]]:
        width = max(len(prompt) for prompt in prompts)
        pad, device = self._shelf.tokenizer.pad_token_id, self._shelf.device
        ids = torch.tensor([[pad] * (width - len(p)) + list(p) for p in prompts], device=device)
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device)
        # top_k 0: only the nucleus narrows the choice, as in chat.
        sampled = {"do_sample": True, "temperature": how.temperature, "top_p": how.top_p, "top_k": 0}
        settings = GenerationConfig(
            max_new_tokens=how.max_tokens,
            eos_token_id=sorted(self._manner.stop_ids),
            pad_token_id=pad,
            **(sampled if how.temperature > 0 else {"do_sample": False}),
        )
        torch.manual_seed(how.seed)
        model = self._shelf.use(self._adapter)
        output = model.generate(
            input_ids=ids, attention_mask=mask, generation_config=settings, stopping_criteria=self._phrase_stops(width)
        )
        return [row[width:].tolist() for row in output]

    def _phrase_stops(self, width: int) -> StoppingCriteriaList:
        """Ends an answer once it has said the stop phrase, as chat does; nothing where the model has none."""
        phrase = self._manner.stop_phrase
        return StoppingCriteriaList([] if phrase is None else [_PhraseSaid(phrase, self._shelf.tokenizer, width)])

    def _read(self, tokens: list[int]) -> Generated:
        end = next((place for place, token in enumerate(tokens) if token in self._manner.stop_ids), None)
        kept = tokens if end is None else tokens[: end + 1]
        text, stopped = self._shelf.tokenizer.decode(kept, skip_special_tokens=True), end is not None
        phrase = self._manner.stop_phrase
        if phrase is not None and phrase in text:
            text, stopped = text.partition(phrase)[0].rstrip(), True
            # What follows the phrase is padding: the first so many tokens that say it are those that were made.
            made = range(1, len(kept) + 1)
            decode = self._shelf.tokenizer.decode
            kept = kept[: made[bisect_left(made, True, key=lambda n: phrase in decode(kept[:n]))]]
        return Generated(text=text, finish_reason="stop" if stopped else "length", completion_tokens=len(kept))

    @torch.no_grad()
    def likelihood(self, messages: Sequence[Mapping[str, Any]]) -> tuple[float | None, int]:
        """What the model makes of the last answer of a conversation.

        Returns:
            The sum of negative natural log-likelihoods over the answer's tokens, stop token included, and their
            number; None and 0 where the conversation is longer than the model's context: half an answer is none.

        Raises:
            EncodingError: the conversation cannot be encoded.
        """
        last = len(messages) - 1
        # Earlier answers are context here: only the last one is asked about.
        turns = [
            {**m, "weight": int(place == last)} if m["role"] == "assistant" else dict(m)
            for place, m in enumerate(messages)
        ]
        row = encode_row(turns, self._shelf.tokenizer, self._manner.template, self.context)
        if row.truncated:
            return None, 0
        labels = torch.tensor(row.labels[1:], device=self._shelf.device)
        if not bool((labels != IGNORED).any()):
            raise EncodingError("The reference answer has no token.")
        ids = torch.tensor([row.input_ids], device=self._shelf.device)
        model = self._shelf.use(self._adapter)
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, :-1]
        asked = labels != IGNORED
        loss = torch.nn.functional.cross_entropy(logits[asked].float(), labels[asked], reduction="sum")
        return float(loss), int(asked.sum())
