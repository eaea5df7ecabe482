"""Conversations that stand in two files: training and validation rows must not be the same.

Two conversations are the same where roles and words agree after NFC and with every run of blanks as one. Knows nothing
of files and models; a conversation is a sequence of messages.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["LISTED", "Overlap", "conversation_key", "overlap"]

#: Most line numbers that are listed; the counts are whole.
LISTED = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """How much of a validation file is training data."""

    rows: int  #: Validation rows that the training file holds too.
    of: int  #: Validation rows in all.
    lines: tuple[int, ...] = field(default_factory=tuple)  #: Their lines in the validation file, the first hundred.


def conversation_key(messages: Sequence[Mapping[str, Any]]) -> bytes:
    """Sixteen bytes that are equal for conversations that say the same; weights and names do not count."""
    digest = hashlib.blake2b(digest_size=16)
    for message in messages:
        words = " ".join(unicodedata.normalize("NFC", message["content"]).split())
        # NUL stands in no text, so no message can pass for the end of another.
        digest.update(f"{message['role']}\0{words}\0".encode(errors="surrogatepass"))
    return digest.digest()


def overlap(
    train: Iterable[tuple[int, Sequence[Mapping[str, Any]]]], valid: Iterable[tuple[int, Sequence[Mapping[str, Any]]]]
) -> Overlap:
    """Which validation rows are training rows; keeps sixteen bytes a validation row and no text.

    Args:
        train: Line numbers and messages, as ``corpora.messages.training_rows`` gives them.
        valid: The same of the validation file.
    """
    lines: dict[bytes, list[int]] = {}
    count = 0
    for number, messages in valid:
        count += 1
        lines.setdefault(conversation_key(messages), []).append(number)
    found: list[int] = []
    for _, messages in train:
        found += lines.pop(conversation_key(messages), [])
    return Overlap(rows=len(found), of=count, lines=tuple(sorted(found)[:LISTED]))
