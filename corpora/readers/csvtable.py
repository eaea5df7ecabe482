"""CSV and TSV: the separator is found by what parts the first lines evenly; the table becomes Markdown."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from corpora.readers import limits
from corpora.readers.decode import decode
from corpora.readers.extracted import Extracted, Page, too_large, unreadable
from corpora.readers.tables import Budget, table_blocks

__all__ = ["read_csv"]

_SEPARATORS = ",\t;|"
_SAMPLE_ROWS = 50


def read_csv(data: bytes, name: str) -> Extracted:
    """The table as Markdown.

    Raises:
        UnreadableDocumentError: no text, or a quote that never ends (``damaged_file``).
    """
    text, encoding, warnings = decode(data, name)
    budget = Budget(name)
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text), strict=True):
            budget.spend(len(row))
            if len(row) > limits.MAX_COLUMNS:
                raise too_large(name, f"holds a table of more than {limits.MAX_COLUMNS:,} columns.")
            rows.append([cell.strip() for cell in row])
    except csv.Error as exc:
        raise unreadable(name, "damaged_file", f"is no CSV that can be read: {exc}.") from exc
    page = Page(name)
    for warning in warnings:
        page.warn(warning)
    widths = {len(row) for row in rows if any(row)}
    if len(widths) > 1:
        page.warn(f"Rows have {min(widths)} to {max(widths)} cells.")
    table_blocks(page, rows)
    return replace(page.done(), encoding=encoding)


def _separator(text: str) -> str:
    """The sign that parts most of the first rows into the same number of cells, above one."""
    best = (0, 0, ",")
    head = "\n".join(text.split("\n")[:_SAMPLE_ROWS])
    for sign in _SEPARATORS:
        try:
            widths = [len(row) for row in csv.reader(io.StringIO(head, newline=""), delimiter=sign) if row]
        except csv.Error:
            continue  # with this separator it is no CSV; the next may do
        common = max(set(widths), key=widths.count, default=1)
        if common > 1 and (widths.count(common), common) > best[:2]:
            best = (widths.count(common), common, sign)
    return best[2]
