"""Lines of a training file as JSON objects that every reader takes alike; which keys they need is not known here.

``numbered_texts`` gives the lines of a file that are not blank, ``load_line`` the object of one. A line is refused,
never mended, where two readers could take it for different things: a key that stands twice, NaN, half a surrogate pair,
a NUL.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from corpora.errors import InvalidTrainingFileError

__all__ = ["MAX_DEPTH", "TrainingLineError", "load_line", "numbered_texts"]

#: Objects and lists inside one another. The schema needs three; the rest is room for metadata. A limit of our own: the
#: interpreter's depends on who calls, and a line that validation can read the trainer must be able to read too.
MAX_DEPTH = 32


class TrainingLineError(InvalidTrainingFileError):
    """A line of a training file breaks the format."""

    def __init__(self, line: int, what: str, fault: str, hint: str | None = None) -> None:
        super().__init__(f"line {line}: {what} [{fault}]", param="training_file", hint=hint)
        self.line = line
        self.fault = fault


#: What reads a table, a list, another encoding.
_IMPORT = "'malmoi import' (or POST /v1/datasets, whose dataset can be trained on)"
_LIST = f"Write one object a line; {_IMPORT} reads a file that is one list."


def _fail(number: int, what: str, fault: str = "invalid_json", hint: str | None = None) -> TrainingLineError:
    return TrainingLineError(number, what, fault, hint)


def _how(line: str) -> str:
    """What to do about a line that is no JSON, by what it looks like."""
    text = line.strip()
    if text.startswith("["):
        return _LIST
    if not text.startswith("{") and ("," in text or "\t" in text):
        return f"It looks like a table (CSV): {_IMPORT} reads one and makes training rows of it."
    return "Each line is one whole JSON object, on that line alone."


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


def load_line(line: str, number: int) -> dict[str, Any]:
    """The JSON object of a line, every value in it one that all readers take alike.

    Raises:
        TrainingLineError: it is none; every way in which reading can fail names the line.
    """
    row = _json(line, number)
    _check_values(row, number)
    if not isinstance(row, dict):
        raise _fail(
            number,
            f'is {reprlib.repr(row)}, not an object; it needs a list "messages" in one object.',
            "data_type",
            _LIST if isinstance(row, list) else None,
        )
    return row


def _json(line: str, number: int) -> object:
    try:
        return json.loads(line, parse_constant=_refuse_constant, object_pairs_hook=_object)
    except json.JSONDecodeError as exc:
        raise _fail(number, f"not valid JSON ({exc.msg} at column {exc.colno}).", hint=_how(line)) from exc
    except RecursionError as exc:
        raise _fail(number, f"is nested too deeply; {MAX_DEPTH} levels are allowed.", "too_deep") from exc
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
                raise _fail(number, f"is nested too deeply; {MAX_DEPTH} levels are allowed.", "too_deep")
            if isinstance(value, list):
                waiting += [(item, f"{path}[{position}]", depth + 1) for position, item in enumerate(value)]
                continue
            for key, item in value.items():
                _check_text(key, f"a key of {path or 'the line'}", number)
                waiting.append((item, f"{path}.{key[:40]}" if path else key[:40], depth + 1))


def _check_text(text: str, where: str, number: int) -> None:
    if "\x00" in text:
        raise _fail(number, f"{where} holds a NUL character (\\u0000).", "invalid_text")
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        half = f"\\u{ord(text[exc.start]):04x}"
        raise _fail(
            number, f"{where} holds {half}, half of a surrogate pair, which is no character.", "invalid_text"
        ) from exc


def numbered_texts(lines: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """Line numbers from 1 and text of the lines that are not blank; a byte order mark may open the file.

    Raises:
        TrainingLineError: a line is no UTF-8.
    """
    for number, raw in enumerate(lines, start=1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as exc:
            hint = f"Save the file as UTF-8; {_IMPORT} reads CP949 too and makes training rows of it."
            raise _fail(number, f"not UTF-8 (byte {exc.start}).", "not_utf8", hint) from exc
        if line.strip():
            yield number, line
