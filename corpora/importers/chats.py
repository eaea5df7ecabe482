"""Datasets of conversations: messages, Smol Korean Talk, ShareGPT. Every conversation is kept whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from corpora.importers.rows import ImportedRow, RowError, check_turns, clean_text, optional_text, scalars, told_beside
from corpora.records import Message, Role

__all__ = ["convert_messages", "convert_sharegpt", "fits_messages", "fits_sharegpt", "fits_smol_koreantalk", "message"]

_ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}
_SPEAKERS: dict[str, Role] = {**_ROLES, "human": "user", "gpt": "assistant"}
#: What a message of these fields says is not in its content; dropping them would change the conversation.
_CALLS = ("tool_calls", "function_call", "function_calls", "tool_call_id")


def fits_messages(row: Mapping[str, Any]) -> bool:
    """A list ``messages`` whose items have a role."""
    return _is_list_with(row.get("messages"), "role")


def fits_smol_koreantalk(row: Mapping[str, Any]) -> bool:
    """Like messages, with the dataset's ``custom_id`` beside them."""
    return fits_messages(row) and "custom_id" in row


def fits_sharegpt(row: Mapping[str, Any]) -> bool:
    """A list ``conversations`` whose items say who speaks, in ``from`` or in ``role``."""
    turns = row.get("conversations")
    return _is_list_with(turns, "from") or _is_list_with(turns, "role")


def convert_messages(row: Mapping[str, Any]) -> Iterator[ImportedRow]:
    """``{"messages": [{"role", "content", "weight"?}], "metadata"?}``.

    Raises:
        RowError: another role, a content that is no text, tool calls, a weight that is neither 0 nor 1, or turns out of
            order.
    """
    turns = _list(row.get("messages"), "messages")
    messages = check_turns([message(turn, f"messages[{i}]", "role", "content", _ROLES) for i, turn in enumerate(turns)])
    # Our Parquet files have no room for weights in the messages.
    weights = (told_beside(row) or {}).get("weights")
    if isinstance(weights, list) and len(weights) == len(messages):
        messages = tuple(
            m if weight is None else replace(m, weight=_weight(weight, m.role, f"messages[{i}]"))
            for i, (m, weight) in enumerate(zip(messages, weights, strict=True))
        )
    yield ImportedRow(messages=messages, metadata=scalars(row, without=("messages",)))


def convert_sharegpt(row: Mapping[str, Any]) -> Iterator[ImportedRow]:
    """``{"conversations": [{"from", "value"}], "system"?}``; from is human, gpt, user, assistant or system.

    Raises:
        RowError: another speaker, a value that is no text, or turns out of order.
    """
    turns = _list(row.get("conversations"), "conversations")
    messages = []
    system = optional_text(row.get("system"), "system")
    if system is not None:
        messages.append(Message(role="system", content=system))
    for index, turn in enumerate(turns):
        where = f"conversations[{index}]"
        keys = ("from", "value") if isinstance(turn, dict) and turn.get("from") is not None else ("role", "content")
        messages.append(message(turn, where, *keys, _SPEAKERS))
    metadata = scalars(row, without=("conversations", "system"))
    yield ImportedRow(messages=check_turns(messages), metadata=metadata)


def message(turn: object, where: str, role_key: str, content_key: str, roles: Mapping[str, Role] = _ROLES) -> Message:
    """One turn.

    Raises:
        RowError: no object, another role (``unsupported_role``), a content that is no text, or a weight that says
            what no trainer here does (``unsupported_weight``).
    """
    if not isinstance(turn, dict):
        raise RowError("not_an_object", f"{where} is no object.")
    name = turn.get(role_key)
    role = roles.get(name) if isinstance(name, str) else None
    if role is None:
        raise RowError("unsupported_role", f"{where} is of {name!r}; known are {', '.join(roles)}.")
    if any(turn.get(key) for key in _CALLS):
        raise RowError("unsupported_content", f"{where} calls a tool; only text can be imported.")
    content = turn.get(content_key)
    if isinstance(content, list):
        raise RowError("unsupported_content", f"{where} has a list of parts as content; only text can be imported.")
    weight = _weight(turn.get("weight"), role, where)
    return Message(role=role, content=clean_text(content, f"{where}.{content_key}"), weight=weight)


def _weight(value: object, role: Role, where: str) -> int | None:
    """Whether an assistant turn is trained on; tables hold it as 0.0 and 1.0 where other rows have none."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in (0, 1):
        raise RowError("unsupported_weight", f"{where} has the weight {value!r}; it is 0 or 1.")
    if role == "assistant":
        return int(value)
    if value:
        raise RowError("unsupported_weight", f"{where} has a weight; only turns of the assistant are trained on.")
    return None  # no other turn is trained on anyway


def _list(value: object, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise RowError("missing_field", f"'{name}' is no list.")
    return value


def _is_list_with(value: object, key: str) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(turn, dict) and key in turn for turn in value)
