"""The one form in which passages are shown to a model: in prompts of generation, in training rows and in chat.

``wrap_context`` numbers passages and keeps them inside their fence: text of a document that looks like the fence's own
tag is spelled otherwise. ``context_turn`` is the system turn of a retrieval-augmented conversation. A model trained on
rows that hold it must be asked with it, byte by byte, so chat calls the same function. Knows no prompts and no models.

Use::

    shown = wrap_context([(" > ".join(chunk.headings), chunk.text) for chunk in found])
    messages = (Message(role="system", content=context_turn(shown)), Message(role="user", content=question))
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["CONTEXT_TEMPLATE", "context_turn", "unfenced", "wrap_context"]

#: How passages stand in the system turn; imported rows with a passage are shown the same way.
CONTEXT_TEMPLATE = "다음 지문에 근거하여 답하세요.\n\n{passages}"

# Tags with which prompts fence what is data. One inside a document would end the fence early, and what stands behind
# it would read as part of the prompt.
_FENCE_TAG = re.compile(r"<(\s*/?\s*(?:지문|대화|예시|질문|답변?|정답)\s*)>")


def unfenced(text: str) -> str:
    """Data for a prompt: a fence's tag in it keeps its letters and gets full-width brackets (``＜/지문＞``)."""
    return _FENCE_TAG.sub(r"＜\1＞", text)


def wrap_context(passages: Sequence[tuple[str, str]]) -> str:
    """Passages numbered from 1, each with its label (a heading path) and its text, none of which ends its fence."""
    return unfenced(
        "\n\n".join(f"[{number}] {label}\n{text}" for number, (label, text) in enumerate(passages, start=1))
    )


def context_turn(shown: str) -> str:
    """The system turn of a conversation that rests on passages.

    Args:
        shown: What ``wrap_context`` gave.
    """
    # No str.format on data: a passage may hold braces.
    return CONTEXT_TEMPLATE.replace("{passages}", shown)
