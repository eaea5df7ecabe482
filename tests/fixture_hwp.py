"""HWP 5 by hand: a compound file (MS-CFB) with the streams of a document of paragraphs, outline styles and tables.

Beside it the two pieces of HWPX that its tests are made of.

Source: Hancom's published description of the HWP 5.0 format; [MS-CFB] for the container.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Hung", "Table", "compound_file", "hwp_of", "hwpx_control", "hwpx_paragraph"]

_SECTOR = 512
_MINI = 64
_CUTOFF = 4096
_FREE, _END, _FAT, _LIST, _NONE = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFC, 0xFFFFFFFF


#: A table: each cell of its rows has a text and how many columns and rows it spans.
Table = Sequence[Sequence[tuple[str, int, int]]]


@dataclass(frozen=True, kw_only=True)
class Hung:
    """A paragraph on which a head, foot, note or comment hangs."""

    kind: str  #: ``head``, ``foot``, ``fn  `` or ``tcmt``.
    before: str = ""
    inner: tuple[str | Table, ...]
    behind: str


_CODES = {"head": 16, "foot": 16, "fn  ": 17, "tcmt": 15}


def hwp_of(paragraphs: Sequence[tuple[int, str] | Hung | Table], *, flags: int = 0) -> bytes:
    """An HWP 5 file.

    Args:
        paragraphs: Outline level (0 for plain text) and text of each, or a table, or what bears a control.
        flags: Properties in the header: 1 compressed, 2 locked with a password, 4 for distribution.
    """
    header = b"HWP Document File".ljust(32, b"\0") + struct.pack("<II", 0x05000300, flags)
    body = b"".join(_block(block, last=n == len(paragraphs)) for n, block in enumerate(paragraphs, 1))
    streams = {"DocInfo": _doc_info(), "BodyText/Section0": body}
    if flags & 1:
        streams = {name: _deflated(data) for name, data in streams.items()}
    return compound_file({"FileHeader": header.ljust(256, b"\0"), **streams})


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def _record(tag: int, level: int, data: bytes) -> bytes:
    size = min(len(data), 0xFFF)
    head = struct.pack("<I", tag | level << 10 | size << 20)
    return head + (struct.pack("<I", len(data)) if size == 0xFFF else b"") + data


def _doc_info() -> bytes:
    counts = [0] * 18
    counts[9], counts[13], counts[14] = 1, 3, 3  # shapes of characters, of paragraphs, styles
    shapes = b"".join(
        _record(25, 1, struct.pack("<I", (2 - (n == 0)) % 2 | (1 << 23 if n else 0) | max(0, n - 1) << 25) + b"\0" * 50)
        for n in range(3)
    )
    styles = b""
    for n, (name, english) in enumerate((("바탕글", "Normal"), ("개요 1", "Outline 1"), ("개요 2", "Outline 2"))):
        texts = b"".join(struct.pack("<H", len(t)) + t.encode("utf-16-le") for t in (name, english))
        styles += _record(26, 1, texts + struct.pack("<BBHHHH", 0, n, 1042, n, 0, 0))
    return b"".join(
        (
            _record(16, 0, struct.pack("<7H3I", 1, 1, 1, 1, 1, 1, 1, 0, 0, 0)),
            _record(17, 0, struct.pack("<18I", *counts)),
            _record(
                21,
                1,
                struct.pack("<7H", *[0] * 7)
                + bytes([100] * 7 + [0] * 7 + [100] * 7 + [0] * 7)
                + struct.pack("<IIbbIIIIH", 1000, 0, 0, 0, 0, 0, 0xFFFFFFFF, 0, 0),
            ),
            shapes,
            styles,
        )
    )


def _block(block: tuple[int, str] | Hung | Table, *, last: bool) -> bytes:
    match block:
        case Hung():
            return _hung(block, last=last)
        case (int(level), str(text)):
            return _paragraph(level, text, last=last)
        case _:
            return _table(block, last=last)


def _paragraph(level: int, text: str, *, last: bool, depth: int = 0) -> bytes:
    coded = (text + "\r").encode("utf-16-le")
    return _coded_paragraph(level, coded, 0, last=last, depth=depth)


def _hung(block: Hung, *, last: bool) -> bytes:
    code, kind = struct.pack("<H", _CODES[block.kind]), block.kind.encode()[::-1]
    coded = block.before.encode("utf-16-le") + code + kind + b"\0" * 8 + code + f"{block.behind}\r".encode("utf-16-le")
    inner = b""
    for n, part in enumerate(block.inner, start=1):
        ends = n == len(block.inner)
        inner += _paragraph(0, part, last=ends, depth=2) if isinstance(part, str) else _table(part, last=ends, depth=2)
    return (
        _coded_paragraph(0, coded, 1 << _CODES[block.kind], last=last, depth=0)
        + _record(71, 1, kind + b"\0" * 8)
        + _record(72, 2, struct.pack("<HHI", len(block.inner), 0, 0) + b"\0" * 8)
        + inner
    )


def _coded_paragraph(level: int, coded: bytes, mask: int, *, last: bool, depth: int) -> bytes:
    count = len(coded) // 2 | (0x80000000 if last else 0)
    return b"".join(
        (
            _record(66, depth, struct.pack("<IIHBBHHHIH", count, mask, level, level, 0, 1, 0, 0, 0, 0)),
            _record(67, depth + 1, coded),
            _record(68, depth + 1, struct.pack("<II", 0, 0)),
        )
    )


def _table(rows: Table, *, last: bool, depth: int = 0) -> bytes:
    """A paragraph that holds nothing but a table."""
    kind = b" lbt"
    anchor = struct.pack("<H", 11) + kind + b"\0" * 8 + struct.pack("<HH", 11, 13)
    columns = max(sum(wide for _, wide, _ in row) for row in rows)
    common = struct.pack("<IIIIIi4HIiH", 0x082A2311, 0, 0, 40_000, 1_000 * len(rows), 0, 0, 0, 0, 0, 1, 0, 0)
    sizes = struct.pack(f"<{len(rows)}H", *(len(row) for row in rows))
    table = struct.pack("<IHHH4H", 0, len(rows), columns, 0, 0, 0, 0, 0) + sizes + struct.pack("<HH", 0, 0)
    taken: set[tuple[int, int]] = set()
    cells = b""
    for y, row in enumerate(rows):
        x = 0
        for text, wide, high in row:
            while (x, y) in taken:
                x += 1
            taken |= {(x + dx, y + dy) for dx in range(wide) for dy in range(high)}
            place = struct.pack("<HHHHII4HH", x, y, wide, high, 8_000 * wide, 1_000 * high, 0, 0, 0, 0, 0)
            cells += _record(72, depth + 2, struct.pack("<HHI", 1, 0, 0) + place)
            cells += _paragraph(0, text, last=True, depth=depth + 2)
    return (
        _coded_paragraph(0, anchor, 1 << 11, last=last, depth=depth)
        + _record(71, depth + 1, kind + common)
        + _record(77, depth + 2, table)
        + cells
    )


def compound_file(streams: dict[str, bytes]) -> bytes:
    """A compound file of streams, one folder deep at most; streams below 4096 bytes stand in the mini stream.

    Args:
        streams: Path -> bytes.
    """
    folders = sorted({name.split("/")[0] for name in streams if "/" in name})
    entries: list[tuple[str, int, int, int, int, int, int]] = []  # name, kind, left, right, child, start, size
    sectors: list[bytes] = []
    chain: list[int] = []
    small = bytearray()
    small_chain: list[int] = []

    def store_small(data: bytes) -> int:
        start = len(small_chain)
        count = max(1, -(-len(data) // _MINI))
        small.extend(data.ljust(count * _MINI, b"\0"))
        small_chain.extend([*range(start + 1, start + count), _END])
        return start

    def stream(data: bytes) -> int:
        return store_small(data) if len(data) < _CUTOFF else store(data)

    def store(data: bytes) -> int:
        start = len(sectors)
        count = max(1, -(-len(data) // _SECTOR))
        for n in range(count):
            sectors.append(data[n * _SECTOR : (n + 1) * _SECTOR].ljust(_SECTOR, b"\0"))
            chain.append(start + n + 1 if n + 1 < count else _END)
        return start

    top = [name for name in streams if "/" not in name] + folders
    top.sort(key=lambda name: (len(name), name.upper()))
    numbers = {name: n + 1 for n, name in enumerate(top)}
    inner = [name for name in streams if "/" in name]
    for n, name in enumerate(inner):
        numbers[name] = len(top) + 1 + n
    entries.append(("Root Entry", 5, _NONE, _NONE, 1, _END, 0))
    for n, name in enumerate(top):
        right = n + 2 if n + 1 < len(top) else _NONE
        if name in folders:
            child = min(numbers[other] for other in inner if other.startswith(f"{name}/"))
            entries.append((name, 1, _NONE, right, child, 0, 0))
        else:
            entries.append((name, 2, _NONE, right, _NONE, stream(streams[name]), len(streams[name])))
    for n, name in enumerate(inner):
        following = n + 1 < len(inner) and inner[n + 1].split("/")[0] == name.split("/")[0]
        right = numbers[inner[n + 1]] if following else _NONE
        entries.append((name.split("/")[1], 2, _NONE, right, _NONE, stream(streams[name]), len(streams[name])))
    entries[0] = ("Root Entry", 5, _NONE, _NONE, 1, store(bytes(small)) if small else _END, len(small))
    minis = store(b"".join(struct.pack("<I", n) for n in small_chain).ljust(_SECTOR, b"\xff")) if small else _END
    directory = store(b"".join(_entry(*entry) for entry in entries))
    return _with_tables(sectors, chain, directory, (minis, -(-len(small_chain) // 128)))


def _with_tables(sectors: list[bytes], chain: list[int], directory: int, minis: tuple[int, int]) -> bytes:
    """The file of these sectors.

    Args:
        sectors: All but those of the table of sectors.
        chain: The sector behind each.
        directory: Where the directory begins.
        minis: Where the table of the mini stream begins, and its sectors.
    """
    fat_count, more = 1, 0
    while fat_count * 128 < len(sectors) + fat_count + more:
        fat_count += 1
        more = max(0, -(-(fat_count - 109) // 127))
    places = [len(sectors) + n for n in range(fat_count)]
    table = [*chain, *[_FAT] * fat_count, *[_LIST] * more]
    table += [_FREE] * (fat_count * 128 - len(table))
    fat = struct.pack(f"<{len(table)}I", *table)
    first = len(sectors) + fat_count
    lists = b""  # the table's own sectors beyond those that the head has room for
    for n in range(more):
        listed = places[109 + 127 * n : 109 + 127 * (n + 1)]
        lists += struct.pack("<128I", *listed, *[_FREE] * (127 - len(listed)), first + n + 1 if n + 1 < more else _END)
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 16 + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + b"\0" * 6
    sizes = (0, fat_count, directory, 0, _CUTOFF, *minis, first if more else _END, more)
    header += struct.pack("<9I", *sizes) + struct.pack("<109I", *places[:109], *[_FREE] * (109 - fat_count))
    return header + b"".join(sectors) + fat + lists


def _entry(name: str, kind: int, left: int, right: int, child: int, start: int, size: int) -> bytes:
    coded = (name + "\0").encode("utf-16-le")
    return (
        coded.ljust(64, b"\0")
        + struct.pack("<HBBIII", len(coded), kind, 1, left, right, child)
        + b"\0" * 16
        + struct.pack("<IQQIQ", 0, 0, 0, start, size)
    )


def hwpx_paragraph(*runs: str, style: int = 0) -> str:
    """A paragraph of runs, each of them as XML."""
    inner = "".join(f'<hp:run charPrIDRef="0">{run}</hp:run>' for run in runs)
    return f'<hp:p id="0" paraPrIDRef="{style}" styleIDRef="{style}">{inner}</hp:p>'


def hwpx_control(kind: str, text: str) -> str:
    """A control that holds a paragraph: a note, a head, a comment."""
    inner = hwpx_paragraph(f"<hp:t>{text}</hp:t>")
    return f'<hp:ctrl><hp:{kind} id="1"><hp:subList id="">{inner}</hp:subList></hp:{kind}></hp:ctrl>'
