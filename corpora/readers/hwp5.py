"""HWP 5 without running heads, feet and hidden comments, which the library that reads it takes for body text.

Opens the compound file ([MS-CFB]) as far as it must to find the records of the body, takes the paragraphs of those
controls out and puts the rest back where it was, filled up to its old size. A file that it cannot follow stays as it
is: what is wrong with it is for the library to say. Reads no text but that which it takes out.

Use::

    data, heads, hidden = without_heads(data)
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from corpora.readers import limits
from corpora.readers.package import OLE_MAGIC

__all__ = ["without_heads"]

_PARA_TEXT, _CTRL_HEADER, _FILLER = 67, 71, 500
_HEADS = (b"daeh", b"toof")
_HIDDEN = (b"tmct",)
_LONG = 0xFFF  #: A record's size that says: the size follows.
_DEEPEST = 1 << 10
_MARKS = 0xFFFFFFFA  #: Numbers of sectors from here on are marks.
_ENTRY = 128  #: Bytes of an entry of the directory.
_MINI_SHIFT = 6
#: Characters below a blank that stand alone; all others are the first of eight.
_ALONE = frozenset({0, 10, 13, *range(24, 32)})


def without_heads(data: bytes) -> tuple[bytes, list[str], list[str]]:
    """The file, its running heads and feet, and its hidden comments."""
    try:
        return _without_heads(data)
    except (struct.error, IndexError, ValueError, zlib.error):
        return data, [], []


def _without_heads(data: bytes) -> tuple[bytes, list[str], list[str]]:
    file = _Compound(data)
    flags = struct.unpack_from("<I", file.read(file.child(0, "FileHeader")), 36)[0]
    if flags & 6:  # locked or for distribution: the body is encrypted
        return data, [], []
    changed = bytearray(data)
    found: dict[bytes, list[str]] = {kind: [] for kind in (*_HEADS, *_HIDDEN)}
    left = limits.MAX_UNPACKED
    for section in file.children(file.child(0, "BodyText")):
        stored = file.read(section)
        body = _inflated(stored, left) if flags & 1 else stored
        left -= len(body)
        if left <= 0:
            raise ValueError("too large")
        if not any(kind in body for kind in found):
            continue
        taken: dict[bytes, list[str]] = {kind: [] for kind in found}
        kept = _without(body, taken)
        # What stands behind the end of packed bytes is passed over; bytes that are not packed need a record there.
        packed = _deflated(kept).ljust(len(stored), b"\0") if flags & 1 else kept + _filler(len(body) - len(kept))
        if not any(taken.values()) or len(packed) > len(stored):
            continue
        at = 0
        for start, length in file.pieces(section):
            changed[start : start + length] = packed[at : at + length]
            at += length
        for kind, texts in taken.items():
            found[kind] += texts
    heads, hidden = ([text for kind in kinds for text in found[kind]] for kinds in (_HEADS, _HIDDEN))
    return (bytes(changed) if heads or hidden else data), heads, hidden


def _without(body: bytes, found: dict[bytes, list[str]]) -> bytes:
    """The records without those below the controls to be taken out; the controls themselves stay.

    Args:
        body: The records.
        found: Kinds of controls to be taken out; the texts below each are added.
    """
    kept: list[bytes] = []
    texts: list[str] = []
    above = _DEEPEST
    for record in _records(body):
        if record.level > above:
            if record.tag == _PARA_TEXT:
                texts.append(_text(body[record.content : record.end]))
            continue
        above = _DEEPEST
        kind = body[record.content : record.content + 4]
        if record.tag == _CTRL_HEADER and kind in found:
            above, texts = record.level, found[kind]
        kept.append(body[record.start : record.end])
    return b"".join(kept)


@dataclass(frozen=True, slots=True)
class _Record:
    tag: int
    level: int
    start: int  #: Where its head begins.
    content: int
    end: int


def _records(body: bytes) -> Iterator[_Record]:
    at = 0
    while at + 4 <= len(body):
        head = struct.unpack_from("<I", body, at)[0]
        size, content = head >> 20, at + 4
        if size == _LONG:
            size, content = struct.unpack_from("<I", body, content)[0], content + 4
        end = content + size
        yield _Record(head & 0x3FF, head >> 10 & 0x3FF, at, content, end)
        at = end


def _text(coded: bytes) -> str:
    units = struct.unpack(f"<{len(coded) // 2}H", coded[: len(coded) // 2 * 2])
    shown: list[int] = []
    at = 0
    while at < len(units):
        unit = units[at]
        shown.append(max(unit, 32))
        at += 1 if unit >= 32 or unit in _ALONE else 8
    return struct.pack(f"<{len(shown)}H", *shown).decode("utf-16-le", "replace").strip()


def _filler(size: int) -> bytes:
    """A record of that size that readers pass over; nothing smaller than a record's head is ever taken out."""
    if size < 4 + _LONG:
        head = struct.pack("<I", _FILLER | size - 4 << 20) if size else b""
    else:
        head = struct.pack("<II", _FILLER | _LONG << 20, size - 8)
    return head.ljust(size, b"\0")


def _inflated(stored: bytes, left: int) -> bytes:
    unpacker = zlib.decompressobj(-15)
    most = min(left, max(limits.RATIO_FLOOR, limits.MAX_RATIO * len(stored)))
    body = unpacker.decompress(stored, most)
    if not unpacker.eof:
        raise ValueError("cut short or too large")
    return body


def _deflated(body: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(body) + packer.flush()


class _Compound:
    """Streams of a compound file and where their bytes stand.

    Args:
        data: The bytes.

    Raises:
        ValueError, IndexError, struct.error: it is none, or damaged.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._shift: int
        self._shift, mini_shift = struct.unpack_from("<HH", data, 30)
        if not data.startswith(OLE_MAGIC) or self._shift not in (9, 12) or mini_shift != _MINI_SHIFT:
            raise ValueError("no compound file")
        directory, self._cutoff, mini, more = struct.unpack_from("<I4xIIxxxxI", data, 48)
        tables = list(struct.unpack_from("<109I", data, 76))
        per_sector = (1 << self._shift) // 4
        seen = 0
        while more < _MARKS:  # the list of the table's own sectors goes on outside the head in large files
            listed = struct.unpack_from(f"<{per_sector}I", data, self._place(more))
            tables += listed[:-1]
            more, seen = listed[-1], seen + 1
            if seen > len(data) >> self._shift:
                raise ValueError("a chain without an end")
        self._next: list[int] = []
        sectors = len(data) >> self._shift
        for table in tables:
            if table < _MARKS and len(self._next) < sectors:
                self._next += struct.unpack_from(f"<{per_sector}I", data, self._place(table))
        self._entries = self._joined(self._chain(directory, self._next))
        start, size = self._extent(0)
        self._mini = self._chain(start, self._next) if size else []
        coded = self._joined(self._chain(mini, self._next))
        self._mini_next = list(struct.unpack(f"<{len(coded) // 4}I", coded))

    def children(self, folder: int) -> list[int]:
        """Numbers of the entries in a folder."""
        found: list[int] = []
        seen: set[int] = set()
        left = [struct.unpack_from("<I", self._entries, folder * _ENTRY + 76)[0]]
        while left:
            number = left.pop()
            if number >= _MARKS or number in seen:
                continue
            seen.add(number)
            found.append(number)
            left += struct.unpack_from("<II", self._entries, number * _ENTRY + 68)
        return found

    def child(self, folder: int, name: str) -> int:
        """The entry of that name in a folder."""
        coded = (name + "\0").encode("utf-16-le")
        for number in self.children(folder):
            if self._entries[number * _ENTRY :].startswith(coded):
                return number
        raise ValueError(f"lacks {name}")

    def pieces(self, number: int) -> list[tuple[int, int]]:
        """Where the bytes of a stream stand: offsets and lengths, in order."""
        start, size = self._extent(number)
        small = size < self._cutoff
        shift = _MINI_SHIFT if small else self._shift
        found = []
        for sector in self._chain(start, self._mini_next if small else self._next):
            if size <= 0:
                break
            found.append((self._mini_place(sector) if small else self._place(sector), min(size, 1 << shift)))
            size -= 1 << shift
        return found

    def read(self, number: int) -> bytes:
        """The bytes of a stream."""
        return b"".join(self._data[start : start + length] for start, length in self.pieces(number))

    def _extent(self, number: int) -> tuple[int, int]:
        start, size = struct.unpack_from("<II", self._entries, number * _ENTRY + 116)
        return start, size

    def _place(self, sector: int) -> int:
        return (sector + 1) << self._shift

    def _mini_place(self, sector: int) -> int:
        at = sector << _MINI_SHIFT
        return self._place(self._mini[at >> self._shift]) + (at & ((1 << self._shift) - 1))

    def _chain(self, start: int, following: list[int]) -> list[int]:
        found: list[int] = []
        while start < _MARKS:
            found.append(start)
            if len(found) > len(following):
                raise ValueError("a chain without an end")
            start = following[start]
        return found

    def _joined(self, sectors: list[int]) -> bytes:
        return b"".join(self._data[self._place(s) : self._place(s + 1)] for s in sectors)
