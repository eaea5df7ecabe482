"""The tokens after which the model answers: the conversation, with as many retrieved passages as there is room for.

Passages come best first and stand in the system turn exactly as in training rows (``corpora.context``). Those that do
not fit are left out from the end, and how many were shown is told.
"""

from __future__ import annotations

from collections.abc import Mapping

from transformers import PreTrainedTokenizerBase

from corpora.context import context_turn, wrap_context
from corpora.errors import InvalidInputError
from training.chat.answering import Asked
from training.encoding import prompt_ids

__all__ = ["fitted_prompt"]

#: Share of the context that stays free for the answer when passages are fitted, unless ``max_tokens`` asks for less.
ANSWER_SHARE = 0.25


def fitted_prompt(
    asked: Asked, tokenizer: PreTrainedTokenizerBase, template: str, context: int
) -> tuple[list[int], int]:
    """Tokens of the prompt and how many passages it shows.

    Raises:
        InvalidInputError: the conversation, or the first passage with it, leaves no room for an answer.
        EncodingError: a message cannot be read as text.
    """
    if not asked.passages:
        ids = prompt_ids(asked.messages, tokenizer, template)
        if len(ids) >= context:
            raise _too_long(f"The conversation is {len(ids)} tokens long and the model's context {context}.")
        return ids, 0
    room = context - min(asked.max_tokens, int(context * ANSWER_SHARE))
    length = 0
    for count in range(len(asked.passages), 0, -1):
        ids = prompt_ids(_with_passages(asked, count), tokenizer, template)
        length = len(ids)
        if length <= room:
            return ids, count
    raise _too_long(
        f"The conversation with its first passage is {length} tokens long; the model's context is {context}, of which "
        f"{context - room} are kept for the answer."
    )


def _too_long(message: str) -> InvalidInputError:
    return InvalidInputError(message, param="messages", code="context_length_exceeded")


def _with_passages(asked: Asked, count: int) -> list[Mapping[str, str]]:
    shown = context_turn(wrap_context(asked.passages[:count]))
    messages = list(asked.messages)
    if messages[0]["role"] == "system":
        # One system turn: templates know no second one.
        return [{"role": "system", "content": f"{messages[0]['content']}\n\n{shown}"}, *messages[1:]]
    return [{"role": "system", "content": shown}, *messages]
