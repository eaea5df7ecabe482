"""The sentences of a text that speak for it: code, tables and quotations masked, list items apart.

``prose(text)`` gives them in order with exact offsets. What is masked keeps its length, so that offsets found in
``Sentence.masked`` hold in the text. It knows Markdown and quotation marks; it knows nothing of speech levels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from corpora.korean.analyse import sentences
from corpora.markdown import Block, blocks

__all__ = ["Sentence", "SentenceKind", "prose"]

SentenceKind = Literal["prose", "list", "heading", "quote"]

#: Kiwi reads a run of this letter as one Latin word: particles and 이다 attach to it as to any noun.
MASK = "X"
_FENCE = re.compile(r"[ \t>]*(?:```|~~~)")
#: Signs that open an item, of Markdown and of Korean office writing.
_MARKER = re.compile(
    r"[ \t>]*(?:#{1,6}[ \t]+|(?:[-*+]|\d{1,3}[.)]|[가나다라마바사아자차카타파하][.)])[ \t]+|[•·∙▪■□○●◦※①-⑳][ \t]*)"
)
_QUOTING = re.compile(r"[ \t]*>")
_HANGUL = re.compile(r"[가-힣]")
#: Inline code, addresses, and quotations within one line. A straight quote opens only behind a blank or a bracket:
#: 5" and don't open nothing.
_MASKED = re.compile(
    r"`[^`\n]+`"
    r"|https?://[^\s가-힣<>\"']+"
    r"|“[^”\n]*”|‘[^’\n]*’|「[^」\n]*」|『[^』\n]*』|《[^》\n]*》|〈[^〉\n]*〉|«[^»\n]*»"
    r"|(?:(?<=[\s(\[:,])|^)\"[^\"\s](?:[^\"\n]*[^\"\s])?\""
    r"|(?:(?<=[\s(\[:,])|^)'[^'\s](?:[^'\n]*[^'\s])?'",
    re.MULTILINE,
)
_UNSPOKEN = frozenset({"code", "html", "table", "front_matter", "rule"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """One sentence; offsets point into the text it was found in."""

    start: int  #: Offset of its first character.
    end: int  #: Offset behind its last character.
    masked: str  #: The sentence, as long as it is, with code and quotations masked.
    kind: SentenceKind = "prose"  #: Running text, list item, heading or block quotation.


def _mask(text: str) -> str:
    masked = _MASKED.sub(lambda match: MASK * len(match[0]), text)
    # A text that is one quotation speaks for itself.
    return masked if _HANGUL.search(masked) else text


def _is_code(block: Block) -> bool:
    """Fenced blocks are code; an indented one with Korean in front is a paragraph that someone has indented."""
    if block.kind == "code" and not _FENCE.match(block.text):
        return not _HANGUL.match(block.text.lstrip())
    return block.kind in _UNSPOKEN


def _spans(block: Block, text: str) -> Iterator[tuple[int, int, SentenceKind]]:
    """Runs of lines of ``block`` that belong together, without the signs in front."""
    start = end = block.start
    kind: SentenceKind = "heading" if block.kind == "heading" else "prose"
    fenced, offset = False, block.start
    for line in text[block.start : block.end].split("\n"):
        marker, fence = _MARKER.match(line), bool(_FENCE.match(line))
        quoting = _QUOTING.match(line) if block.kind == "quote" else None
        if marker or fence or fenced or quoting or not line.strip():
            yield start, end, kind
            sign = marker or quoting
            start = offset + (sign.end() if sign else 0)
            if block.kind != "heading":
                kind = "quote" if quoting else "list" if marker or block.kind == "list" else "prose"
        fenced ^= fence
        if fence or fenced:
            start = offset + len(line)
        end = max(start, offset + len(line))
        offset += len(line) + 1
    yield start, end, kind


def prose(text: str) -> list[Sentence]:
    """The sentences of ``text``, which must be NFC; fenced code, tables and HTML are left out."""
    # A carriage return is a blank: lengths stay, and Markdown wants line feeds.
    text = text.replace("\r", " ")
    masked = _mask(text)
    found = []
    for block in blocks(text):
        if _is_code(block):
            continue
        for start, end, kind in _spans(block, text):
            part = masked[start:end]
            for first, last in sentences(part) if part.strip() else ():
                found.append(Sentence(start=start + first, end=start + last, masked=part[first:last], kind=kind))
    return found
