"""Cuts the rows out of a JSON document that arrives in blocks, so that they can be parsed one by one.

It looks at brackets, commas and strings only. A broken row so costs itself and not the rest; the streaming parser that
one would take for this (ijson) stops at the first error, and knows neither lines nor CP949. A row whose brackets never
close takes the rows behind it along, up to the end of the list, and is reported as one. Knows nothing of values.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["ARRAY_KEYS", "HEAD_BYTES", "Cutter", "Element"]

#: Under these names an object holds the list of its rows: KorQuAD, AI Hub and NIKL; exports of servers; splits.
ARRAY_KEYS = frozenset(
    {"data", "document", "documents", "rows", "items", "train", "validation", "valid", "dev", "test"}
)
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\],]', re.DOTALL)
_REST_OF_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_QUOTE, _COMMA, _LIST, _DICT, _DICT_END = b'",[{}'
#: Kept of a row that is over the limit, to show it.
HEAD_BYTES = 1024
#: The name of a list is looked for in strings up to this length where a block ends within one.
_LONGEST_KEY = 256


class _Cut(enum.Enum):
    """What stands at a place of the document."""

    OPEN = enum.auto()  # the beginning of a list of rows
    BETWEEN = enum.auto()  # a comma between two rows
    CLOSE = enum.auto()  # the end of a list of rows


@dataclass(slots=True)
class Element:
    """A row cut out of a document, not parsed yet."""

    line: int
    data: bytes
    where: str
    size: int
    too_long: bool
    closed: bool = True


class Cutter:
    """Cuts the rows out of a JSON document that arrives in blocks; looks at brackets, commas and strings only."""

    def __init__(self, limit: int) -> None:
        self.found = False  #: Whether there was a list of rows.
        self._limit = limit
        self.ended = False  #: Whether all brackets were closed again.
        self.line = 1  #: Line reached.
        self.extra_line = 0  #: Line where something stands behind the end of the document; 0 where nothing does.
        self.extra = b""  #: Its beginning.
        self._open = bytearray()  # brackets that are open
        self._base = 0  # how many brackets are open between the rows; 0 outside of a list of rows
        self._in_string = False
        self._escaped = False
        self._held = b""
        self._key = ""
        self._number = 0
        self._start_line = 0
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, block: bytes) -> Iterator[Element]:
        """Rows that are complete with this block."""
        block, self._held = self._held + block, b""
        position, start = self._leave_string(block), 0
        while position < len(block) and not self.ended:
            match = _TOKEN.search(block, position)
            if match is None:
                break
            token, position = block[match.start()], match.end()
            if token == _QUOTE:
                if position - match.start() == 1:
                    block = self._enter_string(block, match.start())
                    break
                self._name(match.group())
                continue
            cut = self._bracket(token)
            if cut is _Cut.OPEN:
                self.line += block.count(b"\n", start, position)
                start = position
            elif cut is _Cut.BETWEEN:
                yield self._element(block[start : match.start()])
                start = position
            elif cut is _Cut.CLOSE:
                yield from self._last(block[start : match.start()])
                start = match.start()
        self._rest(block[start:], block[position:] if self.ended else b"")

    def finish(self) -> Iterator[Element]:
        """What stands open at the end of the file."""
        if self._base and self._size:
            element = self._element(b"")
            element.closed = False
            yield element

    def _name(self, string: bytes) -> None:
        """Remember a string of the outermost object: it may be the name of a list of rows."""
        if len(self._open) == 1 and not self._base:
            self._key = string[1:-1].decode("utf-8", "replace")

    def _bracket(self, token: int) -> _Cut | None:
        """What a bracket or comma means for the rows."""
        if token == _COMMA:
            return _Cut.BETWEEN if self._base and len(self._open) == self._base else None
        if token in b"{[":
            self._open.append(token)
            return _Cut.OPEN if token == _LIST and self._opens_rows() else None
        return _Cut.CLOSE if self._closes_rows(token) else None

    def _rest(self, part: bytes, behind: bytes) -> None:
        """What a block leaves: the beginning of a row, or anything at all behind the end of the document."""
        if self.ended:
            stripped = behind.lstrip()
            if stripped and not self.extra_line:
                self.extra_line = self.line + part.count(b"\n") - stripped.count(b"\n")
                self.extra = stripped[:HEAD_BYTES]
            self.line += part.count(b"\n")
        elif self._base:
            self._collect(part)
        else:
            self.line += part.count(b"\n")

    def _opens_rows(self) -> bool:
        if self._base:
            return False
        depth = len(self._open)
        if depth == 1 and not self.found:
            self._key = ""
        elif depth != 2 or self._key not in ARRAY_KEYS:
            return False
        self._base, self._number, self.found = depth, 0, True
        return True

    def _closes_rows(self, token: int) -> bool:
        """Close a bracket; True when that ends the list of rows. One that was never opened is left to its row."""
        opener = _DICT if token == _DICT_END else _LIST
        at = self._open.rfind(opener)
        if at < 0 or (self._base and at < self._base - 1):
            return False
        # Others that are still open within were never closed: that row is broken, those behind it need not be.
        del self._open[at:]
        self.ended = not self._open
        return bool(self._base) and len(self._open) < self._base

    def _leave_string(self, block: bytes) -> int:
        """Where to go on in a block that may begin within a string."""
        if not self._in_string:
            return 0
        begin = 1 if self._escaped and block else 0
        match = _REST_OF_STRING.match(block, begin)
        if match is None:
            self._escaped = _ends_in_escape(block, begin)
            return len(block)
        self._in_string = self._escaped = False
        return match.end()

    def _enter_string(self, block: bytes, at: int) -> bytes:
        """A string that does not end in this block; a short one that may be a key waits for the next block."""
        if not self._base and len(block) - at < _LONGEST_KEY:
            self._held = block[at:]
            return block[:at]
        self._in_string, self._escaped = True, _ends_in_escape(block, at + 1)
        return block

    def _last(self, part: bytes) -> Iterator[Element]:
        element = self._element(part)
        # A list without rows is no fault; nothing behind a comma is.
        if element.size or self._number > 1:
            yield element
        self._base = 0

    def _collect(self, part: bytes) -> None:
        if not self._size:
            stripped = part.lstrip()
            self.line += part.count(b"\n", 0, len(part) - len(stripped))
            part, self._start_line = stripped, self.line
        self.line += part.count(b"\n")
        self._size += len(part)
        if self._size <= self._limit:
            self._parts.append(part)
        else:
            head = b"".join(self._parts)[:HEAD_BYTES]
            self._parts = [head + part[: max(0, HEAD_BYTES - len(head))]]

    def _element(self, part: bytes) -> Element:
        self._collect(part)
        data = b"".join(self._parts).rstrip()
        where = f"{self._key}[{self._number}]"
        element = Element(self._start_line, data, where, self._size, self._size > self._limit)
        self._parts, self._size = [], 0
        self._number += 1
        return element


def _ends_in_escape(block: bytes, begin: int) -> bool:
    """Whether the block ends behind a backslash that escapes what comes next."""
    backslashes = len(block) - len(block.rstrip(b"\\"))
    return min(backslashes, len(block) - begin) % 2 == 1
