"""What every reader gives back, and how it builds it: blocks of Markdown in order, cleaned as they come.

``Page`` collects headings, paragraphs, list items and tables; ``Page.done()`` is the ``Extracted``. Text is NFC,
without control characters and lone surrogates; what was taken out is counted and warned of. Knows no format.

Use::

    page = Page("지침.docx")
    page.heading(1, "입고")
    page.item("1.", "차량을 확인합니다.")
    return page.done()
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from corpora.errors import UnreadableDocumentError
from corpora.readers import limits

__all__ = ["Extracted", "Mark", "Page", "clean", "no_text", "ranges", "too_large", "unreadable"]

# Controls that are no white space, soft hyphens' neighbours U+FFFE and U+FFFF, and halves of surrogate pairs.
_UNWANTED = re.compile("[\x00-\x08\x0e-\x1f\x7f\ufffe\uffff\ud800-\udfff]")
_HEADING_LIKE = re.compile(r"^(#{1,6})(?=\s|$)", re.MULTILINE)
_UNDERLINE_LIKE = re.compile(r"^(-{2,}|={2,})(?=\s*$)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """Where a page, slide, sheet or file of an archive begins."""

    start: int  #: Offset into the document's text.
    label: str  #: ``page 3``, ``slide 2``, ``sheet 재고``, ``file 입고.md``.


@dataclass(frozen=True, kw_only=True, slots=True)
class Extracted:
    """What a reader made of the bytes."""

    text: str  #: NFC, ``\n`` line ends.
    title: str | None = None  #: A title that the format itself gives; None takes the first heading.
    encoding: str = "binary"  #: How the bytes were read.
    warnings: tuple[str, ...] = ()  #: What was set aside or could not be read.
    marks: tuple[Mark, ...] = ()  #: Pages, slides, sheets or files in order.


def unreadable(name: str, code: str, why: str) -> UnreadableDocumentError:
    """The error that says which file, and why."""
    return UnreadableDocumentError(f"'{name}' {why}", code=code)


def too_large(name: str, why: str) -> UnreadableDocumentError:
    """A file that would cost more than a reader may spend."""
    return UnreadableDocumentError(f"'{name}' {why}", code="document_too_large")


def no_text(name: str, why: str = "holds no text.") -> UnreadableDocumentError:
    """A file that was read and holds 0 characters."""
    return UnreadableDocumentError(f"'{name}' {why} (0 characters)", code="no_text")


def clean(text: str) -> tuple[str, int]:
    """NFC text with plain line ends, and how many characters were no text at all."""
    # Two halves that belong together are one character first: some libraries count in UTF-16.
    if any("\ud800" <= c <= "\udbff" for c in text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").replace("\ufffd", "\ud800")
    text, removed = _UNWANTED.subn("", text)
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    return unicodedata.normalize("NFC", text), removed


class Page:
    """A document as it is being written: blocks parted by a blank line, items of a list by a line end.

    Args:
        name: The file, for messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._parts: list[str] = []
        self._length = 0
        self._in_list = False
        self._marks: list[Mark] = []
        self._pending: list[str] = []
        self._warnings: list[str] = []
        self._removed = 0

    def heading(self, level: int, text: str) -> None:
        """A heading; levels below 1 and above 6 are brought into Markdown's range."""
        shown = " ".join(self._clean(text).split())
        if shown:
            self._add(f"{'#' * min(6, max(1, level))} {shown}")

    def paragraph(self, text: str) -> None:
        """Plain text; lines that Markdown would take for a heading are kept from being one."""
        lines = (" ".join(line.split()) for line in self._clean(text).split("\n"))
        shown = "\n".join(line for line in lines if line)
        shown = _UNDERLINE_LIKE.sub(r"\\\1", _HEADING_LIKE.sub(r"\\\1", shown))
        self._add(shown)

    def item(self, label: str, text: str, depth: int = 0) -> None:
        """A list item with its label (``-``, ``1.``, ``가.``); items in a row are one list."""
        shown = " ".join(self._clean(text).split())
        if shown:
            self._add(f"{'   ' * min(depth, 6)}{label} {shown}", in_list=True)

    def block(self, text: str) -> None:
        """Markdown as it is: a table, a code block."""
        self._add(self._clean(text).strip("\n"))

    def mark(self, label: str) -> None:
        """The next block is the first of a page, slide, sheet or file."""
        self._pending.append(self._clean(label))

    def warn(self, message: str) -> None:
        """Say something about the document, once."""
        shown = self._clean(message)
        if shown not in self._warnings:
            self._warnings.append(shown)

    def done(self, *, title: str | None = None, why_empty: str = "holds no text.") -> Extracted:
        """The whole document.

        Raises:
            UnreadableDocumentError: there is no text in it (``no_text``).
        """
        text = "".join(self._parts)
        if not any(c.isalnum() for c in text):
            raise no_text(self.name, why_empty)
        if self._removed:
            self.warn(f"{self._removed} control characters or broken surrogates were left out.")
        warnings = self._warnings
        if len(warnings) > limits.MAX_WARNINGS:
            more = len(warnings) - limits.MAX_WARNINGS + 1
            warnings = [*warnings[: limits.MAX_WARNINGS - 1], f"{more} more warnings are not shown."]
        named = " ".join(self._clean(title).split()) if title else None
        return Extracted(text=text + "\n", title=named, warnings=tuple(warnings), marks=tuple(self._marks))

    def _clean(self, text: str) -> str:
        shown, removed = clean(text)
        self._removed += removed
        return shown

    def _add(self, shown: str, *, in_list: bool = False) -> None:
        if not shown.strip():
            return
        joint = "" if not self._parts else "\n" if in_list and self._in_list and not self._pending else "\n\n"
        self._length += len(joint) + len(shown)
        if self._length > limits.MAX_CHARACTERS:
            raise too_large(self.name, f"holds more than {limits.MAX_CHARACTERS:,} characters; split it.")
        self._marks.extend(Mark(start=self._length - len(shown), label=label) for label in self._pending)
        self._pending.clear()
        self._parts.append(joint + shown)
        self._in_list = in_list


def ranges(numbers: Sequence[int]) -> str:
    """Numbers of slides or sheets, neighbours joined: ``1-3, 7``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in parts]
    return ", ".join(shown[:20]) + (" …" if len(shown) > 20 else "")
