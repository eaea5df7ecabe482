"""Two columns of text on a page: which lines stand in them, and in which order they are read.

A table of two columns looks much the same: lines side by side with a gap between them. In columns of text most lines
of either side are full and break off within a sentence (``pdf_prose``); cells end where what they say ends, and rows
begin on both sides at one height, or rules are drawn around them. A table that is torn apart is worth nothing, so what
is not surely text stays as it came. Lines across both columns (a title, a wide table) part the page into bands, each of
which is read on its left, then on its right side. What the lines are is ``pdf_layout``'s business.
"""

from __future__ import annotations

from bisect import bisect, bisect_left
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from corpora.readers.pdf_lines import Line, Rule
from corpora.readers.pdf_prose import shares_rows, wraps

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
#: Rules that part rows reach this many letter sizes to either side of the gap between the columns.
_REACH = 3.0
#: Rules of one table are at most this many letter sizes apart where no upright one joins them, and closer than this
#: many points two are one.
_TALLEST_ROW = 20.0
_ONE = 3.0


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


def in_columns(lines: Sequence[Line], rules: Sequence[Rule] = ()) -> list[Line]:
    """The lines of a page in the order in which they are read; as they came where there are no two columns."""
    parts = [
        _Part(left, right, line, text)
        for line in lines
        for (left, text), right in zip(line.cells, line.ends, strict=True)
    ]
    for edge in _edges(parts):
        sides = _sides(parts, edge)
        if min(len(side) for side in sides[:2]) < _FEWEST:
            continue
        walls = {id(part.line) for part in sides[2]} | _ruled(sides, edge, rules)
        tables = _tables(lines, sides, walls)
        if sum(id(part.line) in tables for part in parts) > sum(id(part.line) not in walls for part in parts) / 2:
            # What is left beside so many cells is more of them.
            continue
        walls |= tables
        first, second = ([part for part in side if id(part.line) not in walls] for side in sides[:2])
        if _is_text(first) and _is_text(second) and _beside(first, second):
            return list(_read(lines, first, second, walls))
    return list(lines)


def _sides(parts: Sequence[_Part], edge: float) -> tuple[list[_Part], list[_Part], list[_Part]]:
    """What stands on the left, on the right and across."""
    first, second, across = list[_Part](), list[_Part](), list[_Part]()
    for part in parts:
        behind = part.left > edge - _ALIGNED * part.line.size
        (second if behind else first if part.right < edge else across).append(part)
    return first, second, across


def _ruled(sides: Sequence[Sequence[_Part]], edge: float, rules: Sequence[Rule]) -> set[int]:
    """Lines of tables whose rows are parted by rules across both columns."""
    size = max(part.line.size for side in sides for part in side)
    levels = _levels(rules, edge - _REACH * size, edge + _REACH * size)
    upright = [rule for rule in rules if rule.top - rule.bottom > _ONE]
    tables: list[list[float]] = []
    for level in levels:
        last = tables[-1][-1] if tables else 0.0
        joined = tables and (
            last - level <= _TALLEST_ROW * size
            or any(rule.bottom <= level + _ONE and rule.top >= last - _ONE for rule in upright)
        )
        if joined:
            tables[-1].append(level)
        else:
            tables.append([level])
    found: set[int] = set()
    for table in tables:
        low_to_high = table[::-1]
        inside = [[part for part in side if table[-1] < part.bottom < table[0]] for side in sides]
        rows = [{bisect(low_to_high, part.bottom) for part in side} for side in inside[:2]]
        if len(rows[0] & rows[1]) > 1:
            found |= {id(part.line) for side in inside for part in side}
    return found


def _levels(rules: Sequence[Rule], left: float, right: float) -> list[float]:
    """Heights of level rules from the one place to the other, from above; each may be drawn cell by cell."""
    level = sorted((rule for rule in rules if rule.top - rule.bottom <= _ONE), key=lambda rule: -rule.bottom)
    strokes: list[list[Rule]] = []
    for rule in level:
        if strokes and strokes[-1][0].bottom - rule.bottom < _ONE:
            strokes[-1].append(rule)
        else:
            strokes.append([rule])
    found = []
    for some in strokes:
        reached = left
        for rule in sorted(some, key=lambda rule: rule.left):
            if rule.left <= reached + (_ONE if reached > left else 0.0):
                reached = max(reached, rule.right)
        if reached >= right:
            found.append(some[0].bottom)
    return found


def _tables(lines: Sequence[Line], sides: Sequence[Sequence[_Part]], walls: set[int]) -> set[int]:
    """Lines of the bands between walls in which both sides have lines and these are not text."""
    heights = sorted(line.bottom for line in lines if id(line) in walls)
    bands: dict[int, tuple[list[_Part], list[_Part]]] = {}
    for number, side in enumerate(sides[:2]):
        for part in side:
            if id(part.line) not in walls:
                bands.setdefault(bisect_left(heights, part.bottom), ([], []))[number].append(part)
    found: set[int] = set()
    for band in bands.values():
        first, second = (list(_column(side, walls)) for side in band)
        # A line or two at the end of a column tell nothing; they go with the others.
        told = min(len(first), len(second)) > 1
        if told and (not wraps(first) or not wraps(second) or shares_rows(first, second)):
            found |= {id(part.line) for side in band for part in side}
    return found


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
    limit = max((part.right for part in parts), default=0.0)
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
