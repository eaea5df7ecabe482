"""JSON Lines and JSON documents as records, in bounded memory, each with the line it begins in.

A document is a list of rows, or an object that holds such lists under ``data``, ``document`` and the like. Knows
nothing of datasets.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from corpora.importers.cutter import Cutter, Element
from corpora.importers.lines import TextFile
from corpora.importers.rows import BadRow, RowError, excerpt_of

__all__ = ["Record", "json_document", "json_lines", "parse_object"]


@dataclass(frozen=True, slots=True)
class Record:
    """One parsed row of a file."""

    line: int  #: Line it begins in, or its number in a table.
    value: dict[str, Any]  #: The row.
    excerpt: str  #: Its beginning, as it stands in the file.
    where: str = ""  #: Path inside the document.


def parse_object(file: TextFile, data: bytes) -> dict[str, Any]:
    """One JSON object.

    Raises:
        RowError: no JSON (``broken_json``), no object (``not_an_object``), nested too deeply (``too_deep``), a NUL
            byte (``nul_byte``) or bytes in another encoding (``undecodable_bytes``).
    """
    if b"\x00" in data:
        raise RowError("nul_byte", f"there is a NUL byte at byte {data.index(0) + 1}.")
    text = file.text(data)
    try:
        value = json.loads(text)
    except json.JSONDecodeError as exc:
        raise RowError("broken_json", f"not valid JSON ({exc.msg} at column {exc.colno}).") from exc
    except RecursionError as exc:
        raise RowError("too_deep", "brackets are nested too deeply.") from exc
    except ValueError as exc:  # a number of thousands of digits
        raise RowError("broken_json", f"not valid JSON ({exc}).") from exc
    if not isinstance(value, dict):
        raise RowError("not_an_object", f"a row is a JSON object, this is a {type(value).__name__}.")
    return value


def json_lines(file: TextFile, limit: int) -> Iterator[Record | BadRow]:
    """Rows of JSON Lines; blank lines are no rows."""
    for line in file.lines(limit):
        if line.too_long:
            yield _too_long(line.number, line.size, limit, file.shown(line.data))
            continue
        if not line.data.strip():
            continue
        excerpt = excerpt_of(file.shown(line.data))
        try:
            yield Record(line.number, parse_object(file, line.data), excerpt)
        except RowError as fault:
            reason, message = fault.code, fault.message
            if not line.end and reason in ("broken_json", "undecodable_bytes"):
                reason = "unfinished_line"
                message = "the file ends within this line; it was cut off, or was still being written."
            yield BadRow(line=line.number, reason=reason, message=message, excerpt=excerpt)


def json_document(file: TextFile, limit: int) -> Iterator[Record | BadRow]:
    """Rows of a JSON document: a list, an object that holds lists of rows, or one object that is the only row."""
    cutter = Cutter(limit)
    for block in file.blocks():
        for element in cutter.feed(block):
            yield _parsed(file, element, limit)
    for element in cutter.finish():
        yield _parsed(file, element, limit)
    if not cutter.found:
        yield _whole(file, limit)
    elif cutter.extra_line or not cutter.ended:
        reason, message = ("extra_data", "something stands behind the end of the document.")
        if not cutter.ended:
            reason, message = ("unfinished_document", "the file ends before its list of rows does.")
        line, excerpt = cutter.extra_line or cutter.line, excerpt_of(file.shown(cutter.extra))
        yield BadRow(line=line, reason=reason, message=message, excerpt=excerpt)


def _whole(file: TextFile, limit: int) -> Record | BadRow:
    if file.size > limit:
        return _too_long(1, file.size, limit, file.shown(next(file.blocks())))
    data = b"".join(file.blocks())
    return _parsed(file, Element(1, data, "", len(data), False), limit)


def _parsed(file: TextFile, element: Element, limit: int) -> Record | BadRow:
    shown = file.shown(element.data)
    if element.too_long:
        return _too_long(element.line, element.size, limit, shown, element.where)
    try:
        if not element.closed:
            raise RowError(
                "unfinished_document",
                "the file ends within this row: its brackets or quotes do not close, or it was cut off.",
            )
        if not element.data:
            raise RowError("broken_json", "there is a comma with nothing before or behind it.")
        return Record(element.line, parse_object(file, element.data), excerpt_of(shown), element.where)
    except RowError as fault:
        return BadRow(
            line=element.line,
            reason=fault.code,
            message=fault.message,
            excerpt=excerpt_of(shown),
            where=element.where,
        )


def _too_long(line: int, size: int, limit: int, shown: str, where: str = "") -> BadRow:
    return BadRow(
        line=line,
        reason="line_too_long",
        message=f"{size:,} bytes in one row; the limit is {limit:,}.",
        excerpt=excerpt_of(shown),
        where=where,
    )
