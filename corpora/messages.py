"""The messages schema: what a training line may be, and how a line is written.

``validate_training_file`` reads a file line by line and stops at the first fault, naming its line. Knows nothing of
tokenizers: what a template makes of a conversation is the trainer's business.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from corpora.errors import InvalidTrainingFileError

__all__ = ["MIN_EXAMPLES", "TrainingFileReport", "message_line", "parse_training_line", "validate_training_file"]

#: OpenAI's minimum.
MIN_EXAMPLES = 10
_ROLES = ("system", "user", "assistant")
_KEYS = frozenset({"role", "content", "name", "weight"})


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingFileReport:
    """What a valid file holds."""

    examples: int  #: Number of conversations.
    warnings: tuple[str, ...] = ()  #: Faults that do not stop training.


def _fail(number: int, what: str) -> InvalidTrainingFileError:
    return InvalidTrainingFileError(f"line {number}: {what}", param="training_file")


def parse_training_line(line: str, number: int) -> list[dict[str, Any]]:
    """The messages of one line.

    Raises:
        InvalidTrainingFileError: the line breaks the schema; the message names it and says how.
    """
    try:
        row = json.loads(line)
    except json.JSONDecodeError as exc:
        raise _fail(number, f"not valid JSON ({exc.msg} at column {exc.colno}).") from exc
    messages = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(messages, list) or not messages:
        raise _fail(number, 'needs a list "messages" with at least one message.')
    for position, message in enumerate(messages):
        _check_message(message, number, position)
    _check_order([message["role"] for message in messages], number)
    return messages


def _check_message(message: object, number: int, position: int) -> None:
    where = f"messages[{position}]"
    if not isinstance(message, dict):
        raise _fail(number, f"{where} is no object.")
    unknown = sorted(set(message) - _KEYS)
    if unknown:
        raise _fail(number, f"{where} has the unknown key '{unknown[0]}'; known are {', '.join(sorted(_KEYS))}.")
    if message.get("role") not in _ROLES:
        raise _fail(number, f"{where} has the role {message.get('role')!r}; use one of {', '.join(_ROLES)}.")
    content = message.get("content")
    if not isinstance(content, str) or not content.strip():
        raise _fail(number, f"{where} has no content; it must be a string that is not blank.")
    if "weight" in message and (message["role"] != "assistant" or message["weight"] not in (0, 1)):
        raise _fail(number, f"{where} has a weight; it is 0 or 1, on assistant messages only.")


def _check_order(roles: Sequence[str], number: int) -> None:
    turns = list(roles[1:] if roles[0] == "system" else roles)
    if "assistant" not in turns:
        raise _fail(number, "has no assistant message, so there is nothing to learn.")
    expected = ["user", "assistant"] * (len(turns) // 2 + 1)
    for position, (got, wanted) in enumerate(zip(turns, expected, strict=False)):
        if got != wanted:
            where = position + len(roles) - len(turns)
            raise _fail(
                number,
                f"messages[{where}] is of '{got}' where '{wanted}' must stand: an optional system "
                "message, then user and assistant in turn.",
            )
    if turns[-1] != "assistant":
        raise _fail(number, "ends with a user message; the last message must be the assistant's.")


def validate_training_file(lines: Iterable[bytes], *, minimum: int = MIN_EXAMPLES) -> TrainingFileReport:
    """Check a whole file.

    Raises:
        InvalidTrainingFileError: a line is wrong, or there are fewer than ``minimum`` examples
            (``invalid_n_examples``).
    """
    examples, seen, repeated = 0, set[int](), 0
    for number, raw in enumerate(lines, start=1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as exc:
            raise _fail(number, f"not UTF-8 (byte {exc.start}).") from exc
        if not line.strip():
            continue
        parse_training_line(line, number)
        examples += 1
        repeated += hash(line) in seen
        seen.add(hash(line))
    if examples < minimum:
        raise InvalidTrainingFileError(
            f"Training file has {examples} example(s), but must have at least {minimum} examples",
            param="training_file",
            code="invalid_n_examples",
        )
    warnings = (f"{repeated} lines repeat an earlier one.",) if repeated else ()
    return TrainingFileReport(examples=examples, warnings=warnings)


def message_line(messages: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any] | None = None) -> str:
    """One export line: role and content of each message, Hangul as it is, metadata only where given."""
    row: dict[str, Any] = {"messages": [{"role": m["role"], "content": m["content"]} for m in messages]}
    if metadata is not None:
        row["metadata"] = dict(metadata)
    return json.dumps(row, ensure_ascii=False)
