"""What an element of a page is and says: its text, its table, whether it is navigation, how many pictures it holds.

Navigation is what HTML says it is (``nav``, ``aside``, roles, ``header`` and ``footer`` of the page) and a block whose
class or id is a word for menus, unless it holds headings, a table or most of the page in other words than links. Text
of buttons and choices is text: steps name them. Does not parse, writes no blocks.

Use::

    navigation = Navigation(root)
    if not navigation.has(element):
        text = inline(element)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from lxml import etree  # type: ignore[import-untyped]

from corpora.readers.tables import Budget, Cell, Grid

__all__ = [
    "BLOCKS",
    "UNSEEN",
    "Navigation",
    "count_pictures",
    "flat",
    "grid",
    "inline",
    "integer",
    "is_layout",
    "said",
    "squeezed",
]

#: Elements of which nothing is read.
UNSEEN = frozenset({"script", "style", "template", "noscript", "head", "svg", "iframe", "object"})
#: Elements that begin and end a line.
BLOCKS = frozenset(
    {"address", "article", "blockquote", "body", "center", "dd", "details", "div", "dl", "dt", "fieldset", "figcaption"}
    | {"figure", "form", "html", "main", "p", "section", "summary", "caption", "td", "th", "tr", "tbody", "thead"}
)
_NAVIGATION = frozenset({"nav", "aside", "header", "footer", "menu", "dialog"})
_ROLES = frozenset({"navigation", "banner", "contentinfo", "search", "menu", "menubar", "complementary", "dialog"})
_NAMED = frozenset({"div", "ul", "ol", "section", "p", "table"})
#: A class or id that is a word for menus as a whole: ``has-sidebar`` and ``no-toc`` are none.
_CLASS = re.compile(
    r"(?:(?:main|site|page|top|bottom|left|right|side|sub|global|local|primary|secondary|mobile|quick|wiki)[-_]?)?"
    r"(?:nav|navbar|navigation|gnb|lnb|snb|menu|sidebar|breadcrumbs?|footer|cookies?|skip|pagination|toc)"
    r"(?:[-_]?(?:bar|wrap|wrapper|area|box|inner|container|list|links?|nav|menu|banner|notice|consent))?",
    re.IGNORECASE,
)
#: One that names a menu in part (``md-sidebar``): enough for a block of links that is not the page.
_CLASS_PART = re.compile(
    r"(?:^|[_-])(?:nav|navbar|navigation|menu|sidebar|breadcrumbs?|footer|pagination|toc)(?=$|[_-])", re.IGNORECASE
)
#: Share of letters in links and buttons from which a block is a menu, whatever else it holds.
_MENU_SHARE = 0.6
#: Share of the page's letters from which a block is the page.
_PAGE_SHARE = 0.5
_BUTTONS = frozenset({"button", "submit", "reset"})
_FILE_NAME = re.compile(r"\S+\.(?:png|jpe?g|gif|svg|webp|bmp)", re.IGNORECASE)
#: Pictures, drawings with words; not those of one point that only count visits, nor twins for browsers without script.
_PICTURES = etree.XPath(
    "count(descendant-or-self::*[self::img[not(@width='1' and @height='1')] or self::svg[.//text]]"
    "[not(ancestor::noscript or ancestor::template or ancestor::svg)])"
)


@dataclass(slots=True)
class _Measure:
    """What was counted so far, or within a block."""

    letters: int = 0
    linked: int = 0  #: Letters of links and buttons.
    titles: int = 0  #: Headings of the first level.
    blocks: int = 0  #: Headings of the first two levels and tables.

    def add(self, text: str, links: int) -> None:
        """Count text, which stands within so many links."""
        count = len("".join(text.split()))
        self.letters += count
        self.linked += count if links else 0

    def since(self, start: _Measure) -> _Measure:
        """What was counted between two moments."""
        return _Measure(
            self.letters - start.letters,
            self.linked - start.linked,
            self.titles - start.titles,
            self.blocks - start.blocks,
        )

    @property
    def is_menu(self) -> bool:
        """Whether most letters lead elsewhere."""
        return self.linked > 0 and self.linked >= self.letters * _MENU_SHARE


class Navigation:
    """Which elements of a page are navigation, its head or its foot.

    The page is measured once: blocks of a menu's name lie within each other, and each would be measured again.

    Args:
        root: The page, or its main part.
    """

    def __init__(self, root: Any) -> None:
        # At a block's beginning what was counted before it, from its end on what was counted within.
        self._found: dict[Any, _Measure] = {}
        here = _Measure()
        links, skipped = 0, None
        for event, node in etree.iterwalk(root, events=("start", "end")):
            link = node.tag == "button" or (node.tag == "a" and node.get("href") is not None)
            if event == "start" and skipped is None:
                if node is not root and node.tag in UNSEEN:
                    skipped = node
                    continue
                if node.tag == "header" or (node.tag in _NAMED and _words(node)):
                    self._found[node] = replace(here)
                links += link
                here.titles += node.tag == "h1"
                here.blocks += node.tag in ("h1", "h2", "table")
                here.add(said(node) + ("" if node.tag == "select" else node.text or ""), links)
                skipped = node if node.tag == "select" else None
            elif event == "end" and (skipped is None or node is skipped):
                links -= link and skipped is None
                skipped = None
                if node in self._found:
                    self._found[node] = here.since(self._found[node])
                if node is not root:
                    here.add(node.tail or "", links)
        self.letters = here.letters  #: Of the page, blanks left out.

    def has(self, element: Any) -> bool:
        """Whether an element is navigation, a head or a foot of the page."""
        tag = element.tag
        if tag == "header":
            # One within an article holds its title; so does one whose heading leads nowhere.
            found = self._found.get(element)
            return not _within(element) and (found is None or not found.titles or found.is_menu)
        if tag in _NAVIGATION:
            return tag != "footer" or not _within(element)
        if (element.get("role") or "").lower() in _ROLES or element.get("aria-hidden") == "true":
            return True
        return self._is_named(element)

    def _is_named(self, element: Any) -> bool:
        found = self._found.get(element)
        if found is None:
            return False
        whole = any(_CLASS.fullmatch(word) for word in _words(element))
        if whole and (found.is_menu or found.blocks):
            return found.is_menu
        return (whole or found.is_menu) and found.letters < self.letters * _PAGE_SHARE


def is_layout(table: Any) -> bool:
    """Whether a table only lays out the page: it holds headings or other tables."""
    return any(True for _ in table.iterdescendants("h1", "h2", "h3", "table"))


def count_pictures(element: Any) -> int:
    """Pictures at or below an element."""
    return int(_PICTURES(element))


def grid(table: Any, budget: Budget) -> Grid:
    """The cells of a table, those of tables within it left out."""
    found = Grid(budget)
    for row in table.iter("tr"):
        if next(row.iterancestors("table")) is not table:
            continue
        cells = [cell for cell in row if cell.tag in ("td", "th")]
        found.row(
            Cell(inline(c), rows=integer(c.get("rowspan"), 1), columns=integer(c.get("colspan"), 1)) for c in cells
        )
    return found


def inline(element: Any, without: tuple[str, ...] = ()) -> str:
    """All text below an element, blocks and breaks as line ends."""
    return "".join(_pieces(element, without))


def squeezed(element: Any) -> str:
    """All text below an element without blanks."""
    return "".join(inline(element).split())


def said(element: Any) -> str:
    """What an element says without holding it as text: a picture's words, a button's label, the choices of a list."""
    if element.tag == "img":
        words = flat(element.get("alt")).strip()
        return f" {words} " if words and not _FILE_NAME.fullmatch(words) else ""
    if element.tag == "input":
        return flat(element.get("value")) if (element.get("type") or "").lower() in _BUTTONS else ""
    if element.tag == "select":
        choices = (" ".join("".join(choice.itertext()).split()) for choice in element.iter("option"))
        return ", ".join(choice for choice in choices if choice)
    return ""


def flat(text: str | None) -> str:
    """Text with its white space as single blanks."""
    return re.sub(r"\s+", " ", text) if text else ""


def integer(value: str | None, default: int) -> int:
    """The number in an attribute."""
    return int(value) if value is not None and re.fullmatch(r"[0-9]{1,6}", value) else default


def _words(element: Any) -> list[str]:
    """Words of an element's class and id that name a menu, whole or in part."""
    words = f"{element.get('class') or ''} {element.get('id') or ''}".split()
    return [word for word in words if _CLASS.fullmatch(word) or _CLASS_PART.search(word)]


def _within(element: Any) -> bool:
    return any(True for _ in element.iterancestors("article", "main", "section"))


def _pieces(element: Any, without: tuple[str, ...]) -> Iterator[str]:
    skipped = None
    for event, node in etree.iterwalk(element, events=("start", "end")):
        if event == "start" and skipped is None:
            if node is not element and (node.tag in UNSEEN or node.tag in without):
                skipped = node
            elif node.tag == "select":
                yield said(node)
                skipped = node
            else:
                if node is not element and (node.tag in BLOCKS or node.tag in ("br", "li")):
                    yield "\n"
                yield said(node)
                yield flat(node.text)
        elif event == "end":
            if node is skipped:
                skipped = None
            if skipped is None and node is not element:
                if node.tag in BLOCKS:
                    yield "\n"
                yield flat(node.tail)
