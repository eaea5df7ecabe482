"""Plain text: the first line is the title where it is short enough to be one."""

from __future__ import annotations

__all__ = ["text_title"]

_LONGEST_TITLE = 80


def text_title(text: str) -> str | None:
    """The first line that is not blank, or None when it is longer than a title."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return first if 0 < len(first) <= _LONGEST_TITLE else None
