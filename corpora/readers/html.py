"""HTML by lxml: headings, lists with their numbers, tables with merged cells; navigation is set aside with a warning.

Navigation is what HTML says it is (``nav``, ``header`` and ``footer`` of the page, ``aside``, roles) and blocks of
menus by class or id. Where the page has one ``main`` or ``article``, what stands outside of it is set aside.
``table_markdown`` serves other readers whose text holds HTML tables. Knows nothing of chunks; fetches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lxml import etree  # type: ignore[import-untyped]

from corpora.errors import UnreadableDocumentError
from corpora.readers import limits
from corpora.readers.decode import decode
from corpora.readers.extracted import Extracted, Page, too_large, unreadable
from corpora.readers.numbering import ordinal
from corpora.readers.tables import Budget, Cell, Grid

__all__ = ["read_html", "table_markdown"]

_UNSEEN = frozenset({"script", "style", "template", "noscript", "head", "svg", "iframe", "object", "select", "button"})
_NAVIGATION = frozenset({"nav", "aside", "header", "footer", "menu", "dialog"})
_ROLES = frozenset({"navigation", "banner", "contentinfo", "search", "menu", "menubar", "complementary", "dialog"})
_CLASSES = re.compile(
    r"(?:^|[\s_-])(?:nav|navbar|navigation|gnb|lnb|snb|menu|sidebar|breadcrumbs?|footer|cookie|skip|pagination|toc)(?=$|[\s_-])",
    re.IGNORECASE,
)
_BLOCKS = frozenset(
    {"address", "article", "blockquote", "body", "center", "dd", "details", "div", "dl", "dt", "fieldset", "figcaption"}
    | {"figure", "form", "html", "main", "p", "section", "summary", "caption", "td", "th", "tr", "tbody", "thead"}
)
_DECLARED = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w-]{2,20})", re.IGNORECASE)
#: Encodings that a page may declare beside those that ``decode`` finds alone.
_FOREIGN = {"shift_jis": "cp932", "euc-jp": "euc_jp", "gb2312": "gb18030", "gbk": "gb18030", "gb18030": "gb18030"} | {
    "big5": "big5",
    "iso-8859-1": "cp1252",
    "windows-1252": "cp1252",
}
_LIST_FORMS = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}


def read_html(data: bytes, name: str) -> Extracted:
    """The page as Markdown.

    Raises:
        UnreadableDocumentError: no text in a known encoding, ``no_text``, ``document_too_large``.
    """
    text, encoding, warnings = _decoded(data, name)
    root = _parse(text, name)
    writer = _Writer(name)
    for warning in warnings:
        writer.page.warn(warning)
    mains = root.xpath("//main | //*[@role='main']") or root.xpath("//article")
    start = root
    if len(mains) == 1 and len(_squeezed(mains[0])) >= 200:
        start = mains[0]
        outside = len(_squeezed(root)) - len(_squeezed(start))
        if outside > 0:
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
    return "\n\n".join(_grid(table, budget).markdown() for table in tables)


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


def _squeezed(element: Any) -> str:
    return "".join(_inline(element).split())


class _Writer:
    """Walks the elements and writes blocks."""

    def __init__(self, name: str) -> None:
        self.page = Page(name)
        self._budget = Budget(name)
        self._aside = 0
        self._text: list[str] = []

    def done(self) -> Extracted:
        """The whole page."""
        self._flush()
        if self._aside:
            self.page.warn(f"{self._aside} characters of navigation, heads and feet were set aside.")
        return self.page.done()

    def walk(self, element: Any, depth: int = 0, lists: int = 0) -> None:
        """One element and what stands in it."""
        if depth > limits.MAX_NESTING:
            raise too_large(self.page.name, f"nests more than {limits.MAX_NESTING} elements.")
        tag = element.tag
        if tag in _UNSEEN:
            return
        if depth and _is_navigation(element):
            self._aside += len(_squeezed(element))
            return
        if tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            self._flush()
            self.page.heading(int(tag[1]), _inline(element))
        elif tag == "table" and not _is_layout(element):
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
        else:
            self._inside(element, depth, lists)

    def _inside(self, element: Any, depth: int, lists: int) -> None:
        block = element.tag in _BLOCKS
        if block:
            self._flush()
        self._text.append(_flat(element.text))
        for child in element:
            self.walk(child, depth + 1, lists)
            self._text.append(_flat(child.tail))
        if block:
            self._flush()

    def _flush(self) -> None:
        text = "".join(self._text)
        self._text.clear()
        self.page.paragraph(text)

    def _table(self, table: Any) -> None:
        for caption in table.iterchildren("caption"):
            self.page.paragraph(_inline(caption))
        grid = _grid(table, self._budget)
        rows = grid.rows()
        if len(rows) == 1 and len(rows[0]) == 1:
            self.page.paragraph(rows[0][0])
        else:
            self.page.block(grid.markdown())

    def _list(self, element: Any, depth: int, lists: int) -> None:
        number = _integer(element.get("start"), 1)
        form = _LIST_FORMS.get(element.get("type", ""), "decimal")
        for item in element:
            if item.tag != "li":
                self.walk(item, depth + 1, lists + 1)
                continue
            number = _integer(item.get("value"), number)
            label = f"{ordinal(number, form)}." if element.tag == "ol" else "-"
            number += 1
            self.page.item(label, _inline(item, without=("ul", "ol", "table", "pre")), lists)
            for inner in item.iter("ul", "ol", "table", "pre"):
                holder = next(inner.iterancestors("li", "ul", "ol", "table", "pre"))
                if holder is item:
                    self.walk(inner, depth + _depth_below(inner, item), lists + 1)


def _depth_below(inner: Any, outer: Any) -> int:
    return next(count for count, node in enumerate(inner.iterancestors(), start=1) if node is outer)


def _is_navigation(element: Any) -> bool:
    if element.tag in _NAVIGATION:
        # A header within an article holds its title.
        return element.tag not in ("header", "footer") or not any(
            True for _ in element.iterancestors("article", "main", "section")
        )
    if (element.get("role") or "").lower() in _ROLES or element.get("aria-hidden") == "true":
        return True
    named = f"{element.get('class') or ''} {element.get('id') or ''}".strip()
    return element.tag in ("div", "ul", "ol", "section", "p", "table") and _CLASSES.search(named) is not None


def _is_layout(table: Any) -> bool:
    """Whether a table only lays out the page: it holds headings or other tables."""
    return any(True for _ in table.iterdescendants("h1", "h2", "h3", "table"))


def _grid(table: Any, budget: Budget) -> Grid:
    grid = Grid(budget)
    for row in table.iter("tr"):
        if next(row.iterancestors("table")) is not table:
            continue
        cells = [cell for cell in row if cell.tag in ("td", "th")]
        grid.row(
            Cell(_inline(c), rows=_integer(c.get("rowspan"), 1), columns=_integer(c.get("colspan"), 1)) for c in cells
        )
    return grid


def _inline(element: Any, without: tuple[str, ...] = ()) -> str:
    """All text below an element, blocks and breaks as line ends."""
    return "".join(_pieces(element, without))


def _pieces(element: Any, without: tuple[str, ...]) -> Iterator[str]:
    skipped = None
    for event, node in etree.iterwalk(element, events=("start", "end")):
        if event == "start" and skipped is None:
            if node is not element and (node.tag in _UNSEEN or node.tag in without):
                skipped = node
            else:
                if node is not element and (node.tag in _BLOCKS or node.tag in ("br", "li")):
                    yield "\n"
                yield _flat(node.text)
        elif event == "end":
            if node is skipped:
                skipped = None
            if skipped is None and node is not element:
                if node.tag in _BLOCKS:
                    yield "\n"
                yield _flat(node.tail)


def _flat(text: str | None) -> str:
    return re.sub(r"\s+", " ", text) if text else ""


def _fenced(text: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text.strip(chr(10))}\n{fence}" if text.strip() else ""


def _integer(value: str | None, default: int) -> int:
    return int(value) if value is not None and re.fullmatch(r"[0-9]{1,6}", value) else default
