"""Tables as Markdown, from rows of cells in which one cell may cover several.

A cell that spans rows stands in each of them, so that every row can be read alone; one that spans columns stands in the
first. Knows no format.

Use::

    grid = Grid(Budget("지침.html"))
    grid.row([Cell("구역", rows=2), Cell("온도")])
    grid.row([Cell("냉장")])
    page.block(grid.markdown())
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from corpora.readers import limits
from corpora.readers.extracted import Page, too_large

__all__ = ["Budget", "Cell", "Grid", "markdown_table", "table_blocks", "trimmed"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell and how far it reaches."""

    text: str  #: What stands in it.
    rows: int = 1  #: Rows that it covers.
    columns: int = 1  #: Columns that it covers.


class Budget:
    """The cells that all tables of one document may hold together.

    Args:
        name: The file, for messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._left = limits.MAX_CELLS

    def spend(self, cells: int) -> None:
        """Count cells.

        Raises:
            UnreadableDocumentError: there are too many (``document_too_large``).
        """
        self._left -= cells
        if self._left < 0:
            raise too_large(self.name, f"holds more than {limits.MAX_CELLS:,} table cells; split it.")


class Grid:
    """Rows with merged cells laid out on a grid.

    Args:
        budget: What the document may still spend.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._rows: list[list[str]] = []
        self._covered: dict[int, tuple[int, str]] = {}  # column -> rows still covered, text

    def row(self, cells: Iterable[Cell]) -> None:
        """The next row; columns that a cell above covers are filled first."""
        line: list[str] = []
        covered: dict[int, tuple[int, str]] = {}

        def fill() -> None:
            while len(line) in self._covered:
                left, text = self._covered.pop(len(line))
                if left > 1:
                    covered[len(line)] = (left - 1, text)
                line.append(text)

        fill()
        for cell in cells:
            for number in range(min(max(1, cell.columns), limits.MAX_COLUMNS)):
                text = cell.text if number == 0 else ""
                if cell.rows > 1:
                    covered[len(line)] = (cell.rows - 1, text)
                line.append(text)
            fill()
            if len(line) > limits.MAX_COLUMNS:
                raise too_large(self._budget.name, f"holds a table of more than {limits.MAX_COLUMNS:,} columns.")
        for column in sorted(self._covered):
            left, text = self._covered[column]
            line.extend([""] * (column - len(line)))
            line.append(text)
            if left > 1:
                covered[column] = (left - 1, text)
        self._covered = covered
        self._budget.spend(max(1, len(line)))
        self._rows.append(line)

    def rows(self) -> list[list[str]]:
        """All rows."""
        return self._rows

    def markdown(self) -> str:
        """The table, its first row as header; the empty string for one without text."""
        return markdown_table(self._rows)


def trimmed(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Rows of one width, without rows and columns that hold nothing."""
    kept = [row for row in rows if any(cell.strip() for cell in row)]
    width = max((len(row) for row in kept), default=0)
    square = [[*row, *[""] * (width - len(row))] for row in kept]
    used = [column for column in range(width) if any(row[column].strip() for row in square)]
    return [[row[column] for column in used] for row in square]


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first row as header; the empty string where no cell holds text."""
    square = trimmed(rows)
    if not square:
        return ""
    lines = [_line(row) for row in square]
    return "\n".join([lines[0], "| " + " | ".join(["---"] * len(square[0])) + " |", *lines[1:]])


def table_blocks(page: Page, rows: list[list[str]]) -> None:
    """Rows as tables and paragraphs: blank rows part them, a row of one cell before or after a table is text."""
    group: list[list[str]] = []
    for row in [*rows, []]:
        if any(cell.strip() for cell in row):
            group.append(row)
        elif group:
            _group(page, group)
            group = []


def _group(page: Page, group: list[list[str]]) -> None:
    filled = [sum(1 for cell in row if cell.strip()) for row in group]
    first = next((index for index, count in enumerate(filled) if count > 1), len(group))
    last = next((index for index in range(len(group), 0, -1) if filled[index - 1] > 1), first)
    for row in group[:first]:
        page.paragraph(" ".join(cell for cell in row if cell.strip()))
    table = trimmed(group[first:last])
    if table:
        page.block(markdown_table(table))
    for row in group[last:]:
        page.paragraph(" ".join(cell for cell in row if cell.strip()))


def _line(row: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("\\|", "|").replace("|", "\\|") for cell in row) + " |"
