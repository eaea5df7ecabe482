"""Fields of replies that models write in more than one way: ``"1"`` and ``1.0`` for 1, null for an empty list.

Accepting them saves a whole request for repair; anything else (``"첫째"``, ``1.5``, ``true``) is still an error. Types
for strict pydantic models. Must not know any generator.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

__all__ = ["ReplyList", "ReplyNumber"]


def _number(value: object) -> object:
    """A whole number written as text or with a decimal point, as a number; all else as it is."""
    if isinstance(value, str) and value.strip().strip("[]").isdecimal():
        return int(value.strip().strip("[]"))
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _list(value: object) -> object:
    return [] if value is None else value


#: A whole number.
ReplyNumber = Annotated[int, BeforeValidator(_number)]
#: Texts, none where the model wrote null.
ReplyList = Annotated[list[str], BeforeValidator(_list)]
