"""PPTX from its XML: slides in the order they are shown, titles as headings, tables, speaker's notes as quotes.

Diagrams are lists; pictures are counted, and slides without text are told. Footers, dates and slide numbers are set
aside with a warning. Source: ECMA-376 part 1, 19 and 21. Knows nothing of
chunks.
"""

from __future__ import annotations

from typing import Any

from corpora.readers import limits
from corpora.readers.drawings import (
    DIAGRAM,
    DIAGRAM_DATA,
    FALLBACK,
    count_pictures,
    diagram_items,
    finished,
)
from corpora.readers.extracted import Extracted, Page, ranges, too_large, unreadable
from corpora.readers.numbering import ordinal
from corpora.readers.package import Package, refuse_ole
from corpora.readers.tables import Budget, Cell, Grid

__all__ = ["read_pptx"]

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_TITLES = frozenset({"title", "ctrTitle"})
_FURNITURE = frozenset({"ftr", "dt", "sldNum", "hdr", "sldImg"})
_FORMS = {"ea": "ganada", "alpha": "lowerLetter", "roman": "lowerRoman", "circle": "decimalEnclosedCircle"}


def read_pptx(data: bytes, name: str) -> Extracted:
    """The presentation as Markdown.

    Raises:
        UnreadableDocumentError: ``damaged_file``, ``encrypted``, ``scanned``, ``no_text``, ``document_too_large``.
    """
    refuse_ole(data, name, ".pptx")
    package = Package(data, name)
    main = "ppt/presentation.xml"
    targets = package.relations(main)
    slides = [targets.get(node.get(f"{_R}id"), ("", ""))[1] for node in package.xml(main).iter(f"{_P}sldId")]
    if len(slides) > limits.MAX_PAGES:
        raise too_large(name, f"holds {len(slides):,} slides; at most {limits.MAX_PAGES:,} are read.")
    writer = _Writer(name)
    for number, part in enumerate(slides, start=1):
        if part not in package:
            raise unreadable(name, "damaged_file", f"lacks its slide {number}.")
        relations = package.relations(part)
        # A diagram's text stands in a part of its own.
        diagrams = {
            key: diagram_items(package.xml(target))
            for key, (kind, target) in relations.items()
            if kind.endswith("/diagramData") and target in package
        }
        writer.slide(number, package.xml(part), diagrams)
        for kind, target in relations.values():
            if kind.endswith("/notesSlide") and target in package:
                writer.notes(package.xml(target))
    return writer.done()


class _Writer:
    """Turns slides into blocks."""

    def __init__(self, name: str) -> None:
        self._page = Page(name)
        self._budget = Budget(name)
        self._aside: list[str] = []
        self._pictures = 0
        self._silent: list[int] = []

    def slide(self, number: int, root: Any, diagrams: dict[str, list[tuple[int, str]]]) -> None:
        """One slide; its title first, wherever it stands.

        Args:
            number: Its number, from 1.
            root: Its root element.
            diagrams: Texts of its diagrams with their depth, by relation.
        """
        self._page.mark(f"slide {number}")
        tree = root.find(f"{_P}cSld/{_P}spTree")  # pictures beside it are the slide's ground
        self._pictures += count_pictures(tree) if tree is not None else 0
        shapes = [
            s for s in root.iter(f"{_P}sp", f"{_P}graphicFrame") if not any(True for _ in s.iterancestors(FALLBACK))
        ]
        said = [_text(p) for s in shapes if _kind(s) not in _FURNITURE for p in s.iter(f"{_A}p")]
        if not any(c.isalnum() for c in "".join(said)) and not any(diagrams.values()):
            self._silent.append(number)
        titles = [shape for shape in shapes if _kind(shape) in _TITLES]
        for shape in titles:
            text = " ".join(_text(p) for p in shape.iter(f"{_A}p"))
            self._page.heading(1 if number == 1 and _kind(shape) == "ctrTitle" else 2, text)
        for shape in shapes:
            if _kind(shape) in _FURNITURE:
                self._aside.append(" ".join(_text(p) for p in shape.iter(f"{_A}p")).strip())
            elif shape.tag == f"{_P}graphicFrame":
                for table in shape.iter(f"{_A}tbl"):
                    self._table(table)
                for diagram in shape.iter(DIAGRAM):
                    self._diagram(diagrams.get(diagram.get(DIAGRAM_DATA)))
            elif shape not in titles:
                self._body(shape)

    def notes(self, root: Any) -> None:
        """What the speaker wrote below the slide."""
        for shape in root.iter(f"{_P}sp"):
            if _kind(shape) == "body":
                lines = [_text(p).strip() for p in shape.iter(f"{_A}p")]
                self._page.block("\n".join(f"> {line}" for line in lines if line))

    def done(self) -> Extracted:
        """The whole document."""
        aside = [text for text in dict.fromkeys(self._aside) if text and not text.isdigit()]
        if aside:
            self._page.warn(f"Footers of slides were set aside: {' / '.join(aside)[:200]}")
        if self._silent:
            self._page.warn(f"Slides without text, empty or of pictures: {ranges(self._silent)}.")
        return finished(self._page, self._pictures)

    def _body(self, shape: Any) -> None:
        counts: dict[int, int] = {}
        in_body = _kind(shape) in ("body", "", "obj") and shape.find(f".//{_P}nvPr/{_P}ph") is not None
        for paragraph in shape.iter(f"{_A}p"):
            text = _text(paragraph)
            properties = paragraph.find(f"{_A}pPr")
            level = properties.get("lvl", "0") if properties is not None else "0"
            depth = int(level) if level in "012345678" else 0
            if not text.strip():
                continue
            for deeper in [other for other in counts if other > depth]:
                del counts[deeper]
            numbered = properties.find(f"{_A}buAutoNum") if properties is not None else None
            if numbered is not None:
                first = numbered.get("startAt", "1")
                counts[depth] = counts.get(depth, (int(first) if first.isdecimal() else 1) - 1) + 1
                self._page.item(_label(counts[depth], numbered.get("type", "arabicPeriod")), text, depth)
                continue
            counts.pop(depth, None)
            bare = properties is not None and properties.find(f"{_A}buNone") is not None
            marked = properties is not None and properties.find(f"{_A}buChar") is not None
            if marked or (in_body and not bare):
                self._page.item("-", text, depth)
            else:
                self._page.paragraph(text)

    def _diagram(self, items: list[tuple[int, str]] | None) -> None:
        if items is None:
            self._pictures += 1  # its text cannot be found
        for depth, text in items or ():
            self._page.item("-", text, depth)

    def _table(self, table: Any) -> None:
        grid = Grid(self._budget)
        for row in table.iter(f"{_A}tr"):
            cells = []
            for cell in row.iter(f"{_A}tc"):
                if cell.get("hMerge") in ("1", "true") or cell.get("vMerge") in ("1", "true"):
                    continue  # covered by the cell before or above
                text = "\n".join(_text(p) for p in cell.iter(f"{_A}p"))
                cells.append(Cell(text, rows=_span(cell, "rowSpan"), columns=_span(cell, "gridSpan")))
            grid.row(cells)
        self._page.block(grid.markdown())


def _kind(shape: Any) -> str:
    """Kind of a placeholder; the empty string for one of no kind and for other shapes."""
    holder = shape.find(f".//{_P}nvPr/{_P}ph")
    return str(holder.get("type", "")) if holder is not None else ""


def _text(paragraph: Any) -> str:
    parts = []
    for node in paragraph.iter(f"{_A}t", f"{_A}br", f"{_A}tab"):
        parts.append(node.text or "" if node.tag == f"{_A}t" else "\n")
    return "".join(parts)


def _span(cell: Any, attribute: str) -> int:
    value = cell.get(attribute, "1")
    return int(value) if value.isdecimal() and len(value) < 7 else 1


def _label(number: int, kind: str) -> str:
    form = next((known for start, known in _FORMS.items() if kind.startswith(start)), "decimal")
    shown = ordinal(number, form)
    if kind.startswith("circle"):
        return shown
    return f"{shown})" if kind.endswith(("ParenR", "ParenBoth")) else f"{shown}."
