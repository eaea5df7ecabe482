"""What office files draw: pictures and charts are counted, a file of little else is scanned, diagrams are read.

Source of the elements: ECMA-376 part 1, 20 and 21. Does not read text in pictures. Knows nothing of paragraphs.

Use::

    for depth, text in diagram_items(package.xml("ppt/diagrams/data1.xml")):
        page.item("-", text, depth)
    return finished(page, count_pictures(root))
"""

from __future__ import annotations

from typing import Any

from lxml import etree  # type: ignore[import-untyped]

from corpora.errors import UnreadableDocumentError
from corpora.readers.extracted import Extracted, Page, unreadable

__all__ = [
    "DIAGRAM",
    "DIAGRAM_DATA",
    "FALLBACK",
    "count_pictures",
    "diagram_items",
    "drawn_lines",
    "finished",
]

_SPACES = {
    "a": "http://schemas.openxmlformats.org/drawingml/2006/main",
    "c": "http://schemas.openxmlformats.org/drawingml/2006/chart",
    "cx": "http://schemas.microsoft.com/office/drawing/2014/chartex",
    "mc": "http://schemas.openxmlformats.org/markup-compatibility/2006",
    "v": "urn:schemas-microsoft-com:vml",
}
_A = f"{{{_SPACES['a']}}}"
_D = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
#: The element that names a diagram, and its attribute with the relation to the diagram's data.
DIAGRAM = f"{_D}relIds"
DIAGRAM_DATA = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}dm"
#: The older twin of a drawing.
FALLBACK = f"{{{_SPACES['mc']}}}Fallback"
#: A picture that is a bullet is none; a chart's element stands in the text once, its drawing in a part of its own.
_PICTURES = etree.XPath(
    "count(.//*[self::a:blip[not(parent::a:buBlip)] or self::v:imagedata or self::c:chart or self::cx:chart]"
    "[not(ancestor::mc:Fallback)])",
    namespaces=_SPACES,
)
#: Letters below which a file of pictures is one of scanned pages: a title, or a caption to each.
_FEW_LETTERS = 50
_FEW_PER_PICTURE = 10


def count_pictures(root: Any) -> int:
    """Pictures and charts at or below an element, each once."""
    return int(_PICTURES(root))


def diagram_items(root: Any) -> list[tuple[int, str]]:
    """Texts of a diagram with their depth, in the order of its outline.

    Args:
        root: The root element of the diagram's data.
    """
    texts: dict[str, str] = {}
    starts: list[str] = []
    for number, point in enumerate(root.iter(f"{_D}pt")):
        name = point.get("modelId") or str(number)
        if point.get("type") == "doc":
            starts.append(name)
        elif point.get("type", "node") in ("node", "asst"):
            lines = ("".join(t.text or "" for t in p.iter(f"{_A}t")) for p in point.iter(f"{_A}p"))
            texts[name] = " ".join(" ".join(line.split()) for line in lines if line.strip())
    below: dict[str, list[tuple[int, str]]] = {}
    for link in root.iter(f"{_D}cxn"):
        if link.get("type", "parOf") == "parOf":
            place = link.get("srcOrd", "0")
            order = int(place) if place.isdecimal() and len(place) < 7 else 0
            below.setdefault(link.get("srcId", ""), []).append((order, link.get("destId", "")))
    items: list[tuple[int, str]] = []
    # Points that hang on nothing come last.
    stack = [(0, name) for name in reversed([*starts, *texts])]
    while stack:
        depth, name = stack.pop()
        text = texts.pop(name, None)
        if text:
            items.append((depth, text))
        if text is not None or name in starts:
            deeper = depth + bool(text)
            stack.extend((deeper, child) for _, child in sorted(below.pop(name, ()), reverse=True))
    return items


def drawn_lines(root: Any) -> list[str]:
    """Paragraphs of the text boxes in a drawing."""
    paragraphs = [p for p in root.iter(f"{_A}p") if not any(True for _ in p.iterancestors(FALLBACK))]
    lines = (" ".join("".join(t.text or "" for t in p.iter(f"{_A}t")).split()) for p in paragraphs)
    return [line for line in lines if line]


def finished(page: Page, pictures: int, *, title: str | None = None, few: bool = True) -> Extracted:
    """``page.done()``, with its pictures told.

    Args:
        page: The document.
        pictures: How many were left out of it.
        title: A title that the format itself gives.
        few: Whether pictures with nothing but a title or captions are scanned pages too; those in a workbook are not.

    Raises:
        UnreadableDocumentError: there is nothing but pictures (``scanned``), or no text (``no_text``).
    """
    if pictures:
        page.warn(f"{pictures} pictures were left out; text in them is not read.")
    try:
        found = page.done(title=title)
    except UnreadableDocumentError as exc:
        if exc.code == "no_text" and pictures:
            raise _scanned(page.name, pictures, 0) from exc
        raise
    letters = sum(1 for c in found.text if c.isalnum()) if len(found.text) < 100 * _FEW_LETTERS else len(found.text)
    if few and letters < min(_FEW_LETTERS, pictures * _FEW_PER_PICTURE):
        raise _scanned(page.name, pictures, letters)
    return found


def _scanned(name: str, pictures: int, letters: int) -> UnreadableDocumentError:
    text = f"only {letters} letters of text" if letters else "no text"
    return unreadable(name, "scanned", f"holds {pictures} pictures and {text}; recognise it (OCR) first.")
