"""XLSX by openpyxl in its read-only mode: a heading a sheet, tables between blank rows, values as they are shown.

Merged cells are looked up in the sheet's own XML, text boxes and pictures in its drawing, which the read-only mode
passes over. Knows nothing of chunks.
"""

from __future__ import annotations

import datetime
import io
import re
import warnings
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import openpyxl  # type: ignore[import-untyped]
from openpyxl.utils.cell import range_boundaries  # type: ignore[import-untyped]

from corpora.readers import limits
from corpora.readers.drawings import count_pictures, drawn_lines, finished
from corpora.readers.extracted import Extracted, Page, too_large
from corpora.readers.package import Package, refuse_ole
from corpora.readers.tables import Budget, table_blocks

__all__ = ["read_xlsx"]

_MERGED = re.compile(rb"<(?:\w+:)?mergeCell\s[^>]*?ref=\"([A-Z]{1,3}\d{1,7}:[A-Z]{1,3}\d{1,7})\"")
_UNCOMPUTED = re.compile(rb"<f(?:\s[^>]*)?(?:/>|>[^<]*</f>)\s*(?:<v\s*/>|<v></v>)?\s*</c>")
#: Rows that a sheet of Excel can have; a file that claims more is broken.
_MAX_ROWS = 1_048_576


def read_xlsx(data: bytes, name: str) -> Extracted:
    """The workbook as Markdown, its sheet names as headings.

    Raises:
        UnreadableDocumentError: ``damaged_file``, ``encrypted``, ``scanned``, ``no_text``, ``document_too_large``.
    """
    refuse_ole(data, name, ".xlsx")
    package = Package(data, name)
    package.check_xml()
    page = Page(name)
    budget = Budget(name)
    pictures = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # openpyxl warns of styles and extensions it passes over; text has none
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        try:
            if len(book.worksheets) > limits.MAX_PAGES:
                raise too_large(name, f"holds {len(book.worksheets):,} sheets; at most {limits.MAX_PAGES:,} are read.")
            for sheet in book.worksheets:
                part = sheet._worksheet_path.lstrip("/")
                xml = package.read(part)
                page.mark(f"sheet {sheet.title}")
                drawings = _drawings(package, part)
                drawn = [line for drawing in drawings for line in drawn_lines(drawing)]
                pictures += sum(map(count_pictures, drawings))
                _sheet(page, sheet.title, _merged(list(_rows(sheet, budget)), xml, budget), drawn)
                if sheet.sheet_state != "visible":
                    page.warn(f"The sheet '{sheet.title}' is hidden in the workbook; it was read.")
                lacking = len(_UNCOMPUTED.findall(xml))
                if lacking:
                    page.warn(f"{lacking} formulas of sheet '{sheet.title}' have no stored value: open and save it.")
        finally:
            book.close()
    return finished(page, pictures, title=PurePath(name).stem, few=False)  # names of sheets are seldom titles


def _drawings(package: Package, part: str) -> list[Any]:
    relations = package.relations(part).values()
    return [package.xml(target) for kind, target in relations if kind.endswith("/drawing") and target in package]


def _sheet(page: Page, title: str, rows: list[list[str]], drawn: list[str]) -> None:
    if not drawn and not any(cell.strip() for row in rows for cell in row):
        page.warn(f"The sheet '{title}' is empty.")
        return
    page.heading(2, title)
    table_blocks(page, rows)
    for line in drawn:
        page.paragraph(line)


def _rows(sheet: Any, budget: Budget) -> Iterator[list[str]]:
    # The size that a file declares pads every row; a lie would cost memory.
    sheet.reset_dimensions()
    for number, row in enumerate(sheet.iter_rows(), start=1):
        if number > _MAX_ROWS:
            raise too_large(budget.name, "has more rows than a sheet can have.")
        shown = [_shown(cell) for cell in row]
        while shown and not shown[-1]:
            shown.pop()
        budget.spend(len(shown))
        yield shown


def _shown(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%d" if value.time() == datetime.time() else "%Y-%m-%d %H:%M:%S")
    if isinstance(value, int | float):
        if "%" in (cell.number_format or "") and abs(value) < 1e9:
            return f"{round(value * 100, 6):g}%"
        return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)
    return str(value)


def _merged(rows: list[list[str]], xml: bytes, budget: Budget) -> list[list[str]]:
    """Rows in which a cell merged downward stands in each of its rows."""
    for match in _MERGED.finditer(xml):
        left, top, _, bottom = range_boundaries(match.group(1).decode("ascii"))
        if not (0 < top <= len(rows) and left <= len(rows[top - 1])):
            continue
        text = rows[top - 1][left - 1]
        for row in rows[top : min(bottom, len(rows))] if text else ():
            budget.spend(1)
            if any(row):  # a merged range may reach below the table
                row.extend([""] * (left - len(row)))
                row[left - 1] = text
    return rows
