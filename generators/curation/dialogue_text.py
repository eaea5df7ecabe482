"""A conversation as a judge reads it: who says what, passages apart, nothing that ends the fence.

Must not know prompts or what is judged.
"""

from __future__ import annotations

from collections.abc import Sequence

from corpora.context import CONTEXT_TEMPLATE, unfenced
from corpora.records import Message

__all__ = ["dialogue_text", "shown_passages"]

_SPEAKERS = {"system": "지시", "user": "질문", "assistant": "답"}
_OPENING = CONTEXT_TEMPLATE.partition("{passages}")[0]


def shown_passages(messages: Sequence[Message]) -> str:
    """The passages that the conversation's system turn shows, as they stand there; empty where it shows none."""
    return "\n\n".join(unfenced(m.content.removeprefix(_OPENING)) for m in messages if m.role == "system" and _shows(m))


def dialogue_text(messages: Sequence[Message]) -> str:
    """The turns, each behind its speaker. A turn of passages is none: data must not stand where orders do."""
    return unfenced("\n\n".join(f"{_SPEAKERS[m.role]}: {m.content}" for m in messages if not _shows(m)))


def _shows(message: Message) -> bool:
    return message.role == "system" and message.content.startswith(_OPENING)
