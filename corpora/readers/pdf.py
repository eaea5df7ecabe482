"""PDF by pypdfium2: lines with their size and place become headings, steps, tables and paragraphs.

Running heads and feet, page numbers and tables of contents are set aside with a warning. Pages without text are said
to be scanned. Structure is guessed from the look of the page (``pdf_layout``), for most PDFs hold none. Knows nothing
of chunks.
"""

from __future__ import annotations

from typing import Any

import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

from corpora.readers import limits
from corpora.readers.extracted import Extracted, Page, ranges, too_large, unreadable
from corpora.readers.furniture import contents_lines, running_lines
from corpora.readers.pdf_layout import larger_lines, write_lines
from corpora.readers.pdf_lines import Line, Piece, Rule, lines_of
from corpora.readers.pdf_places import pieces_of, rules_of, turned

__all__ = ["read_pdf"]

#: Where the end of a PDF says that it is the end.
_TAIL = 2048


def read_pdf(data: bytes, name: str) -> Extracted:
    """The document as Markdown.

    Raises:
        UnreadableDocumentError: ``encrypted``, ``scanned``, ``no_text``, ``damaged_file``, ``document_too_large``.
    """
    if b"%PDF-" not in data[:1024]:
        raise unreadable(name, "damaged_file", "is no PDF: it does not begin as one.")
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as exc:
        if "password" in str(exc).lower() or "security" in str(exc).lower():
            raise unreadable(name, "encrypted", "is locked with a password; save it without one.") from exc
        raise unreadable(name, "damaged_file", f"is damaged or cut short: {exc}.") from exc
    try:
        return _document(document, name, cut=b"%%EOF" not in data[-_TAIL:])
    except pypdfium2.PdfiumError as exc:
        raise unreadable(name, "damaged_file", f"is damaged: {exc}.") from exc
    finally:
        document.close()


def _document(document: Any, name: str, *, cut: bool) -> Extracted:
    count = len(document)
    if count > limits.MAX_PAGES:
        raise too_large(name, f"holds {count:,} pages; at most {limits.MAX_PAGES:,} are read. Split it.")
    page = Page(name)
    pages: list[list[Line]] = []
    drawn: list[list[Rule]] = []
    empty: list[int] = []
    broken: list[int] = []
    left = limits.MAX_CHARACTERS
    for number in range(count):
        try:
            pieces, rules = _places(document, number, name, left)
        except pypdfium2.PdfiumError:
            broken.append(number + 1)
            pieces, rules = [], []
        left -= len(pieces)
        drawn.append(rules)
        pages.append(lines_of(pieces))
        if not pages[-1] and number + 1 not in broken:
            empty.append(number + 1)
    if count and len(empty) == count:
        pictures = _has_pictures(document)
        if pictures:
            raise unreadable(name, "scanned", f"holds pictures of {count} pages and no text; recognise it (OCR) first.")
        raise unreadable(name, "no_text", f"holds no text on its {count} pages. (0 characters)")
    if cut:
        page.warn("The end of the file is missing: it may be cut short, and pages may be lacking.")
    if broken:
        page.warn(f"Pages that are damaged and were not read: {ranges(broken)}.")
    if empty:
        page.warn(f"Pages without text, empty or scanned: {ranges(empty)}.")
    write_lines(page, _content(page, pages), drawn)
    return page.done(why_empty=f"holds no text on its {count} pages.")


def _content(page: Page, pages: list[list[Line]]) -> list[list[Line]]:
    """Pages without what is no content."""
    texts = [[line.text for line in lines] for lines in pages]
    loud = larger_lines(pages)
    running = running_lines(texts, loud)
    if running:
        shown = list(dict.fromkeys(texts[p][i] for p, i in sorted(running)))
        page.warn(f"{len(running)} running heads, feet and page numbers were set aside: {' / '.join(shown)[:200]}")
    places = [(p, i) for p, lines in enumerate(texts) for i in range(len(lines)) if (p, i) not in running]
    contents = {places[number] for number in contents_lines([texts[p][i] for p, i in places])}
    if contents:
        page.warn(f"A table of contents of {len(contents)} lines was set aside.")
    aside = running | contents
    return [[line for i, line in enumerate(lines) if (p, i) not in aside] for p, lines in enumerate(pages)]


def _places(document: Any, number: int, name: str, left: int) -> tuple[list[Piece], list[Rule]]:
    """Characters of a page and the rules drawn on it, with their places."""
    page = document[number]
    try:
        text = page.get_textpage()
        try:
            count = text.count_chars()
            if count > limits.MAX_PAGE_CHARACTERS:
                most = limits.MAX_PAGE_CHARACTERS
                raise too_large(name, f"holds {count:,} characters on page {number + 1}; at most {most:,} are read.")
            if count > left:
                raise too_large(name, f"holds more than {limits.MAX_CHARACTERS:,} characters; split it.")
            pieces, quarter = pieces_of(text.raw, count)
            return turned(pieces, rules_of(page) if pieces else [], quarter, page.get_mediabox())
        finally:
            text.close()
    finally:
        page.close()


def _has_pictures(document: Any) -> bool:
    for number in range(min(len(document), 20)):
        page = document[number]
        try:
            if next(iter(page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=3)), None) is not None:
                return True
        finally:
            page.close()
    return False
