"""HWPX made plain for the library that reads it: what it would lose or glue together is put where it keeps it.

The library ends a paragraph at the first footnote, head, memo or text box in it and reads no forced line ends, fixed
blanks, equations and captions of tables. Here notes, boxes and captions become paragraphs of their own beside the one
that they hang on; heads, feet and hidden comments are set aside. Makes no Markdown.

Use::

    plain = plain_hwpx(Package(data, name))
    markdown = library(plain.data)
    plain.missing(markdown)  # letters that the library lost all the same
"""

from __future__ import annotations

import io
import re
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from corpora.errors import UnreadableDocumentError
from corpora.readers.package import Package, parse_xml

__all__ = ["Plain", "aside_warnings", "plain_hwpx"]

_SECTION = re.compile(r"(?:^|/)section\d+\.xml$", re.IGNORECASE)
#: What stands for an element within a text; all others there (marks of highlighters and of changes) stand for nothing.
_CHARACTERS = {"lineBreak": "\n", "tab": " ", "fwSpace": " ", "nbSpace": " ", "hyphen": "-"}
_NOTES = frozenset({"footNote", "endNote"})
_HEADS = frozenset({"header", "footer"})
_OBJECTS = frozenset({"chart", "ole", "video"})
#: Controls of a form and letters drawn as a picture: the attribute that holds what they show.
_SHOWN = {"compose": "composeText", "textart": "text"}
_CAPTIONED = "captionText"


@dataclass(kw_only=True, slots=True)
class Plain:
    """A file that the library can read."""

    data: bytes = b""
    texts: list[str] = field(default_factory=list)  #: Every text that was in it, what was taken out as well.
    heads: list[str] = field(default_factory=list)  #: Running heads and feet that were taken out.
    hidden: list[str] = field(default_factory=list)  #: Hidden comments and memos that were taken out.
    objects: int = 0  #: Charts and other programs' objects, of which nothing is read.
    broken: list[str] = field(default_factory=list)  #: Parts that are no well-formed XML, left as they are.

    def missing(self, read: str) -> int:
        """How many letters and digits of the file's texts were neither read nor set aside."""
        known = "".join((*self.heads, *self.hidden, read))
        return (_letters("".join(self.texts)) - _letters(known)).total()

    def warnings(self) -> list[str]:
        """What was set aside."""
        said = aside_warnings(self.heads, self.hidden)
        if self.objects:
            said.append(f"{self.objects} charts or embedded objects were left out; text in them is not read.")
        said += [f"The part '{part}' is damaged; text of it may be missing." for part in self.broken]
        return said


def aside_warnings(heads: list[str], hidden: list[str]) -> list[str]:
    """Warnings that name running heads and feet, and hidden comments, that were taken out."""
    said = []
    for what, texts in (("Running heads or feet", heads), ("Hidden comments", hidden)):
        shown = list(dict.fromkeys(" ".join(text.split()) for text in texts if text.strip()))
        if shown:
            said.append(f"{what} were set aside: {' / '.join(shown)[:200]}")
    return said


def plain_hwpx(package: Package) -> Plain:
    """The file with plain sections and without its pictures' bytes, which the library does not need.

    Raises:
        UnreadableDocumentError: ``encrypted``, ``damaged_file``, ``document_too_large``, ``unsafe_xml``.
    """
    plain = Plain()
    outlines = _outlines(package)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for member in package.names():
            archive.writestr(zipfile.ZipInfo(member), _member(package, member, plain, outlines))
    plain.data = out.getvalue()
    return plain


def _outlines(package: Package) -> frozenset[str]:
    """Shapes of paragraphs that are headings."""
    header = "Contents/header.xml"
    try:
        root = package.xml(header) if header in package else None
    except UnreadableDocumentError as exc:
        if exc.code != "damaged_file":
            raise
        root = None  # the library says what it thinks of it
    shapes = root.iter("{*}paraPr") if root is not None else ()
    heads = ((shape.get("id"), head) for shape in shapes for head in shape.iter("{*}heading"))
    return frozenset(number for number, head in heads if number and head.get("type") == "OUTLINE")


def _member(package: Package, member: str, plain: Plain, outlines: frozenset[str]) -> bytes:
    if member.startswith(("BinData/", "Preview/")):
        return b""
    data = package.read(member)
    if not _SECTION.search(member):
        return data
    from lxml import etree  # type: ignore[import-untyped]

    try:
        root = parse_xml(data, package.name, member)
    except UnreadableDocumentError as exc:
        if exc.code != "damaged_file":
            raise
        plain.broken.append(member)  # the library takes some of what XML forbids
        return data
    _Section(plain, outlines).make_plain(root)
    written: bytes = etree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return written


class _Section:
    """One section being changed in place.

    Args:
        plain: Where what is set aside is told.
        outlines: Shapes of paragraphs that are headings: one line each.
    """

    def __init__(self, plain: Plain, outlines: frozenset[str]) -> None:
        self._plain = plain
        self._outlines = outlines
        self._line_end = "\n"
        self._before: list[Any] = []
        self._behind: list[Any] = []
        self._said = False  # the paragraph holds text
        self._parted = False  # and a table or box stands behind that text

    def make_plain(self, root: Any) -> None:
        for switch in list(root.iter("{*}switch")):
            _take_first(switch)
        self._plain.texts += [_flat(text) for text in root.iter("{*}t")]
        # The list is made before anything moves: paragraphs that are moved out are met on their own, later.
        for paragraph in list(root.iter("{*}p")):
            self._paragraph(paragraph)

    def _paragraph(self, paragraph: Any) -> None:
        self._before, self._behind, self._said, self._parted = [], [], False, False
        self._line_end = " " if paragraph.get("paraPrIDRef") in self._outlines else "\n"
        for run in paragraph.iterchildren("{*}run"):
            for element in list(run.iterchildren("{*}*")):
                self._element(element)
        for moved in self._before:
            paragraph.addprevious(moved)
        for moved in reversed(self._behind):
            paragraph.addnext(moved)

    def _element(self, element: Any) -> None:
        name = _local(element)
        if name == "t":
            self._text(element)
        elif name == "ctrl":
            for control in list(element.iterchildren("{*}*")):
                self._control(control)
        elif name in _NOTES | _HEADS | {"hiddenComment"}:
            self._control(element)
        elif name == "tbl":
            self._parted = self._said
            for caption in list(element.iterchildren("{*}caption")):
                self._caption(caption)
        elif name != "secPr":
            self._object(element, name)

    def _text(self, element: Any) -> None:
        text = _flat(element).replace("\n", self._line_end)
        if text.strip():
            text = f" {text}" if self._parted else text if self._said else text.lstrip()
            self._said, self._parted = True, False
        for child in list(element):
            element.remove(child)
        element.text = text

    def _control(self, control: Any) -> None:
        """Notes go behind the paragraph; other controls with paragraphs in them are no part of the running text."""
        name = _local(control)
        if next(_outermost(control), None) is None:
            return
        if name in _NOTES:
            self._behind += _lifted(control)
        else:
            target = self._plain.heads if name in _HEADS else self._plain.hidden
            target.append(" ".join(_flat(text) for text in control.iter("{*}t")))
        _remove(control)

    def _caption(self, caption: Any) -> None:
        above = caption.get("side") in ("TOP", "LEFT")
        (self._before if above else self._behind).extend(_lifted(caption))
        _remove(caption)

    def _object(self, element: Any, name: str) -> None:
        """A picture, shape, group of shapes, equation or the like."""
        shown = _shown(element, name)
        if shown.strip():
            text = element.makeelement(element.tag.replace(f"}}{name}", "}t"))
            text.text = shown
            element.addprevious(text)
            self._text(text)
        self._plain.objects += sum(_local(inner) in _OBJECTS for inner in element.iter("{*}*"))
        for caption in list(element.iterchildren("{*}caption")):
            self._caption(caption)
        inner = _lifted(element)
        if inner:
            self._parted = self._said
            self._behind += inner
            for box in [*element.iter("{*}drawText"), *element.iter("{*}subList"), *element.iter("{*}caption")]:
                _remove(box)


def _local(element: Any) -> str:
    tag: str = element.tag
    return tag.rpartition("}")[2]


def _flat(element: Any) -> str:
    """The text of a text element, with characters for the elements in it."""
    parts = [element.text or ""]
    for child in element:
        if isinstance(child.tag, str):
            parts.append(_CHARACTERS.get(_local(child), "".join(child.itertext())))
        parts.append(child.tail or "")
    return "".join(parts)


def _shown(element: Any, name: str) -> str:
    """What an object shows that is no paragraph."""
    if name == "equation":
        return "".join(f" {''.join(script.itertext())} " for script in element.iterchildren("{*}script"))
    if name == "dutmal":  # small letters above or below a word
        main, small = ("".join(element.xpath(f"string(*[local-name()='{n}'])")) for n in ("mainText", "subText"))
        return f"{main}({small})" if small.strip() else main
    shown = str(element.get(_SHOWN.get(name, _CAPTIONED)) or "")
    return shown if name == "compose" else f" {shown} "


def _outermost(element: Any) -> Iterator[Any]:
    """Paragraphs within an element that are in no other paragraph within it."""
    for child in element.iterchildren("{*}*"):
        if _local(child) == "p":
            yield child
        else:
            yield from _outermost(child)


def _lifted(element: Any) -> list[Any]:
    """Its outermost paragraphs, taken out of it: what is removed of it then takes none of their text along."""
    found = list(_outermost(element))
    for paragraph in found:
        _remove(paragraph)
    return found


def _take_first(switch: Any) -> None:
    """One of several ways to say the same: the first stays."""
    if switch.getparent() is None:
        return
    chosen = next(switch.iterchildren("{*}case", "{*}default"), None)
    for child in list(chosen) if chosen is not None else ():
        switch.addprevious(child)
    _remove(switch)


def _remove(element: Any) -> None:
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)


def _letters(text: str) -> Counter[str]:
    return Counter(filter(str.isalnum, unicodedata.normalize("NFC", text)))
