"""The one form in which passages are shown to a model, in generation and in chat alike."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["wrap_context"]


def wrap_context(passages: Sequence[tuple[str, str]]) -> str:
    """Passages numbered from 1, each with its label (a heading path) and its text."""
    return "\n\n".join(f"[{number}] {label}\n{text}" for number, (label, text) in enumerate(passages, start=1))
