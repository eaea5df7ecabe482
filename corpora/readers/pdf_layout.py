"""From characters with places to headings, steps, tables and paragraphs: what a page looks like is all there is.

A heading is a line in larger type than most of the text; a table is rows whose wide gaps stand one below the other; a
paragraph goes on while lines are full. What stands in columns is read column by column (``pdf_columns``). Knows no PDF
library: ``write_lines`` takes the lines of ``pdf_lines`` and a ``Page``.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence

from corpora.readers.extracted import Page
from corpora.readers.pdf_columns import in_columns
from corpora.readers.pdf_lines import Line, Rule
from corpora.readers.pdf_prose import BULLET, STEP, ends_sentence, ends_sentence_plainly
from corpora.readers.tables import Budget, markdown_table

__all__ = ["larger_lines", "write_lines"]

#: A heading's type is this much larger than the body's, and it is no longer than this.
_LARGER = 1.12
_LONGEST_HEADING = 120
_HEADING_LEVELS = 4
#: Cells whose left edges differ by less than this many letter sizes stand below one another.
_ALIGNED = 0.8
#: Lines of one paragraph are at most this many letter sizes apart; a line is full up to this share of the widest.
_LEADING = 2.1
_FULL = 0.82
#: Lines of one cell, for which a second row of cells is waited.
_LONGEST_CELL = 6
#: Of lines that end and go on in Hangul at least so many, and this share, end in a blank where a program writes it: one
#: word in four ends where the line does.
_FEWEST_BLANKS = 3
_BLANKS = 0.1
_NUMBER = re.compile(r"^\d{1,3}[.)]$")


def write_lines(page: Page, pages: Sequence[Sequence[Line]], rules: Sequence[Sequence[Rule]]) -> None:
    """Write the lines of all pages, each with the rules drawn on it; paragraphs and tables end with their page."""
    levels = _levels(pages)
    budget = Budget(page.name)
    read = [in_columns(lines, drawn) for lines, drawn in zip(pages, rules, strict=True)]
    inside = _breaks_words(pages)
    for number, lines in enumerate(read, start=1):
        if lines:
            page.mark(f"page {number}")
            _Writer(page, budget, levels, max(line.right for line in lines), inside).write(lines)


def larger_lines(pages: Sequence[Sequence[Line]]) -> set[tuple[int, int]]:
    """Lines in larger type than most of the text, as (page, line), both from 0."""
    levels = _levels(pages)
    return {(p, i) for p, lines in enumerate(pages) for i, line in enumerate(lines) if _rounded(line.size) in levels}


def _levels(pages: Sequence[Sequence[Line]]) -> dict[float, int]:
    """Heading level of each size of type above that of most of the text."""
    sizes: Counter[float] = Counter()
    for line in (line for lines in pages for line in lines):
        sizes[_rounded(line.size)] += len(line.text)
    body = sizes.most_common(1)[0][0] if sizes else 0.0
    larger = sorted((size for size in sizes if size >= body * _LARGER), reverse=True)
    return {size: min(rank, _HEADING_LEVELS) for rank, size in enumerate(larger, start=1)}


def _breaks_words(pages: Sequence[Sequence[Line]]) -> bool:
    """Whether lines are broken inside of words, as Korean is often set.

    A program that writes the blank between two words also at the end of a line does so at every such end; where it is
    lacking, the word goes on. One that never writes it tells nothing.
    """
    ends = [
        line.blank
        for lines in pages
        for line, following in itertools.pairwise(lines)
        # Behind a cell the library sets a blank of its own.
        if len(line.cells) == 1 and following.bottom < line.bottom
        if _hangul(line.text[-1]) and _hangul(following.text[0])
    ]
    return sum(ends) >= _FEWEST_BLANKS and sum(ends) >= _BLANKS * len(ends)


def _hangul(character: str) -> bool:
    return "가" <= character <= "힣"


def _rounded(size: float) -> float:
    return round(size * 2) / 2


class _Writer:
    """Writes one page."""

    def __init__(self, page: Page, budget: Budget, levels: dict[float, int], right: float, inside: bool) -> None:
        self._page = page
        self._budget = budget
        self._levels = levels
        self._right = right
        #: Whether a line without a blank at its end breaks a word.
        self._inside = inside

    def write(self, lines: Sequence[Line]) -> None:
        """All lines in order."""
        at = 0
        while at < len(lines):
            rows = _table(lines, at)
            if rows:
                self._rows(rows)
                at += len(rows)
                continue
            end = at + 1
            while end < len(lines) and self._goes_on(lines[end - 1], lines[end]) and not _table(lines, end):
                end += 1
            self._block(lines[at:end])
            at = end

    def _level(self, line: Line) -> int | None:
        return self._levels.get(_rounded(line.size)) if len(line.text) <= _LONGEST_HEADING else None

    def _goes_on(self, line: Line, following: Line) -> bool:
        """Whether the following line belongs to the same paragraph, step or heading."""
        if STEP.match(following.text) or BULLET.match(following.text):
            return False
        apart = line.bottom - following.bottom
        same = abs(line.size - following.size) < 0.6
        full = line.right >= (line.limit or self._right) * _FULL
        if line.limit and following.limit > line.limit and apart < 0:
            # From the foot of a column to the head of the next one a sentence goes on.
            return same and full and not ends_sentence_plainly(line.text)
        return same and full and 0 < apart < _LEADING * line.size

    def _block(self, lines: Sequence[Line]) -> None:
        text = lines[0].text
        # Parts of a page may be set otherwise: a word goes on only where the paragraph shows blanks at ends of lines.
        blanks = self._inside and any(line.blank for line in lines[:-1])
        for line, following in itertools.pairwise(lines):
            word = blanks and not line.blank and _hangul(line.text[-1]) and _hangul(following.text[0])
            word = word and not ends_sentence(line.text)
            text += following.text if word else f" {following.text}"
        level = self._level(lines[0])
        step, bullet = STEP.match(text), BULLET.match(text)
        if level is not None and any(c.isalnum() for c in text):
            self._page.heading(level, text)
        elif step and text[step.end() :]:
            self._page.item(step.group().strip(), text[step.end() :])
        elif bullet and text[bullet.end() :] and text[0] != "※":
            self._page.item("-", text[bullet.end() :])
        else:
            self._page.paragraph(text)

    def _rows(self, rows: Sequence[Line]) -> None:
        columns = _columns(rows)
        shown: list[list[str]] = []
        for line in rows:
            row = [""] * len(columns)
            for left, text in line.cells:
                at = min(range(len(columns)), key=lambda index: abs(columns[index] - left))
                row[at] = f"{row[at]} {text}".strip()
            shown.append(row)
        self._budget.spend(len(rows) * len(columns))
        self._page.block(markdown_table(shown))


def _table(lines: Sequence[Line], start: int) -> Sequence[Line]:
    """The lines from ``start`` on that are rows of one table; none where there is none."""
    first = lines[start]
    if len(first.cells) < 2 or _NUMBER.match(first.cells[0][1]):
        return []
    edges = [left for left, _ in first.cells]
    end, full = start + 1, 1
    while end < len(lines):
        line = lines[end]
        near = sum(1 for left, _ in line.cells if any(abs(left - edge) < _ALIGNED * line.size for edge in edges))
        apart = lines[end - 1].bottom - line.bottom
        if near < len(line.cells) or not 0 < apart < 3.5 * line.size or abs(line.size - first.size) > 2:
            break
        # A lone cell in the first column is a line of text; in another it goes on from a merged one.
        if len(line.cells) < 2 and abs(line.cells[0][0] - edges[0]) < _ALIGNED * line.size:
            break
        full += len(line.cells) >= 2
        end += 1
        if full < 2 and end - start > _LONGEST_CELL:
            break
    return lines[start:end] if full >= 2 else []


def _columns(rows: Sequence[Line]) -> list[float]:
    """Left edges of the columns: those of the row with most cells."""
    return [left for left, _ in max(rows, key=lambda line: len(line.cells)).cells]
