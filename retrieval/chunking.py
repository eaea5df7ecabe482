"""Cutting a document into chunks: by section, then by block, then by sentence; offsets are exact.

``chunk_document`` covers all text that is not blank, in order and without overlap; a chunk knows its heading path. A
heading stays with the text below it; numbered procedures and tables stay whole where they fit.
"""

from __future__ import annotations

from dataclasses import dataclass

from corpora.ids import content_id
from corpora.korean.analyse import sentences
from corpora.markdown import Block, blocks, plain
from corpora.records import Chunk, Document

__all__ = ["MAX_CHARS", "MIN_CHARS", "chunk_document"]

#: Paragraphs of Korean manuals have a median of 99 characters and a 99th percentile of 717, so a chunk of 900 holds
#: a section's few paragraphs, or one procedure with its introduction.
MAX_CHARS = 900
#: Below this a piece is joined to its neighbour of the same section.
MIN_CHARS = 120


@dataclass(frozen=True, slots=True)
class _Piece:
    """A range of the text with the heading path it stands under."""

    start: int
    end: int
    headings: tuple[str, ...]


def chunk_document(document: Document, *, max_chars: int = MAX_CHARS, min_chars: int = MIN_CHARS) -> list[Chunk]:
    """The chunks of ``document``.

    Args:
        document: Its text is Markdown or plain; both go through the Markdown parser.
        max_chars: No chunk is longer, unless a single word is.
        min_chars: Shorter pieces join their neighbour in the same section where the sum fits.

    Returns:
        Chunks in order; ``document.text[c.start:c.end] == c.text`` for each.
    """
    text = document.text
    pieces: list[_Piece] = []
    for section in _sections(text):
        pieces.extend(_cut(text, section, max_chars, min_chars))
    return [
        Chunk(
            id=content_id("chunk", document.id, index),
            document_id=document.id,
            index=index,
            text=text[piece.start : piece.end],
            start=piece.start,
            end=piece.end,
            headings=piece.headings,
        )
        for index, piece in enumerate(pieces)
    ]


@dataclass(frozen=True, slots=True)
class _Section:
    """A heading with the blocks below it."""

    headings: tuple[str, ...]
    blocks: tuple[Block, ...]


def _sections(text: str) -> list[_Section]:
    path: list[tuple[int, str]] = []
    found: list[_Section] = []
    current: list[Block] = []

    def close() -> None:
        if current:
            found.append(_Section(tuple(title for _, title in path), tuple(current)))
            current.clear()

    for block in _covering(text):
        if block.kind == "heading":
            # A heading right below another one (title, then first section) takes that one's text along.
            if any(earlier.kind != "heading" for earlier in current):
                close()
            while path and path[-1][0] >= block.level:
                path.pop()
            path.append((block.level, plain(block.text)))
        current.append(block)
    close()
    return found


def _covering(text: str) -> list[Block]:
    """Blocks that cover everything: what the parser does not report (link definitions) becomes a paragraph."""
    found: list[Block] = []
    position = 0
    for block in blocks(text):
        if text[position : block.start].strip():
            found.append(Block(kind="paragraph", start=position, end=block.start, text=text[position : block.start]))
        found.append(block)
        position = max(position, block.end)
    if text[position:].strip():
        found.append(Block(kind="paragraph", start=position, end=len(text), text=text[position:]))
    return found


def _cut(text: str, section: _Section, max_chars: int, min_chars: int) -> list[_Piece]:
    """Pieces of one section: whole blocks gathered up to the size, longer blocks cut by sentence."""
    ranges: list[tuple[int, int]] = []
    for block in section.blocks:
        start, end = _trim(text, block.start, block.end)
        if start == end:
            continue
        parts = [(start, end)] if end - start <= max_chars else _split(text, start, end, max_chars)
        ranges.extend(parts)
    gathered: list[tuple[int, int]] = []
    target = max_chars * 2 // 3
    for start, end in ranges:
        if gathered:
            first, last = gathered[-1]
            small = last - first < min_chars or end - start < min_chars
            if end - first <= (max_chars if small or _introduces(text[first:last]) else target):
                gathered[-1] = (first, end)
                continue
        gathered.append((start, end))
    return [_Piece(start, end, section.headings) for start, end in gathered]


def _introduces(text: str) -> bool:
    """Whether a piece ends in the sentence that announces a list, or in a heading."""
    last = text.rstrip().rsplit("\n", 1)[-1]
    return last.startswith("#") or last.rstrip().endswith(("진행합니다.", "다음과 같습니다.", ":"))


def _split(text: str, start: int, end: int, max_chars: int) -> list[tuple[int, int]]:
    """Cut a long block by line where it has lines (list items, table rows), else by sentence, else by size."""
    units: list[tuple[int, int]] = []
    for line_start, line_end in _lines(text, start, end):
        if line_end - line_start <= max_chars:
            units.append((line_start, line_end))
            continue
        for s, e in sentences(text[line_start:line_end]):
            low, high = line_start + s, line_start + e
            units.extend((at, min(at + max_chars, high)) for at in range(low, high, max_chars))
    merged: list[tuple[int, int]] = []
    for low, high in units:
        if merged and high - merged[-1][0] <= max_chars:
            merged[-1] = (merged[-1][0], high)
        else:
            merged.append((low, high))
    return _cover(text, merged, start, end)


def _lines(text: str, start: int, end: int) -> list[tuple[int, int]]:
    found = []
    at = start
    while at < end:
        stop = text.find("\n", at, end)
        stop = end if stop == -1 else stop
        low, high = _trim(text, at, stop)
        if low < high:
            found.append((low, high))
        at = stop + 1
    return found


def _cover(text: str, ranges: list[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    """Ranges stretched so that no character that is not blank is lost between them."""
    covered: list[tuple[int, int]] = []
    for index, (low, high) in enumerate(ranges):
        before = ranges[index - 1][1] if index else start
        covered.append(_trim(text, before if text[before:low].strip() else low, high))
    if covered and text[covered[-1][1] : end].strip():
        covered[-1] = _trim(text, covered[-1][0], end)
    return covered


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    """The range without blanks at its ends."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
