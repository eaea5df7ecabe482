"""The block structure of Markdown with exact offsets, by markdown-it-py.

``blocks(text)`` gives top-level blocks in order; ``text[start:end]`` is the block's source. Works on plain text too,
where everything is a paragraph. Knows nothing of chunks or questions.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token

__all__ = ["Block", "BlockKind", "blocks", "plain"]

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One top-level block."""

    kind: BlockKind  #: What it is.
    start: int  #: Offset of its first character.
    end: int  #: Offset behind its last character, trailing line breaks left out.
    text: str  #: Heading text without its marks; for others the source.
    level: int = 0  #: Heading level from 1; 0 for others.
    ordered: bool = False  #: Whether a list is numbered.


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
    # Form feeds and the like are line breaks to str.splitlines, not to Markdown.
    lines = text.split("\n")
    offsets = _line_offsets(text)
    skipped = _front_matter_lines(lines)
    found: list[Block] = []
    if skipped:
        end = offsets[min(skipped, len(offsets) - 1)]
        found.append(Block(kind="front_matter", start=0, end=len(text[:end].rstrip("\n")), text=text[:end].rstrip()))
    # Blank lines in place of the front matter keep line numbers equal.
    source = "\n".join([""] * skipped + lines[skipped:])
    stream = _block_parser().parse(source)
    for index, token in enumerate(stream):
        if token.level != 0 or token.map is None or token.type not in _KINDS:
            continue
        found.append(_block(token, stream[index + 1] if index + 1 < len(stream) else None, text, offsets))
    return found


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
