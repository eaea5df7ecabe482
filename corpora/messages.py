"""The messages schema: what a training line may be, and how a line is written.

``validate_training_file`` reads a file line by line and stops at the first fault, naming its line; ``training_rows``
reads the same lines for the trainer, so that both see one file. Knows nothing of tokenizers: what a template makes of
a conversation is the trainer's business.

A fault has a name, which stands in brackets at the end of the message and in the error's ``fault``. Seven of them are
those of the validator in OpenAI's cookbook: data_type, missing_messages_list, message_missing_key,
message_unrecognized_key, unrecognized_role, missing_content, example_missing_assistant_message.

Stricter than OpenAI in two ways. Turns must alternate, an optional system turn first, and end with an answer
(role_order): many templates refuse any other order or write it each in its own way, and a file must mean the same on
every base. Tools are refused, for chat calls none. Lines of prompt and completion are no messages; importers read them.

Two things are mended and not refused, as in chat: words are put into NFC (a file made on a Mac is often in NFD, whose
tokens are others), and the role ``developer`` is read as ``system``.
"""

from __future__ import annotations

import json
import reprlib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from corpora.errors import InvalidTrainingFileError
from corpora.json_lines import MAX_DEPTH, TrainingLineError, load_line, numbered_texts

__all__ = [
    "MAX_DEPTH",
    "MIN_EXAMPLES",
    "TrainingFileReport",
    "TrainingLineError",
    "check_message",
    "check_turns",
    "composed",
    "decomposed_warning",
    "load_line",
    "message_line",
    "noting_tools",
    "numbered_texts",
    "parse_training_line",
    "too_few",
    "tools_warning",
    "training_rows",
    "validate_training_file",
]

#: OpenAI's minimum.
MIN_EXAMPLES = 10
_ROLES = ("system", "developer", "user", "assistant")
_KEYS = frozenset({"role", "content", "name", "weight"})
#: Keys of a message in an export, in this order.
_WRITTEN = ("role", "content", "weight")
#: Of messages that call tools; chat cannot, so training must not.
_OF_TOOLS = ("tool_calls", "function_call", "tool_call_id")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingFileReport:
    """What a valid file holds."""

    examples: int  #: Number of conversations.
    warnings: tuple[str, ...] = ()  #: Faults that do not stop training.


#: Keys of a line of preferences; what reads such lines is ``corpora.preferences``.
_OF_PREFERENCES = frozenset(
    {"preferred_output", "preferred_completion", "non_preferred_output", "non_preferred_completion"}
)


def _fail(number: int, what: str, fault: str = "invalid_json", hint: str | None = None) -> TrainingLineError:
    return TrainingLineError(number, what, fault, hint)


def too_few(examples: int, minimum: int, param: str) -> InvalidTrainingFileError:
    """What is said of a file with too few examples: OpenAI's words, and what to do."""
    return InvalidTrainingFileError(
        f"Training file has {examples} example(s), but must have at least {minimum} examples",
        param=param,
        code="invalid_n_examples",
        # In brackets: their words end without a full stop.
        hint=f"(add {minimum - examples} or more; 'malmoi generate' makes some of documents).",
    )


def parse_training_line(line: str, number: int) -> list[dict[str, Any]]:
    """The messages of one line as they stand; ``composed`` makes of them what is trained.

    Raises:
        InvalidTrainingFileError: the line breaks the schema; the message names it and says how.
    """
    row = load_line(line, number)
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _fail(
            number, 'needs a list "messages" with at least one message.', "missing_messages_list", _instead(row)
        )
    check_turns(messages, number, "messages")
    return messages


def _instead(row: Mapping[str, Any]) -> str | None:
    """What a line without messages is for, where that can be told."""
    if _OF_PREFERENCES & row.keys():
        return (
            'It is a line of preferences: train with the method "dpo" ({"method": {"type": "dpo"}}), or give lines of '
            "messages."
        )
    if "prompt" in row or "completion" in row or "instruction" in row:
        return "'malmoi import' (or POST /v1/datasets, whose dataset can be trained on) reads such lines."
    return None


def check_turns(messages: Sequence[object], number: int, where: str) -> None:
    """Check a whole conversation, which ends with an answer.

    Raises:
        TrainingLineError: it breaks the schema.
    """
    for position, message in enumerate(messages):
        check_message(message, number, f"{where}[{position}]")
    _check_order([_role(message["role"]) for message in messages], number, where)  # type: ignore[index]


def _role(role: str) -> str:
    return "system" if role == "developer" else role


def composed(messages: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], bool]:
    """Checked messages as chat reads them: words in NFC, ``developer`` as ``system``; and whether any was not."""
    made = [
        {**message, "role": _role(message["role"]), "content": unicodedata.normalize("NFC", message["content"])}
        for message in messages
    ]
    return made, any(new["content"] != old["content"] for new, old in zip(made, messages, strict=True))


def decomposed_warning(rows: int) -> tuple[str, ...]:
    """What is said of rows whose words were not in NFC; nothing of none."""
    return (f"{rows} rows were not in NFC (files made on a Mac often are in NFD) and are read in NFC.",) if rows else ()


def noting_tools(lines: Iterable[bytes], found: list[int]) -> Iterator[bytes]:
    """The lines of a file, as they are; numbers of those that offer tools go to ``found``.

    OpenAI's lines may name ``tools`` (once ``functions``) beside the messages, in a pair's ``input``. A conversation
    that calls none is a conversation, but nothing here writes the offer into what the model reads.
    """
    for number, line in enumerate(lines, start=1):
        if b'"tools"' in line or b'"functions"' in line:
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None  # whoever reads the line says what is wrong with it
            places = (row, row.get("input")) if isinstance(row, dict) else ()
            if any(isinstance(place, dict) and (place.get("tools") or place.get("functions")) for place in places):
                found.append(number)
        yield line


def tools_warning(found: Sequence[int]) -> tuple[str, ...]:
    """What is said of lines that offer tools; nothing of none."""
    if not found:
        return ()
    shown = ", ".join(map(str, found[:20])) + (" …" if len(found) > 20 else "")
    return (
        f"{len(found)} lines offer tools ('tools' or 'functions'), which are not supported here: their conversations "
        f"are trained as if none were offered. Lines {shown}.",
    )


def check_message(message: object, number: int, where: str) -> None:
    """Check one message by itself; ``where`` names it.

    Raises:
        TrainingLineError: it breaks the schema.
    """
    if not isinstance(message, dict):
        raise _fail(number, f"{where} is no object.", "data_type")
    tools = next((key for key in _OF_TOOLS if key in message), None)
    if tools is not None:
        raise _fail(
            number,
            f"{where} has '{tools}'; tools are not supported here, so leave out conversations that call them.",
            "message_unrecognized_key",
        )
    missing = [key for key in ("role", "content") if key not in message]
    if missing:
        lacks = "has no content: the key" if missing == ["content"] else "the key"
        raise _fail(number, f"{where} {lacks} '{missing[0]}' is missing.", "message_missing_key")
    unknown = sorted(set(message) - _KEYS)
    if unknown:
        known = ", ".join(sorted(_KEYS))
        raise _fail(
            number,
            f"{where} has the unknown key {reprlib.repr(unknown[0])}; known are {known}.",
            "message_unrecognized_key",
        )
    if message["role"] in ("tool", "function"):
        raise _fail(number, f"{where} is of '{message['role']}'; tools are not supported here.", "unrecognized_role")
    if message["role"] not in _ROLES:
        raise _fail(
            number,
            f"{where} has the role {reprlib.repr(message['role'])}; use one of {', '.join(_ROLES)}.",
            "unrecognized_role",
        )
    content = message["content"]
    if not isinstance(content, str) or not content.strip():
        raise _fail(number, f"{where} has no content; it must be a string that is not blank.", "missing_content")
    weight = message.get("weight", 1)
    # ``true`` and 1.0 equal 1 in Python; in the file they are something else.
    if "weight" in message and (message["role"] != "assistant" or type(weight) is not int or weight not in (0, 1)):
        raise _fail(number, f"{where} has a weight; it is 0 or 1, on assistant messages only.", "invalid_weight")


def _check_order(roles: Sequence[str], number: int, where: str) -> None:
    turns = list(roles[1:] if roles[0] == "system" else roles)
    if "assistant" not in turns:
        raise _fail(
            number, "has no assistant message, so there is nothing to learn.", "example_missing_assistant_message"
        )
    expected = ["user", "assistant"] * (len(turns) // 2 + 1)
    for position, (got, wanted) in enumerate(zip(turns, expected, strict=False)):
        if got != wanted:
            place = position + len(roles) - len(turns)
            raise _fail(
                number,
                f"{where}[{place}] is of '{got}' where '{wanted}' must stand: an optional system "
                "message, then user and assistant in turn.",
                "role_order",
            )
    if turns[-1] != "assistant":
        raise _fail(number, "ends with a user message; the last message must be the assistant's.", "role_order")


def training_rows(
    lines: Iterable[bytes], *, param: str = "training_file", decomposed: list[int] | None = None
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Line number (from 1, blank lines counted) and messages of every conversation of a file, words in NFC.

    Args:
        lines: Of the file.
        param: The request's field that named the file, for errors.
        decomposed: Gets the numbers of lines whose words were not in NFC.

    Raises:
        InvalidTrainingFileError: a line is wrong; the message names it, and ``param`` the request's field.
    """
    for number, _, messages, changed in _parsed(lines, param):
        if changed and decomposed is not None:
            decomposed.append(number)
        yield number, messages


def _parsed(lines: Iterable[bytes], param: str) -> Iterator[tuple[int, str, list[dict[str, Any]], bool]]:
    try:
        for number, line in numbered_texts(lines):
            yield number, line, *composed(parse_training_line(line, number))
    except InvalidTrainingFileError as exc:
        exc.param = param
        raise


def validate_training_file(
    lines: Iterable[bytes], *, minimum: int = MIN_EXAMPLES, param: str = "training_file"
) -> TrainingFileReport:
    """Check a whole file; ``param`` is the request's field that named it, for errors.

    Raises:
        InvalidTrainingFileError: a line is wrong, or there are fewer than ``minimum`` examples
            (``invalid_n_examples``).
    """
    examples, seen, repeated, decomposed, tools = 0, set[int](), 0, 0, list[int]()
    for _, line, _, changed in _parsed(noting_tools(lines, tools), param):
        examples += 1
        repeated += hash(line) in seen
        decomposed += changed
        seen.add(hash(line))
    if examples < minimum:
        raise too_few(examples, minimum, param)
    warnings = (f"{repeated} lines repeat an earlier one.",) if repeated else ()
    return TrainingFileReport(
        examples=examples, warnings=warnings + decomposed_warning(decomposed) + tools_warning(tools)
    )


def message_line(messages: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any] | None = None) -> str:
    """One export line: role, content and weight of each message, Hangul as it is; weight and metadata where given."""
    row: dict[str, Any] = {"messages": [{key: m[key] for key in _WRITTEN if m.get(key) is not None} for m in messages]}
    if metadata is not None:
        row["metadata"] = dict(metadata)
    return json.dumps(row, ensure_ascii=False)
