"""What stands on a page of a PDF and where: its characters, and the straight rules drawn around them.

Pages whose text runs upwards, downwards or head over are turned until it runs from left to right, whatever the page
itself says of its rotation: lines are found along the text. The one module beside ``pdf`` that talks to the library.
"""

from __future__ import annotations

import ctypes
import itertools
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

from corpora.readers.pdf_lines import Piece, Rule

__all__ = ["pieces_of", "rules_of", "turned"]

#: Ends of strokes that are looked at on a page, and how deep in forms: drawings have many that are no rules.
_MOST_ENDS = 20_000
_DEPTH = 4
#: Strokes are straight up to this many points, and rules at least so long.
_STRAIGHT = 1.5
_SHORTEST = 6.0

_Point = tuple[float, float]


def pieces_of(text: Any, count: int) -> tuple[list[tuple[Piece, float]], int]:
    """Characters with their upper edges, as they stand in the file, and the quarter turns by which most run."""
    found = list(_characters(text, count))
    quarters = Counter(quarter for piece, _, quarter in found if piece.size > 0 and not piece.character.isspace())
    return [(piece, top) for piece, top, _ in found], quarters.most_common(1)[0][0] if quarters else 0


def turned(
    pieces: list[tuple[Piece, float]], rules: list[Rule], quarter: int, box: tuple[float, float, float, float]
) -> tuple[list[Piece], list[Rule]]:
    """The same, with most of the text running from left to right; ``box`` is the page's left, bottom, right, top."""
    if not quarter:
        return [piece for piece, _ in pieces], rules
    upright = []
    for piece, top in pieces:
        place = _turn((piece.left, piece.bottom, piece.right, top), quarter, box)
        # Line ends have no place, and none to turn.
        left, bottom, right, _ = place if piece.size > 0 else (0.0, 0.0, 0.0, 0.0)
        upright.append(Piece(piece.character, left, right, bottom, piece.size))
    places = [_turn((rule.left, rule.bottom, rule.right, rule.top), quarter, box) for rule in rules]
    return upright, [Rule(left, right, bottom, top) for left, bottom, right, top in places]


def rules_of(page: Any) -> list[Rule]:
    """Level and upright strokes of a page, edges of boxes among them; none where its drawings are damaged."""
    found: list[Rule] = []
    left = _MOST_ENDS
    try:
        for shape in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_PATH], max_depth=_DEPTH):
            ends = pdfium.FPDFPath_CountSegments(shape)
            left -= ends
            if left < 0:
                break
            found += _strokes(shape, ends)
    except pypdfium2.PdfiumError:
        return []
    return found


def _turn(
    place: tuple[float, float, float, float], quarter: int, box: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    """Left, bottom, right, top of a place once the page is turned back by so many quarters."""
    left, bottom, right, top = place
    if quarter == 1:
        return bottom - box[1], box[2] - right, top - box[1], box[2] - left
    if quarter == 2:
        return box[2] - right, box[3] - top, box[2] - left, box[3] - bottom
    return box[3] - top, left - box[0], box[3] - bottom, right - box[0]


def _characters(text: Any, count: int) -> Iterator[tuple[Piece, float, int]]:
    sides = [ctypes.c_double() for _ in range(4)]
    references = [ctypes.byref(side) for side in sides]
    matrix = pdfium.FS_MATRIX()
    for index in range(count):
        code = pdfium.FPDFText_GetUnicode(text, index)
        character = chr(code) if 0 < code <= 0x10FFFF else "\0"
        if character in "\r\n" or not pdfium.FPDFText_GetCharBox(text, index, *references):
            yield Piece(character, 0.0, 0.0, 0.0, 0.0), 0.0, 0
            continue
        size = pdfium.FPDFText_GetFontSize(text, index)
        quarter = 0
        # Many programs write every font at size 1 and scale it by the matrix.
        if pdfium.FPDFText_GetMatrix(text, index, matrix):
            size *= (matrix.c**2 + matrix.d**2) ** 0.5 or 1.0
            quarter = round(math.atan2(matrix.b, matrix.a) / (math.pi / 2)) % 4
        left, right, bottom, top = (side.value for side in sides)
        yield Piece(character, left, right, bottom, size), top, quarter


def _strokes(shape: Any, count: int) -> Iterator[Rule]:
    """Straight strokes of a shape that is shown."""
    fill, line = ctypes.c_int(), pdfium.FPDF_BOOL()
    if pdfium.FPDFPath_GetDrawMode(shape, fill, line) and not fill.value and not line.value:
        return
    for way in _ways(shape, count):
        for (x, y), (u, v) in itertools.pairwise(way):
            level, upright = abs(y - v) < _STRAIGHT, abs(x - u) < _STRAIGHT
            if level != upright and max(abs(x - u), abs(y - v)) >= _SHORTEST:
                yield Rule(min(x, u), max(x, u), min(y, v), max(y, v))


def _ways(shape: Any, count: int) -> Iterator[list[_Point]]:
    """Corners of each part of a shape, the first one again where it is closed."""
    matrix = shape.get_matrix()
    around = shape.container
    while around is not None:
        matrix = matrix.multiply(around.get_matrix())
        around = around.container
    x, y = ctypes.c_float(), ctypes.c_float()
    way: list[_Point] = []
    for index in range(count):
        segment = pdfium.FPDFPath_GetPathSegment(shape, index)
        if not pdfium.FPDFPathSegment_GetPoint(segment, x, y):
            continue
        kind = pdfium.FPDFPathSegment_GetType(segment)
        if kind != pdfium.FPDF_SEGMENT_LINETO:
            # A bend is no rule; what follows it begins anew.
            if len(way) > 1:
                yield way
            way = []
        way.append(matrix.on_point(x.value, y.value))
        if pdfium.FPDFPathSegment_GetClose(segment):
            way.append(way[0])
    if len(way) > 1:
        yield way
