"""Two columns of text on a page: which lines stand in them, and in which order they are read.

A table of two columns looks much the same: lines side by side with a gap between them. In columns of text most lines
of either side are full, for sentences go on from line to line; cells end where what they say ends. Lines across both
columns (a title, a wide table) part the page into bands, each of which is read on its left, then on its right side.
Knows only places; what the lines are is ``pdf_layout``'s business.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from corpora.readers.pdf_lines import Line

__all__ = ["in_columns"]

#: Lines that a side has at least: fewer are read well enough as they come.
_FEWEST = 5
#: A side is at least this many letter sizes wide; a line of it is full from this share of its width on, and so are at
#: least this many of its lines.
_NARROWEST = 12
_FULL = 0.8
_FULL_LINES = 0.6
#: Left edges of a column differ by less than this many letter sizes, first lines of paragraphs aside.
_ALIGNED = 0.8
_INDENT = 3.0


@dataclass(frozen=True, slots=True)
class _Part:
    """A cell of a line, by itself."""

    left: float
    right: float
    line: Line
    text: str

    @property
    def bottom(self) -> float:
        return self.line.bottom


def in_columns(lines: Sequence[Line]) -> list[Line]:
    """The lines of a page in the order in which they are read; as they came where there are no two columns."""
    parts = [
        _Part(left, right, line, text)
        for line in lines
        for (left, text), right in zip(line.cells, line.ends, strict=True)
    ]
    for edge in _edges(parts):
        first, second, across = list[_Part](), list[_Part](), list[_Part]()
        for part in parts:
            behind = part.left > edge - _ALIGNED * part.line.size
            (second if behind else first if part.right < edge else across).append(part)
        if _is_text(first) and _is_text(second) and _beside(first, second):
            return list(_read(lines, first, second, {id(part.line) for part in across}))
    return list(lines)


def _edges(parts: Sequence[_Part]) -> list[float]:
    """Left edges at which a second column may begin, those of most parts first."""
    found = Counter(round(part.left) for part in parts)
    leftmost = min(found, default=0)
    return [float(edge) for edge, count in found.most_common(4) if count >= _FEWEST // 2 and edge != leftmost]


def _is_text(parts: Sequence[_Part]) -> bool:
    """Whether most of the parts are full lines of a column that is wide enough for sentences."""
    if len(parts) < _FEWEST:
        return False
    left, right = min(part.left for part in parts), max(part.right for part in parts)
    size = sorted(part.line.size for part in parts)[len(parts) // 2]
    full = sum(part.right - left >= _FULL * (right - left) and part.left - left < _INDENT * size for part in parts)
    return right - left >= _NARROWEST * size and full >= _FULL_LINES * len(parts)


def _beside(first: Sequence[_Part], second: Sequence[_Part]) -> bool:
    """Whether the two stand side by side, at least half of the lower one's height."""
    tops = [max(part.bottom for part in side) for side in (first, second)]
    feet = [min(part.bottom for part in side) for side in (first, second)]
    common = min(tops) - max(feet)
    return common > 0.5 * min(top - foot for top, foot in zip(tops, feet, strict=True))


def _read(lines: Sequence[Line], first: Sequence[_Part], second: Sequence[_Part], across: set[int]) -> Iterator[Line]:
    """Band by band, from above: the left side, the right side, then what stands across below them."""
    walls = sorted((line for line in lines if id(line) in across), key=lambda line: -line.bottom)
    sides = [_column(side, across) for side in (first, second)]
    for wall in [*walls, None]:
        for column in sides:
            while column and (wall is None or column[0].bottom > wall.bottom):
                yield column.popleft()
        if wall is not None:
            yield wall


def _column(parts: Sequence[_Part], across: set[int]) -> deque[Line]:
    """The lines of one side from above, each with what of it stands on this side."""
    limit = max(part.right for part in parts)
    of_line: dict[int, list[_Part]] = {}
    for part in parts:
        if id(part.line) not in across:
            of_line.setdefault(id(part.line), []).append(part)
    made = [
        replace(
            some[0].line,
            cells=tuple((part.left, part.text) for part in some),
            ends=tuple(part.right for part in some),
            blank=some[0].line.blank or some[-1].text != some[0].line.cells[-1][1],
            limit=limit,
        )
        for some in of_line.values()
    ]
    return deque(sorted(made, key=lambda line: -line.bottom))
