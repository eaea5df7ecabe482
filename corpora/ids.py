"""Ids: readable prefix, then hexadecimal; either derived from content or random."""

from __future__ import annotations

import hashlib
import secrets

__all__ = ["content_id", "new_id"]

_HEX = 24


def content_id(prefix: str, *parts: str | int) -> str:
    """``prefix_`` and 24 hex digits of the sha256 over ``parts``; the same parts give the same id."""
    joined = "\x1f".join(str(part) for part in parts)
    return f"{prefix}_{hashlib.sha256(joined.encode()).hexdigest()[:_HEX]}"


def new_id(prefix: str) -> str:
    """``prefix_`` and 24 random hex digits."""
    return f"{prefix}_{secrets.token_hex(_HEX // 2)}"
