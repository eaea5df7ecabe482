"""DOCX by python-docx: headings by style or outline level, lists with the numbers Word shows, tables with merged cells.

Running heads and feet and the table of contents are set aside with a warning; deleted text of tracked changes is not
read. Numbers are counted in ``numbering``. Knows nothing of chunks.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

import docx
from docx.oxml.ns import qn

from corpora.readers import limits
from corpora.readers.extracted import Extracted, Page, too_large
from corpora.readers.numbering import Numbering
from corpora.readers.package import Package, refuse_ole
from corpora.readers.tables import Budget, Cell, Grid

__all__ = ["read_docx"]

_HEADING = re.compile(r"^(?:heading|제목|개요)\s*([1-9])$", re.IGNORECASE)
_CONTENTS = re.compile(r"^(?:toc|목차)\s*(?:heading|제목|\d)?$", re.IGNORECASE)
#: Elements whose text is none: deleted, field codes, the older twin of a drawing.
_UNSEEN = frozenset(map(qn, ("w:del", "w:moveFrom", "w:instrText", "w:delText"))) | {
    "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
}
_BREAKS = {qn("w:tab"): " ", qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-"}
#: Elements that only wrap blocks.
_WRAPPERS = frozenset(map(qn, ("w:sdt", "w:sdtContent", "w:ins", "w:moveTo", "w:customXml", "w:smartTag")))


def read_docx(data: bytes, name: str) -> Extracted:
    """The document as Markdown.

    Raises:
        UnreadableDocumentError: ``damaged_file``, ``encrypted``, ``no_text``, ``document_too_large``.
    """
    refuse_ole(data, name, ".docx")
    package = Package(data, name)
    package.check_xml()
    document = docx.Document(io.BytesIO(data))
    writer = _Writer(document, name)
    for element in _blocks(document.element.body, 0, name):
        if element.tag == qn("w:tbl"):
            writer.table(element)
        else:
            writer.paragraph(element)
    writer.notes(package)
    writer.set_aside(package)
    return writer.page.done()


def _blocks(parent: Any, depth: int, name: str) -> Iterator[Any]:
    """Paragraphs and tables in order, those in content controls too."""
    if depth > limits.MAX_NESTING:
        raise too_large(name, f"nests more than {limits.MAX_NESTING} elements.")
    for element in parent:
        if element.tag in (qn("w:p"), qn("w:tbl")):
            yield element
        elif element.tag in _WRAPPERS:
            yield from _blocks(element, depth + 1, name)


def _text(element: Any) -> str:
    """The text that is seen, with line ends for breaks; boxes within it are parted by line ends."""
    parts: list[str] = []
    stack = [element]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            parts.append(node)
        elif node.tag == qn("w:t"):
            parts.append(node.text or "")
        elif node.tag in _BREAKS and node.getparent().tag != qn("w:tabs"):
            parts.append(_BREAKS[node.tag])
        elif node.tag not in _UNSEEN:
            if node.tag == qn("w:txbxContent") or (node.tag == qn("w:p") and node is not element):
                parts.append("\n")
                stack.append("\n")
            stack.extend(reversed(node))
    return "".join(parts)


class _Writer:
    """Turns Word's elements into blocks."""

    def __init__(self, document: Any, name: str) -> None:
        self.page = Page(name)
        self._budget = Budget(name)
        self._styles = {style.style_id: style for style in document.styles if style.element.tag == qn("w:style")}
        self._numbers = Numbering(document)
        self._contents = 0

    def paragraph(self, element: Any) -> None:
        """A heading, an item of a list, or plain text."""
        style = self._style(element)
        text = _text(element)
        if not text.strip():
            return
        if any(_CONTENTS.match(name) for name in style[0]):
            self._contents += 1
            return
        level = self._level(element, style)
        label = self._numbers.label(element, style[1])
        if level is not None:
            self.page.heading(level, text if label is None or label[0] == "-" else f"{label[0]} {text}")
        elif label is not None:
            self.page.item(label[0], text, label[1])
        else:
            self.page.paragraph(text)

    def table(self, element: Any) -> None:
        """A table; tables within its cells are read as their text."""
        grid = Grid(self._budget)
        open_cells: dict[int, str] = {}
        for row in element.iter(qn("w:tr")):
            if next(row.iterancestors(qn("w:tbl"))) is element:
                grid.row(_row(row, open_cells))
        rows = grid.rows()
        if len(rows) == 1 and len(rows[0]) == 1:
            self.page.paragraph(rows[0][0])  # a frame around a note
        else:
            self.page.block(grid.markdown())

    def notes(self, package: Package) -> None:
        """Footnotes and endnotes, as items behind the text."""
        for part in ("word/footnotes.xml", "word/endnotes.xml"):
            if part in package:
                for note in package.xml(part):
                    if note.get(qn("w:type")) is None and _text(note).strip():
                        self.page.item(f"[{note.get(qn('w:id'))}]", _text(note))

    def set_aside(self, package: Package) -> None:
        """Say what was left out."""
        if self._contents:
            self.page.warn(f"A table of contents of {self._contents} lines was set aside.")
        running = []
        for part in package.names():
            if re.fullmatch(r"word/(?:header|footer)\d*\.xml", part):
                running.append(" ".join(_text(package.xml(part)).split()))
        shown = list(dict.fromkeys(text for text in running if text))
        if shown:
            self.page.warn(f"Running heads or feet were set aside: {' / '.join(shown)[:200]}")

    def _style(self, element: Any) -> tuple[list[str], list[Any]]:
        """Names and elements of the paragraph's style and of those it rests on."""
        names: list[str] = []
        elements: list[Any] = []
        properties = element.find(qn("w:pPr"))
        node = properties.find(qn("w:pStyle")) if properties is not None else None
        style = self._styles.get(node.get(qn("w:val"))) if node is not None else None
        while style is not None and len(elements) < 10:
            names.append(style.name or "")
            elements.append(style.element)
            base = style.element.find(qn("w:basedOn"))
            style = self._styles.get(base.get(qn("w:val"))) if base is not None else None
        return names, elements

    def _level(self, element: Any, style: tuple[list[str], list[Any]]) -> int | None:
        for name in style[0]:
            if name.lower() in ("title", "제목"):
                return 1
            match = _HEADING.match(name)
            if match:
                return int(match.group(1))
        for holder in (element, *style[1]):
            outline = holder.find(f"{qn('w:pPr')}/{qn('w:outlineLvl')}")
            if outline is not None and (outline.get(qn("w:val")) or "9") in "012345678":
                return int(outline.get(qn("w:val"))) + 1
        return None


def _row(row: Any, above: dict[int, str]) -> list[Cell]:
    """Cells of a row; one that goes on from above takes that one's text.

    Args:
        row: The row.
        above: Column -> text of the cell that may go on there; brought up to date.
    """
    cells: list[Cell] = []
    column = 0
    skipped = row.find(f"{qn('w:trPr')}/{qn('w:gridBefore')}")
    if skipped is not None:
        column = min(int(skipped.get(qn("w:val"))), limits.MAX_COLUMNS)
        cells.extend([Cell("")] * column)
    for cell in (c for c in row.iter(qn("w:tc")) if next(c.iterancestors(qn("w:tr"))) is row):
        span = cell.find(f"{qn('w:tcPr')}/{qn('w:gridSpan')}")
        width = min(max(1, int(span.get(qn("w:val")) if span is not None else 1)), limits.MAX_COLUMNS)
        merge = cell.find(f"{qn('w:tcPr')}/{qn('w:vMerge')}")
        text = "\n".join(_text(p) for p in cell.iter(qn("w:p")) if next(p.iterancestors(qn("w:tc"))) is cell)
        inner = "\n".join(_text(c) for c in cell.iter(qn("w:tbl")))
        text = "\n".join(part for part in (text, inner) if part.strip())
        if merge is not None and merge.get(qn("w:val")) != "restart":
            text = above.get(column, text)
        above[column] = text
        cells.append(Cell(text, columns=width))
        column += width
    return cells
