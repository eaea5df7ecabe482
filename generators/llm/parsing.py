"""Reads JSON out of a reply, strictly: the whole text, or the one fenced block in it. Everything else is malformed.

Nothing is repaired and nothing guessed: a malformed reply becomes a rejected candidate with the reason found here. Must
not know what the items mean; the generators hand in a pydantic model for one item.

Reasons: ``truncated_reply``, ``content_filter``, ``empty_reply``, ``not_json``, ``several_code_blocks``,
``duplicate_key``, ``broken_text``, ``wrong_shape``.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from generators.ports import Reply

__all__ = ["Malformed", "MalformedReplyError", "ParsedItem", "parse_items", "parse_json"]

ItemT = TypeVar("ItemT", bound=BaseModel)

# A fence stands at the start of a line. Valid JSON has no raw line break inside a string, so it can't hold one.
_FENCE = re.compile(r"^[ \t]*```[ \t]*([A-Za-z]*)[ \t]*$", re.MULTILINE)
# C0 and C1 controls but tab and line break, and lone surrogates: neither can be stored as text everywhere.
_BROKEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class MalformedReplyError(Exception):
    """Why a reply could not be read; caught inside this room, so it is no ``MalmoiError``."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        super().__init__(f"{reason}: {detail}" if detail else reason)


@dataclass(frozen=True, kw_only=True, slots=True)
class Malformed:
    """A reply, or one item of it, that could not be read."""

    reason: str  #: The reason, with a detail behind a colon where there is one.
    raw: str  #: The text that could not be read.


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedItem(Generic[ItemT]):
    """One readable item."""

    value: ItemT  #: The item, its strings in NFC without surrounding blanks.


def parse_items(reply: Reply, key: str, item: type[ItemT]) -> list[ParsedItem[ItemT] | Malformed]:
    """The items of a reply of the form ``{key: [item, …]}``, in order.

    Args:
        reply: what the model said.
        key: name of the list.
        item: model of one item; unknown fields are left out.

    Returns:
        One entry an item; a reply that can't be read at all gives a single ``Malformed``. An empty list is a readable
        reply that proposes nothing.
    """
    try:
        document = parse_json(reply)
        entries = _entries(document, key)
    except MalformedReplyError as error:
        return [Malformed(reason=str(error), raw=reply.text)]
    return [_item(entry, item) for entry in entries]


def parse_json(reply: Reply) -> Any:
    """The JSON value of a reply.

    Raises:
        MalformedReplyError: it was cut off, or is neither JSON nor one fenced block of JSON.
    """
    if reply.finish_reason in ("length", "max_tokens"):
        raise MalformedReplyError("truncated_reply")
    if reply.finish_reason == "content_filter":
        raise MalformedReplyError("content_filter")
    text = reply.text.strip()
    if not text:
        raise MalformedReplyError("empty_reply")
    fences = list(_FENCE.finditer(text))
    if not fences:
        return _loads(text)
    if len(fences) > 2:
        raise MalformedReplyError("several_code_blocks")
    if len(fences) < 2 or fences[0].group(1).lower() not in ("", "json") or fences[1].group(1):
        raise MalformedReplyError("not_json", "unclosed or foreign code block")
    return _loads(text[fences[0].end() : fences[1].start()].strip())


def _entries(document: Any, key: str) -> Sequence[Any]:
    if not isinstance(document, dict):
        raise MalformedReplyError("wrong_shape", f"expected an object with '{key}'")
    entries = document.get(key)
    if not isinstance(entries, list):
        raise MalformedReplyError("wrong_shape", f"'{key}' is missing or no list")
    return entries


def _item(entry: Any, item: type[ItemT]) -> ParsedItem[ItemT] | Malformed:
    raw = json.dumps(entry, ensure_ascii=False)
    try:
        return ParsedItem(value=item.model_validate(entry))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return Malformed(reason=f"wrong_shape: {place or 'item'}: {first['msg']}", raw=raw)


def _loads(text: str) -> Any:
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise MalformedReplyError("not_json", f"{error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise MalformedReplyError("not_json", "nested too deeply") from error
    except ValueError as error:
        raise MalformedReplyError("not_json", str(error)) from error
    return _clean(value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedReplyError("duplicate_key")
    return found


def _no_constant(name: str) -> Any:
    raise MalformedReplyError("not_json", f"{name} is no JSON")


def _clean(value: Any) -> Any:
    """The same value with every string in NFC, LF line ends and no surrounding blanks."""
    if isinstance(value, str):
        text = unicodedata.normalize("NFC", value).replace("\r\n", "\n").replace("\r", "\n").strip()
        if _BROKEN.search(text):
            raise MalformedReplyError("broken_text", "control character or half of a surrogate pair")
        return text
    if isinstance(value, list):
        return [_clean(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _clean(entry) for key, entry in value.items()}
    return value
