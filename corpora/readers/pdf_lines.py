"""Characters with places to lines, and lines to cells between wide gaps. Knows no PDF library and no columns.

Rules (``Rule``) are what a page draws around its text; here they have no meaning yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["GAP", "Line", "Piece", "Rule", "lines_of"]

#: A gap of this many letter sizes parts cells.
GAP = 1.2


@dataclass(frozen=True, slots=True)
class Piece:
    """A character; its place in points from the page's lower left corner."""

    character: str  #: The character; line ends have no place.
    left: float  #: Left edge.
    right: float  #: Right edge.
    bottom: float  #: Lower edge.
    size: float  #: Size of its type in points; 0 for characters without a place.


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a page."""

    cells: tuple[tuple[float, str], ...]  #: Left edge and text of each part between wide gaps.
    ends: tuple[float, ...]  #: Right edge of each of these.
    bottom: float  #: Where it stands.
    size: float  #: Size of most of its type.
    blank: bool = False  #: Whether a blank is written at its end: the line was broken between two words.
    limit: float = 0.0  #: Right edge of the column that it stands in; 0 on a page without columns.

    @property
    def right(self) -> float:
        """Where it ends."""
        return self.ends[-1]

    @property
    def text(self) -> str:
        """The whole line."""
        return " ".join(text for _, text in self.cells)


@dataclass(frozen=True, slots=True)
class Rule:
    """A straight stroke that a page draws, upright or level; its place in points as that of characters."""

    left: float  #: Left end.
    right: float  #: Right end; about the left one where it is upright.
    bottom: float  #: Lower end.
    top: float  #: Upper end; about the lower one where it is level.


def lines_of(pieces: Sequence[Piece]) -> list[Line]:
    """The lines of a page in the order of the file; parts on one level are one line."""
    lines: list[list[Piece]] = [[]]
    for piece in pieces:
        if piece.character in "\r\n":
            if lines[-1]:
                lines.append([])
        else:
            lines[-1].append(piece)
    found: list[Line] = []
    for line in lines:
        made = _line(line)
        if made is None:
            continue
        before = found[-1] if found else None
        if (
            before is not None
            and abs(before.bottom - made.bottom) < 0.3 * made.size
            and made.cells[0][0] > before.right
        ):
            # The library ends a line at a wide gap; a row of a table is one line.
            cells, ends = (*before.cells, *made.cells), (*before.ends, *made.ends)
            found[-1] = Line(cells, ends, before.bottom, before.size, made.blank)
        else:
            found.append(made)
    return found


def _line(pieces: Sequence[Piece]) -> Line | None:
    placed = [p for p in pieces if p.size > 0 and not p.character.isspace()]
    if not placed:
        return None
    size = median(p.size for p in placed)
    cells: list[tuple[float, list[str]]] = []
    ends: list[float] = []
    for piece in pieces:
        blank = piece.character.isspace() or piece.size <= 0
        if not blank and (not cells or piece.left - ends[-1] > GAP * size):
            cells.append((piece.left, []))
            ends.append(piece.right)
        if cells:
            cells[-1][1].append(piece.character)
        if not blank:
            ends[-1] = piece.right
    shown = tuple((left, " ".join("".join(text).split())) for left, text in cells)
    return Line(shown, tuple(ends), median(p.bottom for p in placed), size, pieces[-1].character.isspace())
