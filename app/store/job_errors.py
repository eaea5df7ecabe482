"""How the error of a job is told in a line: the message with what to do about it, and what the log keeps beside that.

A job keeps its error as ``{"code", "message", "param", "hint", "retryable"}``. Knows no kind of job and no database.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["kept_of", "told", "with_hint"]


def with_hint(message: str, hint: str | None) -> str:
    """The message, and the hint behind it unless the message says it already."""
    return f"{message} {hint}".strip() if hint and hint not in message else message


def told(error: Mapping[str, Any]) -> str:
    """What happened and what to do."""
    return with_hint(str(error["message"]), error.get("hint"))


def kept_of(error: Mapping[str, Any]) -> dict[str, Any]:
    """What a program reads in the log: the code, the field, and whether the job may be resumed."""
    return {"code": error["code"], "param": error.get("param"), "retryable": bool(error.get("retryable"))}
