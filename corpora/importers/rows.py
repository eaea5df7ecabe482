"""What importing yields: rows that fit, rows that do not, and the checks that both go through.

Every converter builds its messages here, so that one set of rules holds for all formats: text is NFC, not blank, free
of NUL and of lone surrogates; user and assistant take turns, an optional system turn first. A row that breaks a rule
is never mended: it becomes a ``BadRow`` with a reason. Knows nothing of files and of formats.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from corpora.errors import InvalidInputError
from corpora.records import Message, Role

__all__ = [
    "EXCERPT_CHARS",
    "BadRow",
    "ImportedRow",
    "OwnSplit",
    "RowError",
    "check_turns",
    "clean_text",
    "conversation",
    "excerpt_of",
    "optional_text",
    "printable",
    "scalars",
    "told_beside",
]

#: So much of a bad row is shown to a person.
EXCERPT_CHARS = 120
_SURROGATE = re.compile("[\ud800-\udfff]")
#: Side of a split that a dataset itself gives a row.
OwnSplit = Literal["train", "test"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedRow:
    """One conversation out of a foreign dataset."""

    messages: tuple[Message, ...]  #: The whole conversation, system turn first where there is one.
    grounded: bool = False  #: True when the answer rests on ``context``.
    context: str | None = None  #: The passage that the answer rests on, where the dataset has one.
    group_id: str | None = None  #: Rows of one article, passage or task share it and belong to one split.
    variant_id: str | None = None  #: Variants of one row share it, as our own exports tell; never duplicates.
    split: OwnSplit | None = None  #: The dataset's own side, ``test`` for its validation too; None where it has none.
    metadata: dict[str, Any] = field(default_factory=dict)  #: Other scalar fields of the source: id, category, url.
    line: int = 0  #: Line it begins in, from 1; in Parquet and Arrow the number of the row.
    file: str = ""  #: File it stands in, relative to the folder that was given.


@dataclass(frozen=True, kw_only=True, slots=True)
class BadRow:
    """One row that could not be imported."""

    line: int  #: Line it begins in, from 1; in Parquet and Arrow the number of the row.
    reason: str  #: For programs: ``broken_json``, ``empty_content``, ``unsupported_role``, …
    message: str  #: For people: what is wrong.
    excerpt: str  #: Its first 120 characters.
    where: str = ""  #: Path inside a JSON document, such as ``data[3].paragraphs[0].qas[2]``.
    file: str = ""  #: File it stands in, relative to the folder that was given.


class RowError(InvalidInputError):
    """A row does not fit; carried inside the importers only and turned into a ``BadRow``."""

    code = "bad_row"

    def __init__(self, reason: str, message: str, where: str = "") -> None:
        super().__init__(message, code=reason)
        self.where = where


def clean_text(value: object, name: str) -> str:
    """``value`` in NFC, otherwise as it is.

    Raises:
        RowError: missing (``missing_field``), no text (``not_text``), blank (``empty_content``), or with a character
            that no text file holds (``nul_byte``, ``lone_surrogate``).
    """
    if value is None:
        raise RowError("missing_field", f"'{name}' is missing.")
    if not isinstance(value, str):
        raise RowError("not_text", f"'{name}' is no text but of type {type(value).__name__}.")
    if not value.strip():
        raise RowError("empty_content", f"'{name}' is empty.")
    if "\x00" in value:
        raise RowError("nul_byte", f"'{name}' holds a NUL character.")
    if _SURROGATE.search(value):
        raise RowError("lone_surrogate", f"'{name}' holds half of a surrogate pair, which is no character.")
    return unicodedata.normalize("NFC", value)


def optional_text(value: object, name: str) -> str | None:
    """Like ``clean_text``, but missing and blank are None."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return clean_text(value, name)


def check_turns(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages, when they are a conversation that one can train on.

    Raises:
        RowError: ``empty_conversation``, ``wrong_order`` or ``no_answer``.
    """
    start = 1 if messages and messages[0].role == "system" else 0
    if len(messages) <= start:
        raise RowError("empty_conversation", "there is neither question nor answer.")
    for position in range(start, len(messages)):
        wanted = "assistant" if (position - start) % 2 else "user"
        if messages[position].role != wanted:
            raise RowError(
                "wrong_order",
                f"turn {position + 1} is of '{messages[position].role}' where '{wanted}' must stand.",
            )
    if messages[-1].role != "assistant":
        raise RowError("no_answer", "the last turn is the user's; there is no answer to it.")
    return tuple(messages)


def conversation(turns: Iterable[tuple[Role, object, str]]) -> tuple[Message, ...]:
    """Messages from ``(role, content, name of the field)``, checked.

    Raises:
        RowError: a content or the order of the turns is wrong.
    """
    return check_turns([Message(role=role, content=clean_text(content, name)) for role, content, name in turns])


def scalars(row: Mapping[str, Any], *, without: Iterable[str] = ()) -> dict[str, Any]:
    """The fields of ``row`` that are plain values and not in ``without``, those of an object ``metadata`` too.

    Other lists and objects are not carried.

    Raises:
        RowError: a text among them holds NUL or a lone surrogate.
    """
    skip = frozenset(without)
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name in skip or value is None or value == "":
            continue
        if _SURROGATE.search(name):
            raise RowError("lone_surrogate", "the name of a field holds half of a surrogate pair.")
        if name == "metadata" and (told := told_beside(row)) is not None:
            found |= scalars(told)
        elif isinstance(value, str):
            # Blank strings are data here; only what cannot be stored is refused.
            found[name] = clean_text(value, name) if value.strip() else value
        elif isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
            found[name] = value
    return found


def told_beside(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """The object ``metadata`` of a row; our Parquet files hold it as a JSON text. None where there is none."""
    told = row.get("metadata")
    if isinstance(told, str) and told.startswith("{"):
        try:
            told = json.loads(told)
        except (ValueError, RecursionError):
            return None  # a text that only looks like it, carried as the text that it is
    return told if isinstance(told, dict) else None


def printable(name: str) -> str:
    """A file's name in NFC; bytes that are no UTF-8, which Python holds as surrogates, are shown as escapes."""
    try:
        shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        shown = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return unicodedata.normalize("NFC", shown)


def excerpt_of(text: str) -> str:
    """The first 120 characters, with what no terminal and no database takes written as escapes."""
    shown = text[:EXCERPT_CHARS].replace("\x00", "\\x00")
    return shown.encode("utf-8", "backslashreplace").decode("utf-8")[:EXCERPT_CHARS]
