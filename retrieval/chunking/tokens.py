"""A limit in tokens of the embedder, and which pieces exceed it; asks the tokenizer as little as it can.

Knows no tokenizer: the caller brings the counting function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["TokenLimit", "excess"]

#: Tokens that a tokenizer puts around a text, at most.
SPECIAL = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenLimit:
    """How long a chunk may be for the model that embeds it."""

    count: Callable[[Sequence[str]], Sequence[int]]  #: Tokens of each text, special ones included; asked in batches.
    max_tokens: int  #: No chunk has more, unless a single character does.

    def __post_init__(self) -> None:
        """Refuse a limit below one token."""
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens is at least 1, not {self.max_tokens}")


def excess(limit: TokenLimit, texts: Sequence[str]) -> dict[int, int]:
    """Tokens of those texts that are above the limit, by their place.

    A text of so few bytes that it cannot exceed the limit is not counted: a token of a byte-level vocabulary is at
    least one byte, any other at least one character.
    """
    doubtful = [i for i, text in enumerate(texts) if len(text.encode()) + SPECIAL > limit.max_tokens]
    if not doubtful:
        return {}
    counts = limit.count([texts[i] for i in doubtful])
    return {i: int(n) for i, n in zip(doubtful, counts, strict=True) if n > limit.max_tokens}
