"""What stands on a page and is no content: running heads and feet, page numbers, tables of contents.

Both are recognised by what they are made of, not by where a format says they are: lines that come back at the edge of
most pages, and runs of lines that end in dots and a number. The caller sets them aside and says so. Knows no format.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence

__all__ = ["contents_lines", "is_contents_title", "running_lines"]

#: Lines at the top and at the bottom of a page that may be running ones.
_EDGE = 2
#: Pages on which a line must come back, and the share of all pages.
_MIN_PAGES = 3
_MIN_SHARE = 0.5
#: Lines in a row that make a table of contents.
_MIN_CONTENTS = 3
#: Longer lines are neither entries of a table of contents nor heads or feet.
_LONGEST_ENTRY = 300
#: A page number at the beginning or end of a line, maybe with the number of pages behind it.
_FIRST_NUMBER = re.compile(r"^[\s\-–—~/|.()<>\[\]]*(\d{1,5})(?![\d.)])")
_LAST_NUMBER = re.compile(
    r"(?<![\d.])(\d{1,5})(?:\s*(?:/|of|중)\s*\d{1,5})?(?:\s*(?:쪽|페이지))?[\s\-–—~/|.()<>\[\]]*$"
)
_TOTAL = re.compile(r"#\s*(?:/|of|중)\s*\d")
_DIGITS = re.compile(r"\d+")
_PAGE_NUMBER = re.compile(
    r"^[\s\-–—~/|.()<>\[\]]*(?:p(?:age)?\.?\s*)?#(?:\s*(?:/|of|중)\s*#)?[\s\-–—~/|.()<>\[\]]*(?:쪽|페이지)?$", re.I
)
_CONTENTS_TITLE = re.compile(r"^(?:목\s*차|차\s*례|table\s+of\s+contents|contents)$", re.IGNORECASE)
_LEADER = re.compile(r"\S\s*(?:[.·…‥∙・]\s?){3,}\s*(?:\d{1,4}|[ivxlc]{1,7})$", re.IGNORECASE)
_NUMBERED_ENTRY = re.compile(r"\S(?:\t|\s{2,}|\s)(?:\d{1,4}|[ivxlc]{1,7})$", re.IGNORECASE)


def running_lines(pages: Sequence[Sequence[str]], loud: Collection[tuple[int, int]] = ()) -> set[tuple[int, int]]:
    """Heads, feet and page numbers as (page, line), both from 0.

    A line counts as running when it stands in the first or last two lines of at least three pages and of half of them,
    the same each time or with a number at its end or beginning that counts the pages; one of nothing but a page number
    already on two.

    Args:
        pages: The lines of each page.
        loud: Lines in larger type; ``단계 1``, ``단계 2`` are headings, so that only the same words run.
    """
    places: list[tuple[int, int, tuple[bool, str, int | None]]] = []
    for number, lines in enumerate(pages):
        for index in _edges(len(lines)):
            key, offset = _counted(lines[index], number)
            if (number, index) in loud:
                key, offset = lines[index], None
            places.append((number, index, (index < _EDGE, key, offset)))
    seen = Counter(found for found in {(number, key) for number, _, key in places})
    on = Counter(key for _, key in seen)
    needed = max(_MIN_PAGES, sum(1 for lines in pages if lines) * _MIN_SHARE)

    def runs(key: tuple[bool, str, int | None]) -> bool:
        return on[key] >= (2 if _PAGE_NUMBER.match(key[1]) else needed)

    return {(number, index) for number, index, key in places if runs(key)}


def _counted(line: str, page: int) -> tuple[str, int | None]:
    """The line with its page number made a sign, and what that number is ahead of the page; None for no number."""
    shown = " ".join(line.split())
    if len(shown) > _LONGEST_ENTRY:
        return shown, None
    match = _FIRST_NUMBER.match(shown) or _LAST_NUMBER.search(shown)
    if match is None:
        return shown, None
    rest = shown[: match.start(1)] + "#" + shown[match.end(1) :]
    return (rest if len(rest) > 1 and not _TOTAL.search(rest) else _DIGITS.sub("#", rest)), int(match.group(1)) - page


def is_contents_title(line: str) -> bool:
    """Whether a line is the heading of a table of contents."""
    return _CONTENTS_TITLE.match(line.strip().strip("#[]<>【】■ ").strip()) is not None


def contents_lines(lines: Sequence[str]) -> set[int]:
    """Numbers of the lines of tables of contents, their headings among them.

    Three lines in a row with dots and a page number are one; below the heading ``목차`` dots are not needed.
    """
    found: set[int] = set()
    run: list[int] = []
    titled: int | None = None

    def close() -> None:
        nonlocal titled
        if len(run) >= _MIN_CONTENTS:
            found.update(run)
            if titled is not None:
                found.add(titled)
        run.clear()
        titled = None

    for number, line in enumerate(lines):
        if not line.strip():
            continue
        if is_contents_title(line):
            close()
            titled = number
        elif len(line) > _LONGEST_ENTRY:
            close()
        elif _LEADER.search(line) or (titled is not None and _NUMBERED_ENTRY.search(line)):
            run.append(number)
        else:
            close()
    close()
    return found


def _edges(count: int) -> list[int]:
    return sorted({*range(min(_EDGE, count)), *range(max(0, count - _EDGE), count)})
