"""PPTX from its XML: slides in the order they are shown, titles as headings, tables, speaker's notes as quotes.

Footers, dates and slide numbers are set aside with a warning. Source: ECMA-376 part 1, 19 and 21. Knows nothing of
chunks.
"""

from __future__ import annotations

import posixpath
from typing import Any

from corpora.readers import limits
from corpora.readers.extracted import Extracted, Page, too_large, unreadable
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
        UnreadableDocumentError: ``damaged_file``, ``encrypted``, ``no_text``, ``document_too_large``.
    """
    refuse_ole(data, name, ".pptx")
    package = Package(data, name)
    main = "ppt/presentation.xml"
    targets = _relations(package, main)
    slides = [targets.get(node.get(f"{_R}id"), ("", ""))[1] for node in package.xml(main).iter(f"{_P}sldId")]
    if len(slides) > limits.MAX_PAGES:
        raise too_large(name, f"holds {len(slides):,} slides; at most {limits.MAX_PAGES:,} are read.")
    writer = _Writer(name)
    for number, part in enumerate(slides, start=1):
        if part not in package:
            raise unreadable(name, "damaged_file", f"lacks its slide {number}.")
        writer.slide(number, package.xml(part))
        notes = [target for kind, target in _relations(package, part).values() if kind.endswith("/notesSlide")]
        for target in notes:
            if target in package:
                writer.notes(package.xml(target))
    return writer.done()


def _relations(package: Package, part: str) -> dict[str, tuple[str, str]]:
    """Relation id -> (type, member) of a part."""
    folder, _, leaf = part.rpartition("/")
    member = f"{folder}/_rels/{leaf}.rels"
    if member not in package:
        return {}
    found = {}
    for node in package.xml(member):
        if node.get("TargetMode") != "External" and node.get("Target"):
            target = posixpath.normpath(posixpath.join("/", folder, node.get("Target"))).lstrip("/")
            found[node.get("Id")] = (node.get("Type") or "", target)
    return found


class _Writer:
    """Turns slides into blocks."""

    def __init__(self, name: str) -> None:
        self._page = Page(name)
        self._budget = Budget(name)
        self._aside: list[str] = []

    def slide(self, number: int, root: Any) -> None:
        """One slide; its title first, wherever it stands."""
        self._page.mark(f"slide {number}")
        shapes = list(root.iter(f"{_P}sp", f"{_P}graphicFrame"))
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
        return self._page.done()

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
