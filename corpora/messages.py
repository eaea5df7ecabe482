"""The messages schema: what a training line may be, and how a line is written.

``validate_training_file`` reads a file line by line and stops at the first fault, naming its line; ``training_rows``
reads the same lines for the trainer, so that both see one file. Knows nothing of tokenizers: what a template makes of
a conversation is the trainer's business.

A line is refused, never mended, where two readers could take it for different things: a key that stands twice, NaN,
half a surrogate pair, a NUL.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from corpora.errors import InvalidTrainingFileError

__all__ = [
    "MAX_DEPTH",
    "MIN_EXAMPLES",
    "TrainingFileReport",
    "message_line",
    "parse_training_line",
    "training_rows",
    "validate_training_file",
]

#: OpenAI's minimum.
MIN_EXAMPLES = 10
#: Objects and lists inside one another. The schema needs three; the rest is room for metadata. A limit of our own: the
#: interpreter's depends on who calls, and a line that validation can read the trainer must be able to read too.
MAX_DEPTH = 32
_ROLES = ("system", "user", "assistant")
_KEYS = frozenset({"role", "content", "name", "weight"})
#: Keys of a message in an export, in this order.
_WRITTEN = ("role", "content", "weight")


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
    row = _load(line, number)
    _check_values(row, number)
    messages = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(messages, list) or not messages:
        raise _fail(number, 'needs a list "messages" with at least one message.')
    for position, message in enumerate(messages):
        _check_message(message, number, position)
    _check_order([message["role"] for message in messages], number)
    return messages


class _RefusedJsonError(ValueError):
    """Python's reader would take it, and nothing good would come of it."""


def _refuse_constant(name: str) -> object:
    raise _RefusedJsonError(f"holds {name}, which is no JSON value.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice, times = Counter(key for key, _ in pairs).most_common(1)[0]
        raise _RefusedJsonError(f"holds the key {reprlib.repr(twice)} {times} times in one object; once is clear.")
    return made


def _load(line: str, number: int) -> Any:
    """The JSON value of a line; every way in which reading can fail names the line."""
    try:
        return json.loads(line, parse_constant=_refuse_constant, object_pairs_hook=_object)
    except json.JSONDecodeError as exc:
        raise _fail(number, f"not valid JSON ({exc.msg} at column {exc.colno}).") from exc
    except RecursionError as exc:
        raise _fail(number, f"is nested too deeply; {MAX_DEPTH} levels are allowed.") from exc
    except _RefusedJsonError as exc:
        raise _fail(number, str(exc)) from exc
    except ValueError as exc:
        # Python reads integers of at most 4,300 digits.
        raise _fail(number, "holds a number with too many digits.") from exc


def _check_values(row: object, number: int) -> None:
    """Refuse values that JSON can spell and that break later: in a tokenizer, in UTF-8, in a database."""
    waiting: list[tuple[object, str, int]] = [(row, "", 1)]
    while waiting:
        value, path, depth = waiting.pop()
        if isinstance(value, str):
            _check_text(value, path, number)
        elif isinstance(value, float) and not math.isfinite(value):
            raise _fail(number, f"{path or 'the line'} is a number out of range.")
        elif isinstance(value, (dict, list)):
            if depth > MAX_DEPTH:
                raise _fail(number, f"is nested too deeply; {MAX_DEPTH} levels are allowed.")
            if isinstance(value, list):
                waiting += [(item, f"{path}[{position}]", depth + 1) for position, item in enumerate(value)]
                continue
            for key, item in value.items():
                _check_text(key, f"a key of {path or 'the line'}", number)
                waiting.append((item, f"{path}.{key[:40]}" if path else key[:40], depth + 1))


def _check_text(text: str, where: str, number: int) -> None:
    if "\x00" in text:
        raise _fail(number, f"{where} holds a NUL character (\\u0000).")
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        half = f"\\u{ord(text[exc.start]):04x}"
        raise _fail(number, f"{where} holds {half}, half of a surrogate pair, which is no character.") from exc


def _check_message(message: object, number: int, position: int) -> None:
    where = f"messages[{position}]"
    if not isinstance(message, dict):
        raise _fail(number, f"{where} is no object.")
    unknown = sorted(set(message) - _KEYS)
    if unknown:
        raise _fail(
            number, f"{where} has the unknown key {reprlib.repr(unknown[0])}; known are {', '.join(sorted(_KEYS))}."
        )
    if message.get("role") not in _ROLES:
        raise _fail(
            number, f"{where} has the role {reprlib.repr(message.get('role'))}; use one of {', '.join(_ROLES)}."
        )
    content = message.get("content")
    if not isinstance(content, str) or not content.strip():
        raise _fail(number, f"{where} has no content; it must be a string that is not blank.")
    weight = message.get("weight", 1)
    # ``true`` and 1.0 equal 1 in Python; in the file they are something else.
    if "weight" in message and (message["role"] != "assistant" or type(weight) is not int or weight not in (0, 1)):
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


def _texts(lines: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """Line numbers from 1 and text of the lines that are not blank; a byte order mark may open the file."""
    for number, raw in enumerate(lines, start=1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as exc:
            raise _fail(number, f"not UTF-8 (byte {exc.start}).") from exc
        if line.strip():
            yield number, line


def training_rows(
    lines: Iterable[bytes], *, param: str = "training_file"
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Line number (from 1, blank lines counted) and messages of every conversation of a file.

    Raises:
        InvalidTrainingFileError: a line is wrong; the message names it, and ``param`` the request's field.
    """
    for number, _, messages in _parsed(lines, param):
        yield number, messages


def _parsed(lines: Iterable[bytes], param: str) -> Iterator[tuple[int, str, list[dict[str, Any]]]]:
    try:
        for number, line in _texts(lines):
            yield number, line, parse_training_line(line, number)
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
    examples, seen, repeated = 0, set[int](), 0
    for _, line, _ in _parsed(lines, param):
        examples += 1
        repeated += hash(line) in seen
        seen.add(hash(line))
    if examples < minimum:
        raise InvalidTrainingFileError(
            f"Training file has {examples} example(s), but must have at least {minimum} examples",
            param=param,
            code="invalid_n_examples",
        )
    warnings = (f"{repeated} lines repeat an earlier one.",) if repeated else ()
    return TrainingFileReport(examples=examples, warnings=warnings)


def message_line(messages: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any] | None = None) -> str:
    """One export line: role, content and weight of each message, Hangul as it is; weight and metadata where given."""
    row: dict[str, Any] = {"messages": [{key: m[key] for key in _WRITTEN if m.get(key) is not None} for m in messages]}
    if metadata is not None:
        row["metadata"] = dict(metadata)
    return json.dumps(row, ensure_ascii=False)
