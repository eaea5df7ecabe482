"""HTML by lxml: headings, lists with their numbers, tables with merged cells; navigation is set aside with a warning.

What is navigation and what an element says is ``html_parts``'. Where the page has one ``main`` or ``article``, what
stands outside of it is set aside. Pictures are counted; the words that a page gives for them are kept.
``table_markdown`` serves other readers whose text holds HTML tables. Knows nothing of chunks; fetches nothing.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from lxml import etree  # type: ignore[import-untyped]

from corpora.errors import UnreadableDocumentError
from corpora.readers import limits
from corpora.readers.decode import decode
from corpora.readers.drawings import finished
from corpora.readers.extracted import Extracted, Page, too_large, unreadable
from corpora.readers.html_parts import (
    BLOCKS,
    UNSEEN,
    Navigation,
    count_pictures,
    flat,
    grid,
    inline,
    integer,
    is_layout,
    said,
    squeezed,
)
from corpora.readers.numbering import ordinal
from corpora.readers.tables import Budget

__all__ = ["read_html", "table_markdown"]

_DECLARED = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w-]{2,20})", re.IGNORECASE)
#: Encodings that a page may declare beside those that ``decode`` finds alone.
_FOREIGN = {"shift_jis": "cp932", "euc-jp": "euc_jp", "gb2312": "gb18030", "gbk": "gb18030", "gb18030": "gb18030"} | {
    "big5": "big5",
    "iso-8859-1": "cp1252",
    "windows-1252": "cp1252",
}
#: Letters from which a main part is the page.
_LEAST_MAIN = 200
_LIST_FORMS = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}


def read_html(data: bytes, name: str) -> Extracted:
    """The page as Markdown.

    Raises:
        UnreadableDocumentError: no text in a known encoding, ``scanned``, ``no_text``, ``document_too_large``.
    """
    text, encoding, warnings = _decoded(data, name)
    root = _parse(text, name)
    mains = root.xpath("//main | //*[@role='main']") or root.xpath("//article")
    start = mains[0] if len(mains) == 1 and len(squeezed(mains[0])) >= _LEAST_MAIN else root
    writer = _Writer(name, start)
    for warning in warnings:
        writer.page.warn(warning)
    outside = len(squeezed(root)) - len(squeezed(start)) if start is not root else 0
    if outside:
        writer.page.warn(f"{outside} characters outside of the page's main part were set aside.")
    writer.walk(start)
    titles = root.xpath("//title/text()")
    return replace(writer.done(), encoding=encoding, title=_title(start, titles))


def table_markdown(html: str, name: str, budget: Budget) -> str:
    """The Markdown of the tables in a fragment, parted by blank lines; the empty string for none.

    Args:
        html: A fragment.
        name: The file, for messages.
        budget: What the document may still spend.
    """
    tables = [t for t in _parse(html, name).iter("table") if not any(True for _ in t.iterancestors("table"))]
    return "\n\n".join(grid(table, budget).markdown() for table in tables)


def _title(start: Any, titles: list[Any]) -> str | None:
    # A page's own first heading says more than the browser's tab, which names the site as well.
    if any(True for _ in start.iter("h1", "h2")) or not titles:
        return None
    return " ".join(str(titles[0]).split()) or None


def _decoded(data: bytes, name: str) -> tuple[str, str, tuple[str, ...]]:
    declared = _DECLARED.search(data[:4096])
    foreign = _FOREIGN.get(declared.group(1).decode("ascii").lower()) if declared else None
    try:
        return decode(data, name)
    except UnreadableDocumentError:
        if foreign is None:
            raise
        try:
            return data.decode(foreign), foreign, (f"'{name}' was read as {foreign}, as it declares.",)
        except UnicodeDecodeError as exc:
            raise unreadable(name, "undecodable_text", f"is no text in {foreign}, which it declares.") from exc


def _parse(text: str, name: str) -> Any:
    parser = etree.HTMLParser(no_network=True, huge_tree=False, remove_comments=True, remove_pis=True)
    try:
        # As bytes: lxml refuses text that declares an encoding.
        root = etree.fromstring(b"\xef\xbb\xbf" + text.encode("utf-8", "replace"), parser)
    except (etree.LxmlError, ValueError) as exc:
        raise unreadable(name, "damaged_file", f"is no HTML that can be read: {exc}.") from exc
    # The parser drops what lies deeper than it goes, and says so only here.
    if any(entry.type_name == "ERR_RESOURCE_LIMIT" or "xcessive depth" in entry.message for entry in parser.error_log):
        raise too_large(name, "nests its elements deeper than can be read.")
    if root is None:
        raise unreadable(name, "no_text", "holds no HTML. (0 characters)")
    return root


class _Writer:
    """Walks the elements and writes blocks."""

    def __init__(self, name: str, start: Any) -> None:
        self.page = Page(name)
        self._budget = Budget(name)
        self._aside = 0
        self._navigation = Navigation(start)
        self._pictures = count_pictures(start)
        self._text: list[str] = []

    def done(self) -> Extracted:
        """The whole page."""
        self._flush()
        if self._aside:
            self.page.warn(f"{self._aside} characters of navigation, heads and feet were set aside.")
        return finished(self.page, self._pictures, few=False)  # small signs are pictures as well

    def walk(self, element: Any, depth: int = 0, lists: int = 0) -> None:
        """One element and what stands in it."""
        if depth > limits.MAX_NESTING:
            raise too_large(self.page.name, f"nests more than {limits.MAX_NESTING} elements.")
        tag = element.tag
        if tag in UNSEEN:
            return
        if depth and self._navigation.has(element):
            self._aside += len(squeezed(element))
            self._pictures -= count_pictures(element)
            return
        if tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            self._flush()
            self.page.heading(int(tag[1]), inline(element))
        elif tag == "table" and not is_layout(element):
            self._flush()
            self._table(element)
        elif tag in ("ul", "ol"):
            self._flush()
            self._list(element, depth, lists)
        elif tag == "pre":
            self._flush()
            self.page.block(_fenced("".join(element.itertext())))
        elif tag in ("br", "hr"):
            self._text.append("\n")
        elif tag == "select":
            self._text.append(said(element))
        else:
            self._inside(element, depth, lists)

    def _inside(self, element: Any, depth: int, lists: int) -> None:
        block = element.tag in BLOCKS
        if block:
            self._flush()
        self._text.append(said(element) + flat(element.text))
        for child in element:
            self.walk(child, depth + 1, lists)
            self._text.append(flat(child.tail))
        if block:
            self._flush()

    def _flush(self) -> None:
        text = "".join(self._text)
        self._text.clear()
        self.page.paragraph(text)

    def _table(self, table: Any) -> None:
        for caption in table.iterchildren("caption"):
            self.page.paragraph(inline(caption))
        cells = grid(table, self._budget)
        rows = cells.rows()
        if len(rows) == 1 and len(rows[0]) == 1:
            self.page.paragraph(rows[0][0])
        else:
            self.page.block(cells.markdown())

    def _list(self, element: Any, depth: int, lists: int) -> None:
        number = integer(element.get("start"), 1)
        form = _LIST_FORMS.get(element.get("type", ""), "decimal")
        for item in element:
            if item.tag != "li":
                self.walk(item, depth + 1, lists + 1)
                continue
            number = integer(item.get("value"), number)
            label = f"{ordinal(number, form)}." if element.tag == "ol" else "-"
            number += 1
            self.page.item(label, inline(item, without=("ul", "ol", "table", "pre")), lists)
            for inner in item.iter("ul", "ol", "table", "pre"):
                holder = next(inner.iterancestors("li", "ul", "ol", "table", "pre"))
                if holder is item:
                    self.walk(inner, depth + _depth_below(inner, item), lists + 1)


def _depth_below(inner: Any, outer: Any) -> int:
    return next(count for count, node in enumerate(inner.iterancestors(), start=1) if node is outer)


def _fenced(text: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text.strip(chr(10))}\n{fence}" if text.strip() else ""
