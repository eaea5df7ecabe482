"""Search in the messages of samples, the same on both databases.

The contents are taken out of the JSON by the database and compared as text: how the JSON was escaped when it was
stored does not matter, names of keys and roles are no hits, and nothing in the text is a wildcard.
"""

from __future__ import annotations

import unicodedata
from typing import Any

from sqlalchemy import Boolean, ColumnElement, String, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.store.tables import SampleRow

__all__ = ["says"]


class _Says(FunctionElement[bool]):
    """Whether the content of any message holds a text, given in lower case."""

    name = "says"
    type = Boolean()
    inherit_cache = True


@compiles(_Says, "sqlite")
def _sqlite(element: _Says, compiler: SQLCompiler, **options: Any) -> str:
    messages, text = (compiler.process(clause, **options) for clause in element.clauses)
    content = "json_extract(turn.value, '$.content')"
    return f"EXISTS (SELECT 1 FROM json_each({messages}) AS turn WHERE instr(lower({content}), {text}) > 0)"  # noqa: S608 -- a column and a bound parameter


@compiles(_Says, "postgresql")
def _postgresql(element: _Says, compiler: SQLCompiler, **options: Any) -> str:
    messages, text = (compiler.process(clause, **options) for clause in element.clauses)
    # In the collation "C" lower() changes A to Z and nothing else, as SQLite's does.
    content = "lower((turn.value ->> 'content') COLLATE \"C\")"
    rows = f"json_array_elements({messages}) AS turn(value)"
    return f"EXISTS (SELECT 1 FROM {rows} WHERE position({text} IN {content}) > 0)"  # noqa: S608 -- a column and a bound parameter


def says(text: str) -> ColumnElement[bool]:
    """Condition on ``SampleRow``: some message holds ``text`` literally, in NFC; A to Z in either case."""
    wanted = unicodedata.normalize("NFC", text)
    lowered = "".join(character.lower() if character.isascii() else character for character in wanted)
    return _Says(SampleRow.messages, literal(lowered, String()))
