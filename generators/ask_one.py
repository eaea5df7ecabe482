"""Asks a model for exactly one item, or for one of each kind, on top of ``generators.asking``.

A reply with no item, or with more than were asked for, is unreadable as a whole: taking the first would drop the others
in silence. Must not know what an item means.

Use::

    one = await ask_one(model, request, "checks", Check)
    if one.failed is not None: ...
    if isinstance(one.value, Malformed): ...
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from generators.asking import AskedForm, ask_items
from generators.base import ModelClient
from generators.llm.parsing import Malformed, ParsedItem
from generators.ports import ModelRequest, Usage

__all__ = ["One", "ask_one"]

ItemT = TypeVar("ItemT", bound=BaseModel)


@dataclass(frozen=True, kw_only=True, slots=True)
class One(Generic[ItemT]):
    """The one item that was asked for, or why there is none."""

    value: ItemT | Malformed  #: The item, or the reply that nobody could read; meaningless where ``failed`` is set.
    model: str | None  #: Model name that the endpoint reported.
    usage: Usage  #: What the request cost.
    form: AskedForm  #: How the reply became readable.
    failed: str | None = None  #: Why the slot can't run (``context_too_small`` …).


async def ask_one(model: ModelClient, request: ModelRequest, key: str, item: type[ItemT]) -> One[ItemT]:
    """Ask for a list of one item; ``key`` and ``item`` as in ``ask_items``.

    Raises:
        BudgetExhaustedError: the budget does not cover the request.
        EndpointError: the endpoint gave no reply.
    """
    asked = await ask_items(model, request, key, item)
    if asked.failed is not None:
        value: ItemT | Malformed = Malformed(reason=asked.failed, raw="")
        return One(value=value, model=asked.model, usage=asked.usage, form=asked.form, failed=asked.failed)
    if len(asked.items) == 1:
        (only,) = asked.items
        value = only if isinstance(only, Malformed) else only.value
    else:
        raw = json.dumps([_shown(entry) for entry in asked.items], ensure_ascii=False)
        value = Malformed(reason=f"wrong_count: 1 item was asked for, {len(asked.items)} came", raw=raw)
    return One(value=value, model=asked.model, usage=asked.usage, form=asked.form)


def _shown(entry: ParsedItem[ItemT] | Malformed) -> object:
    return entry.raw if isinstance(entry, Malformed) else entry.value.model_dump()
