"""What one document may cost a reader: sizes, counts and depths beyond which a file is refused, not tried.

A parser process has its own limits on memory and time; these here say *which* thing was too large. Knows no format.
"""

from __future__ import annotations

__all__ = [
    "MAX_ARCHIVE_DEPTH",
    "MAX_CELLS",
    "MAX_CHARACTERS",
    "MAX_COLUMNS",
    "MAX_MEMBERS",
    "MAX_NESTING",
    "MAX_PAGES",
    "MAX_PAGE_CHARACTERS",
    "MAX_RATIO",
    "MAX_UNPACKED",
    "MAX_WARNINGS",
    "RATIO_FLOOR",
]

#: Characters of a document's text. The longest manual at hand has 60 thousand.
MAX_CHARACTERS = 20_000_000
#: Bytes that all parts of one zip (an office file is one) may unpack to; the HWP library's own guard says the same
#: of a single part.
MAX_UNPACKED = 256 * 1024 * 1024
#: Unpacked bytes per packed byte. Deflate reaches 1032 on zeros; XML of real tables stays below 100.
MAX_RATIO = 200
#: Below this many unpacked bytes the ratio is not asked: small parts of blanks are harmless.
RATIO_FLOOR = 1024 * 1024
#: Parts of one zip.
MAX_MEMBERS = 10_000
#: Zips within zips.
MAX_ARCHIVE_DEPTH = 2
#: Pages of a PDF, slides of a presentation, sheets of a workbook.
MAX_PAGES = 5_000
#: Characters of one page of a PDF; a page of A4 in small type holds ten thousand.
MAX_PAGE_CHARACTERS = 200_000
#: Cells of all tables of a document.
MAX_CELLS = 1_000_000
#: Columns of one table.
MAX_COLUMNS = 1_000
#: Elements within elements, lists within lists.
MAX_NESTING = 200
#: Warnings that a document keeps; the last one says how many more there were.
MAX_WARNINGS = 50
