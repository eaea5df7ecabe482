"""DOCX by python-docx: headings by style or outline level, lists with the numbers Word shows, tables with merged cells.

What stands in a text box or a diagram comes behind the paragraph that holds it. Running heads and feet and the table
of contents are set aside with a warning, pictures are counted; deleted text of tracked changes is not read. Numbers are
counted in ``numbering``. Knows nothing of chunks.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

import docx
from docx.oxml.ns import qn

from corpora.readers import limits
from corpora.readers.drawings import DIAGRAM, DIAGRAM_DATA, FALLBACK, count_pictures, diagram_items, finished
from corpora.readers.extracted import Extracted, Page, too_large
from corpora.readers.numbering import Numbering
from corpora.readers.package import Package, parse_xml, refuse_ole
from corpora.readers.tables import Budget, Cell, Grid

__all__ = ["read_docx"]

_HEADING = re.compile(r"^(?:heading|제목|개요)\s*([1-9])$", re.IGNORECASE)
_CONTENTS = re.compile(r"^(?:toc|목차)\s*(?:heading|제목|\d)?$", re.IGNORECASE)
#: Elements whose text is none: deleted, field codes, the older twin of a drawing.
_UNSEEN = frozenset(map(qn, ("w:del", "w:moveFrom", "w:instrText", "w:delText"))) | {FALLBACK}
#: What a paragraph holds that is blocks of its own: a text box, a diagram.
_HOLDS = frozenset({qn("w:txbxContent"), DIAGRAM})
_BREAKS = {qn("w:tab"): " ", qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-"}
#: Elements that only wrap blocks.
_WRAPPERS = frozenset(map(qn, ("w:sdt", "w:sdtContent", "w:ins", "w:moveTo", "w:customXml", "w:smartTag")))


def read_docx(data: bytes, name: str) -> Extracted:
    """The document as Markdown.

    Raises:
        UnreadableDocumentError: ``damaged_file``, ``encrypted``, ``scanned``, ``no_text``, ``document_too_large``.
    """
    refuse_ole(data, name, ".docx")
    package = Package(data, name)
    package.check_xml()
    document = docx.Document(io.BytesIO(data))
    writer = _Writer(document, name)
    writer.blocks(document.element.body, 0)
    writer.notes(package)
    writer.set_aside(package)
    return finished(writer.page, count_pictures(document.element.body) + writer.lacking)


def _blocks(parent: Any, depth: int, name: str) -> Iterator[Any]:
    """Paragraphs and tables in order, those in content controls too."""
    if depth > limits.MAX_NESTING:
        raise too_large(name, f"nests more than {limits.MAX_NESTING} elements.")
    for element in parent:
        if element.tag in (qn("w:p"), qn("w:tbl")):
            yield element
        elif element.tag in _WRAPPERS:
            yield from _blocks(element, depth + 1, name)


def _held(element: Any) -> list[Any]:
    """Text boxes and diagrams within an element, those within other boxes left out."""
    found: list[Any] = []
    stack = [element]
    while stack:
        node = stack.pop()
        if node.tag in _HOLDS:
            found.append(node)
        elif node.tag not in _UNSEEN:
            stack.extend(reversed(node))
    return found


def _text(element: Any, *, boxes: bool = True) -> str:
    """The text that is seen, with line ends for breaks; boxes within it are parted by line ends, or left out."""
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
        elif node.tag not in _UNSEEN and (boxes or node.tag not in _HOLDS):
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
        self._relations = document.part.rels
        self._contents = 0
        self.lacking = 0  #: Diagrams whose text cannot be found.

    def blocks(self, parent: Any, depth: int) -> None:
        """The paragraphs and tables of a body, a text box or a cell, with what they hold behind them."""
        for element in _blocks(parent, depth, self.page.name):
            if element.tag == qn("w:tbl"):
                self._table(element, depth)
                continue
            self._paragraph(element)
            for held in _held(element):
                if held.tag == DIAGRAM:
                    self._diagram(held)
                else:
                    self.blocks(held, depth + 1)

    def _paragraph(self, element: Any) -> None:
        """A heading, an item of a list, or plain text."""
        style = self._style(element)
        text = _text(element, boxes=False)
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

    def _table(self, element: Any, depth: int) -> None:
        """A table; boxes and tables within its cells are read as their text."""
        rows = [row for row in element.iter(qn("w:tr")) if next(row.iterancestors(qn("w:tbl"))) is element]
        cells = _cells(rows[0]) if len(rows) == 1 else []
        if len(cells) == 1:
            self.blocks(cells[0], depth + 1)  # a frame around a note
            return
        grid = Grid(self._budget)
        open_cells: dict[int, str] = {}
        for row in rows:
            grid.row(_row(row, open_cells))
        self.page.block(grid.markdown())
        for held in _held(element):
            if held.tag == DIAGRAM:
                self._diagram(held)

    def _diagram(self, element: Any) -> None:
        relation = self._relations.get(element.get(DIAGRAM_DATA))
        if relation is None or relation.is_external:
            self.lacking += 1
            return
        for depth, text in diagram_items(parse_xml(relation.target_part.blob, self.page.name, "diagram")):
            self.page.item("-", text, depth)

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


def _cells(row: Any) -> list[Any]:
    return [cell for cell in row.iter(qn("w:tc")) if next(cell.iterancestors(qn("w:tr"))) is row]


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
    for cell in _cells(row):
        span = cell.find(f"{qn('w:tcPr')}/{qn('w:gridSpan')}")
        width = min(max(1, int(span.get(qn("w:val")) if span is not None else 1)), limits.MAX_COLUMNS)
        merge = cell.find(f"{qn('w:tcPr')}/{qn('w:vMerge')}")
        text = _text(cell)
        if merge is not None and merge.get(qn("w:val")) != "restart":
            text = above.get(column, text)
        above[column] = text
        cells.append(Cell(text, columns=width))
        column += width
    return cells
