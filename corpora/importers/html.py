"""HTML to readable text: the contexts of KorQuAD 2 are whole Wikipedia articles.

Paragraphs become lines, list items begin with ``- ``, a table keeps a line a row with its cells parted by `` | ``;
scripts, styles and comments go. The standard library's parser is enough: it takes broken HTML as it comes, and nothing
here looks at more than one tag at a time. No sanitiser: the result is text and must be escaped before it is shown.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

__all__ = ["html_text", "looks_like_html"]

_BLOCKS = frozenset(
    {"address", "article", "aside", "blockquote", "br", "caption", "dd", "div", "dl", "dt", "figcaption", "figure"}
    | {"footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre"}
    | {"section", "table", "tbody", "tfoot", "thead", "tr", "ul"}
)
_UNSEEN = frozenset({"script", "style", "template", "noscript", "title"})
_CELLS = frozenset({"td", "th"})
#: Tags that HTML of the datasets holds; ``a < b`` and ``<이름>`` in plain text are none.
_TAG = re.compile(
    r"</?(?:a|b|body|br|caption|code|div|dd|dl|dt|em|h[1-6]|head|html|i|img|li|ol|p|pre|small|span|strong|sub|sup"
    r"|table|tbody|td|th|thead|tr|ul)(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_BLANKS = re.compile(r"[^\S\n]+")
_EMPTY_CELLS = re.compile(r"^(?:\s*\|)+\s*$")


def looks_like_html(text: str) -> bool:
    """Whether there is at least one HTML tag in it."""
    return _TAG.search(text) is not None


def html_text(html: str) -> str:
    """The text of a document or a fragment, no line of it blank."""
    parser = _Text()
    parser.feed(html)
    parser.close()
    lines = (_BLANKS.sub(" ", line).strip() for line in "".join(parser.parts).split("\n"))
    return "\n".join(line for line in lines if line and line != "-" and not _EMPTY_CELLS.match(line))


class _Text(HTMLParser):
    """Collects text, with line ends for blocks and bars between cells."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = 0
        self._cells = 0
        self._in_cell = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - parser's protocol
        if tag in _UNSEEN:
            self._unseen += 1
        elif tag in _CELLS:
            if self._cells:
                self.parts.append(" | ")
            self._cells, self._in_cell = self._cells + 1, 1
        elif tag in _BLOCKS:
            # A line end within a cell would tear its row apart.
            self.parts.append(" " if self._in_cell and tag not in ("tr", "table") else "\n")
            if tag in ("tr", "table"):
                self._cells = self._in_cell = 0
            elif tag == "li":
                self.parts.append("- ")

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif tag in _CELLS:
            self._in_cell = 0
        elif tag in _BLOCKS:
            self.parts.append(" " if self._in_cell and tag not in ("tr", "table") else "\n")
            if tag in ("tr", "table"):
                self._cells = self._in_cell = 0

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            # Line ends in the source of HTML mean a blank.
            self.parts.append(data.replace("\n", " ").replace("\r", " "))
