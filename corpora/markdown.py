"""The block structure of Markdown with exact offsets, by markdown-it-py.

``blocks(text)`` gives top-level blocks in order; ``text[start:end]`` is the block's source. ``seamed(text)`` adds where
each can be parted: before a step, a row, a line of code. Works on plain text too, where everything is a paragraph.
Knows nothing of chunks or questions.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token

__all__ = ["Block", "BlockKind", "Seam", "blocks", "plain", "seamed"]

BlockKind = Literal["front_matter", "heading", "paragraph", "list", "table", "code", "quote", "html", "rule"]

_KINDS: dict[str, BlockKind] = {
    "heading_open": "heading",
    "paragraph_open": "paragraph",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "table_open": "table",
    "fence": "code",
    "code_block": "code",
    "blockquote_open": "quote",
    "html_block": "html",
    "hr": "rule",
}
#: Beginnings of what may be parted from what stands before it, inside a block.
_INNER = frozenset((*_KINDS, "list_item_open", "tr_open"))
#: Lines that the parser is given at a time: a thousand paragraphs of a letter take 2 MB while they are parsed.
WINDOW = 2_000
_HTML_ROW = re.compile(r"\s*<tr\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One top-level block."""

    kind: BlockKind  #: What it is.
    start: int  #: Offset of its first character.
    end: int  #: Offset behind its last character, trailing line breaks left out.
    text: str  #: Heading text without its marks; for others the source.
    level: int = 0  #: Heading level from 1; 0 for others.
    ordered: bool = False  #: Whether a list is numbered.


@dataclass(frozen=True, slots=True)
class Seam:
    """A line inside a block before which it can be parted."""

    start: int  #: Offset of the line's first character.
    depth: int  #: The smaller, the better to part here: steps before their paragraphs, rows before the header.


@functools.cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark").enable("table")


@functools.cache
def _block_parser() -> MarkdownIt:
    # Blocks need no look at what is in a line, which costs twice the time and, on open brackets, its square.
    return MarkdownIt("commonmark").enable("table").disable("inline")


def _line_offsets(text: str) -> list[int]:
    offsets = [0]
    for index, character in enumerate(text):
        if character == "\n":
            offsets.append(index + 1)
    if offsets[-1] != len(text):
        offsets.append(len(text))
    return offsets


def _front_matter_lines(lines: list[str]) -> int:
    """Number of lines of a YAML front matter, 0 when there is none."""
    if not lines or lines[0].rstrip() != "---":
        return 0
    for number, line in enumerate(lines[1:], start=1):
        if line.rstrip() in ("---", "..."):
            return number + 1
    return 0


def blocks(text: str) -> list[Block]:
    """Top-level blocks of ``text`` in order; line ends must be line feeds."""
    return [block for block, _ in _walk(text, seams=False)]


def seamed(text: str) -> list[tuple[Block, tuple[Seam, ...]]]:
    """``blocks`` with the seams of each, by ascending offset: steps, rows, lines of code and of HTML.

    A table's header is parted from its first row only at a greater depth than rows are; paragraphs have no seams.
    """
    return list(_walk(text, seams=True))


def _walk(text: str, *, seams: bool) -> Iterator[tuple[Block, tuple[Seam, ...]]]:
    # Form feeds and the like are line breaks to str.splitlines, not to Markdown.
    lines = text.split("\n")
    offsets = _line_offsets(text)
    skipped = _front_matter_lines(lines)
    if skipped:
        end = offsets[min(skipped, len(offsets) - 1)]
        front = Block(kind="front_matter", start=0, end=len(text[:end].rstrip("\n")), text=text[:end].rstrip())
        yield front, tuple(Seam(offsets[line], 2) for line in range(2, skipped - 1)) if seams else ()
    for tokens, following in _top_level(lines, skipped):
        yield _block(tokens[0], following, text, offsets), _seams(tokens, lines, offsets) if seams else ()


def _top_level(lines: list[str], first: int) -> Iterator[tuple[list[Token], Token | None]]:
    """The tokens of each top-level block from line ``first`` on, and the one behind its opening.

    The parser makes a kilobyte and more of every line, so it is given a window of lines at a time. Blocks but the last
    of a window are what they are in the whole text, for Markdown never goes back on a block that another one follows;
    the last one is read again with more lines.
    """
    window = WINDOW
    while first < len(lines):
        end = min(first + window, len(lines))
        stream = _block_parser().parse("\n".join(lines[first:end]))
        for token in stream:
            if token.map is not None:
                token.map = [token.map[0] + first, token.map[1] + first]
        tops = [i for i, t in enumerate(stream) if t.level == 0 and t.map is not None and t.type in _KINDS]
        whole = end == len(lines)
        if not whole and len(tops) < 2:
            window *= 2
            continue
        for index, behind in itertools.pairwise([*tops, len(stream)] if whole else tops):
            yield stream[index:behind], stream[index + 1] if index + 1 < len(stream) else None
        if whole:
            return
        last = stream[tops[-1]].map
        assert last is not None
        first, window = last[0], WINDOW


def _seams(tokens: list[Token], lines: list[str], offsets: list[int]) -> tuple[Seam, ...]:
    """The seams of the block that ``tokens`` make, its own beginning left out."""
    depths: dict[int, int] = {}
    in_head = first_row = False
    for token in tokens:
        if token.type == "thead_open":
            in_head = True
        elif token.type == "thead_close":
            in_head, first_row = False, True
        if token.map is None or token.type not in _INNER or in_head:
            continue
        depth = 2 * token.level
        if token.type == "tr_open":
            depth, first_row = depth + first_row, False
        depths[token.map[0]] = min(depth, depths.get(token.map[0], depth))
        for line, deeper in _inner_lines(token, lines):
            depths.setdefault(line, depth + deeper)
    assert tokens[0].map is not None
    depths.pop(tokens[0].map[0], None)
    return tuple(Seam(offsets[line], depths[line]) for line in sorted(depths))


def _inner_lines(token: Token, lines: list[str]) -> Iterator[tuple[int, int]]:
    """Lines of code, whose marks stay with the first and the last, and of HTML, where rows go before other lines."""
    assert token.map is not None
    first, last = token.map
    if token.type == "fence":
        yield from ((line, 2) for line in range(first + 2, last - 1))
    elif token.type == "code_block":
        yield from ((line, 2) for line in range(first + 1, last))
    elif token.type == "html_block":
        yield from ((line, 2 if _HTML_ROW.match(lines[line]) else 3) for line in range(first + 1, last))


def _block(token: Token, following: Token | None, text: str, offsets: list[int]) -> Block:
    assert token.map is not None
    first, last = token.map
    start = offsets[first]
    end = offsets[min(last, len(offsets) - 1)]
    end = start + len(text[start:end].rstrip("\n"))
    kind = _KINDS[token.type]
    shown = following.content if kind == "heading" and following is not None else text[start:end]
    level = int(token.tag[1]) if kind == "heading" else 0
    return Block(kind=kind, start=start, end=end, text=shown, level=level, ordered=token.type == "ordered_list_open")


def plain(text: str) -> str:
    """Inline Markdown as a reader sees it: no emphasis marks, links as their text, code without ticks."""
    parts: list[str] = []
    for token in _parser().parseInline(text):
        for child in token.children or []:
            if child.type in ("text", "code_inline"):
                parts.append(child.content)
            elif child.type in ("softbreak", "hardbreak"):
                parts.append(" ")
    return "".join(parts).strip()
