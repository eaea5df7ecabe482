"""HWP and HWPX by unhwp: its Markdown, with tables of merged cells and images made plain.

A file of which nothing can be read is an error, never an empty document. HWPX is a zip and is held to a zip's limits
before the library sees it. What the library would lose or take for body text is mended before (``hwpx``, ``hwp5``);
letters of HWPX that are missing in the end are counted and warned of. Knows nothing of chunks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from corpora.readers.extracted import Extracted, Page, unreadable
from corpora.readers.furniture import contents_lines
from corpora.readers.html import table_markdown
from corpora.readers.hwp5 import without_heads
from corpora.readers.hwpx import Plain, aside_warnings, plain_hwpx
from corpora.readers.package import OLE_MAGIC, Package
from corpora.readers.spans import COMMENT, TABLE, replace_spans
from corpora.readers.tables import Budget

__all__ = ["read_hwp"]

_HWP3 = b"HWP Document File"
_IMAGE = re.compile(r"!\[[^\]\n]{0,500}\]\([^)\n]{0,500}\)")
_HEADING = re.compile(r"^#{1,5} ")
_LONGEST_HEADING = 120
#: The line below a table's first row; the library writes down that its cells are on the left, as all are.
_RULE = re.compile(r"^\|(?: :-{3,} \|)+$", re.MULTILINE)
#: What the library writes between two paragraphs of a cell; a table of one row it writes as a paragraph.
_BREAK = "<br>"
#: A table of merged cells as the library writes it; one that a text speaks of stands within a line.
_MERGED = (re.compile(r"^<table>", re.MULTILINE), TABLE[1])
_TAG = re.compile(r"<[^<>]{0,500}>")
#: Blank lines between two items of one list.
_LOOSE_ITEMS = re.compile(r"^([ ]*(?:-|\d{1,3}\.) [^\n]*)\n\n+(?=[ ]*(?:-|\d{1,3}\.) )", re.MULTILINE)


def read_hwp(data: bytes, name: str) -> Extracted:
    """The document as Markdown.

    Raises:
        UnreadableDocumentError: ``encrypted``, ``no_text``, ``damaged_file``, ``document_too_large``.
    """
    import unhwp  # type: ignore[import-untyped]  # a native library: loaded where it is needed

    plain: Plain | None = None
    said: list[str] = []
    if data.startswith(b"PK"):
        package = Package(data, name)
        _check_hwpx(package, name)
        plain = plain_hwpx(package)
        data, said = plain.data, plain.warnings()
    elif data.startswith(OLE_MAGIC):
        data, heads, hidden = without_heads(data)
        said = aside_warnings(heads, hidden)
    elif not data.startswith(_HWP3):
        raise unreadable(name, "damaged_file", "is neither HWP nor HWPX: its first bytes are those of neither.")
    options = unhwp.RenderOptions(table_fallback="html", escape_special_chars=False)
    try:
        with unhwp.parse_bytes(data, render_options=options) as result:
            markdown, sections = result.markdown, result.section_count
            title = result.title
            record = result.json
    except unhwp.UnhwpError as exc:
        if exc.kind in (unhwp.ErrorKind.ENCRYPTED, unhwp.ErrorKind.DISTRIBUTION_RESTRICTED):
            raise unreadable(name, "encrypted", "is locked with a password; save it without one.") from exc
        raise unreadable(name, "damaged_file", f"is damaged or cut short: {exc}.") from exc
    if plain is not None:
        said += _missing(plain, markdown)
    if _BREAK not in record:  # else the document itself speaks of it
        markdown = _without_breaks(markdown)
    return _document(name, _with_chapters(markdown, _chapters(json.loads(record))), title, sections, said)


def _missing(plain: Plain, markdown: str) -> list[str]:
    shown = replace_spans(_without_images(markdown), _MERGED, lambda html: _TAG.sub("", html))
    letters = plain.missing(shown)
    return [f"{letters:,} letters of the text are missing in what was read."] if letters else []


def _check_hwpx(package: Package, name: str) -> None:
    package.check_xml()
    manifest = "META-INF/manifest.xml"
    if manifest in package and b"encryption-data" in package.read(manifest):
        raise unreadable(name, "encrypted", "is locked with a password; save it without one.")


def _chapters(document: dict[str, Any]) -> list[str]:
    """Texts of paragraphs on the highest outline level, in order.

    The library counts outline levels from 0 and takes the highest for body text; its record of the level is right.
    """
    return [
        text
        for section in document["sections"]
        for block in section["content"]
        if (text := _outline_text(block.get("Paragraph")))
    ]


def _outline_text(paragraph: dict[str, Any] | None) -> str:
    head = (paragraph or {}).get("style", {}).get("head") or {}
    if paragraph is None or head.get("kind") != "Outline" or head.get("level") != 0:
        return ""
    text = " ".join("".join(_runs(paragraph)).split())
    return text if len(text) <= _LONGEST_HEADING else ""


def _runs(paragraph: dict[str, Any]) -> Iterator[str]:
    for run in paragraph["content"]:
        if isinstance(run, dict) and "Text" in run:
            yield run["Text"]["text"]


def _with_chapters(markdown: str, chapters: list[str]) -> str:
    """The text with those paragraphs as headings above all others."""
    if not chapters:
        return markdown
    left = list(reversed(chapters))
    lines = markdown.split("\n")
    for number, line in enumerate(lines):
        if _HEADING.match(line):
            lines[number] = f"#{line}"
        elif left and " ".join(line.replace("*", "").split()) == left[-1].replace("*", ""):
            lines[number] = f"# {left.pop()}"
    return "\n".join(lines)


def _without_breaks(markdown: str) -> str:
    """Breaks as blanks in rows of tables and as line ends elsewhere."""
    if _BREAK not in markdown:
        return markdown
    lines = (line.replace(_BREAK, " " if line.startswith("|") else "\n") for line in markdown.split("\n"))
    return "\n".join(lines)


def _without_images(markdown: str) -> str:
    return replace_spans(_IMAGE.sub("", markdown), COMMENT, lambda _: "")


def _document(name: str, markdown: str, title: str | None, sections: int, said: list[str]) -> Extracted:
    page = Page(name)
    for warning in said:
        page.warn(warning)
    budget = Budget(name)
    images = len(_IMAGE.findall(markdown))
    markdown = _without_images(markdown)
    markdown = replace_spans(markdown, _MERGED, lambda html: f"\n\n{table_markdown(html, name, budget)}\n\n")
    markdown = _RULE.sub(lambda rule: rule.group().replace(":", ""), markdown)
    markdown = _LOOSE_ITEMS.sub(r"\1\n", markdown)
    lines = [line.rstrip() for line in markdown.split("\n")]
    contents = contents_lines(lines)
    page.block(re.sub(r"\n{3,}", "\n\n", "\n".join(line for n, line in enumerate(lines) if n not in contents)))
    if contents:
        page.warn(f"A table of contents of {len(contents)} lines was set aside.")
    if images:
        page.warn(f"{images} pictures were left out; text in them is not read.")
    return page.done(title=title or None, why_empty=f"holds no text in its {sections} sections.")
