"""Reads the items of a reply, tolerantly and in plain view: as it stands, out of one code block, or repaired.

``read_reply`` says which of these forms the reply had. What stands there as JSON is never changed; a repair
(``generators.llm.repair``) changes structure, never words. A reply that stays unreadable becomes a rejected candidate
with the reason found here. Must not know what the items mean; the generators hand in a pydantic model for one item.

Reasons: ``truncated_reply``, ``content_filter``, ``empty_reply``, ``not_json``, ``several_code_blocks``,
``duplicate_key``, ``broken_text``, ``wrong_shape``.

Use::

    read = read_reply(reply, "pairs", Pair)
    read.form, read.items       # "fenced", [ParsedItem(value=Pair(…)), Malformed(reason="wrong_shape: …", raw=…)]
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from generators.llm.repair import rewrite
from generators.ports import Reply

__all__ = [
    "Malformed",
    "MalformedReplyError",
    "ParsedItem",
    "ReadReply",
    "ReplyForm",
    "check_finished",
    "clean_text",
    "parse_json",
    "read_reply",
    "reply_schema",
]

ItemT = TypeVar("ItemT", bound=BaseModel)

#: How a reply could be read.
ReplyForm = Literal["strict", "fenced", "repaired"]

# A fence stands at the start of a line. Valid JSON has no raw line break inside a string, so it can't hold one.
_FENCE = re.compile(r"^[ \t]*```[ \t]*([A-Za-z]*)[ \t]*$", re.MULTILINE)
# C0 and C1 controls but tab and line break, and lone surrogates: neither can be stored as text everywhere.
_BROKEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
#: Reasons that asking for the same reply once more can't mend: there is nothing to reshape.
_FINAL = frozenset({"truncated_reply", "content_filter", "empty_reply"})


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


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadReply(Generic[ItemT]):
    """What could be read of a reply."""

    items: list[ParsedItem[ItemT] | Malformed]  #: In order; an unreadable reply is a single ``Malformed``.
    form: ReplyForm | None  #: How it could be read; None where it could not.
    mendable: bool  #: Whether there is text of which nothing was readable, so that asking again may help.

    @property
    def fault(self) -> str:
        """The first reason why something could not be read; empty where everything could."""
        return next((item.reason for item in self.items if isinstance(item, Malformed)), "")


def read_reply(reply: Reply, key: str, item: type[ItemT]) -> ReadReply[ItemT]:
    """The items of a reply of the form ``{key: [item, …]}``, in order.

    A bare list of objects, and a single bare item, count as repaired: the outer shell alone is missing.

    Args:
        reply: what the model said.
        key: name of the list.
        item: model of one item; unknown fields are left out.

    Returns:
        One entry an item. An empty list is a readable reply that proposes nothing.
    """
    try:
        document, form = parse_json(reply)
        entries, whole = _entries(document, key, item)
    except MalformedReplyError as error:
        fault = Malformed(reason=str(error), raw=reply.text)
        return ReadReply(items=[fault], form=None, mendable=error.reason not in _FINAL)
    items = [_item(entry, item) for entry in entries]
    readable = any(isinstance(entry, ParsedItem) for entry in items)
    return ReadReply(items=items, form=form if whole else "repaired", mendable=bool(items) and not readable)


def parse_json(reply: Reply) -> tuple[Any, ReplyForm]:
    """The JSON value of a reply, strings cleaned, and how it stood there.

    Raises:
        MalformedReplyError: it was cut off, or no JSON value can be had without guessing.
    """
    check_finished(reply)
    text = reply.text.strip()
    if not text:
        raise MalformedReplyError("empty_reply")
    fences = list(_FENCE.finditer(text))
    if len(fences) > 2:
        raise MalformedReplyError("several_code_blocks")
    closed = len(fences) == 2 and fences[0].group(1).lower() in ("", "json") and not fences[1].group(1)
    inner = text[fences[0].end() : fences[1].start()].strip() if closed else text
    try:
        if fences and not closed:
            raise MalformedReplyError("not_json", "unclosed or foreign code block")
        return _loads(inner), "fenced" if closed else "strict"
    except MalformedReplyError as error:
        written = rewrite(inner) if error.reason == "not_json" else None
        if written is None:
            raise
        try:
            return _loads(written), "repaired"
        except MalformedReplyError:
            # What was wrong with the reply says more than what is wrong with our version of it.
            raise error from None


def check_finished(reply: Reply) -> None:
    """Refuse a reply that its endpoint calls incomplete, whatever it reads like.

    Raises:
        MalformedReplyError: it was cut off or filtered.
    """
    if reply.finish_reason in ("length", "max_tokens"):
        raise MalformedReplyError("truncated_reply")
    if reply.finish_reason == "content_filter":
        raise MalformedReplyError("content_filter")


def clean_text(text: str) -> str:
    """``text`` in NFC with LF line ends and no surrounding blanks.

    Raises:
        MalformedReplyError: it holds control characters or half of a surrogate pair.
    """
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").strip()
    if _BROKEN.search(text):
        raise MalformedReplyError("broken_text", "control character or half of a surrogate pair")
    return text


def reply_schema(key: str, item: type[BaseModel]) -> dict[str, Any]:
    """JSON Schema of ``{key: [item, …]}``; the transport brings it into the form that its endpoint takes."""
    schema = item.model_json_schema()
    definitions = schema.pop("$defs", None)
    whole: dict[str, Any] = {
        "type": "object",
        "properties": {key: {"type": "array", "items": schema}},
        "required": [key],
    }
    return whole if definitions is None else whole | {"$defs": definitions}


def _entries(document: Any, key: str, item: type[BaseModel]) -> tuple[list[Any], bool]:
    """The entries, and whether their shell was there."""
    if isinstance(document, list) and document and all(isinstance(entry, dict) for entry in document):
        return document, False
    if not isinstance(document, dict):
        raise MalformedReplyError("wrong_shape", f"expected an object with '{key}'")
    entries = document.get(key)
    if isinstance(entries, list):
        return entries, True
    if key not in document and _fits(document, item):
        return [document], False
    raise MalformedReplyError("wrong_shape", f"'{key}' is missing or no list")


def _fits(entry: Mapping[str, Any], item: type[BaseModel]) -> bool:
    try:
        item.model_validate(entry)
    except ValidationError:
        return False
    return True


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
    """The same value with every string cleaned."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_clean(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _clean(entry) for key, entry in value.items()}
    return value
