"""Bytes of a file as lines, in bounded memory, in the encodings that Korean datasets come in.

The size of a file is fixed when it is opened: what is appended while it is read is not read. UTF-16 and UTF-32 are
recoded to UTF-8 on the way, so that everything behind works on bytes in UTF-8 or CP949, where line ends, quotes and
brackets never are part of another character. Knows nothing of JSON and CSV.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from corpora.errors import InvalidInputError, UnreadableDocumentError
from corpora.importers.rows import RowError
from corpora.readers.decode import decode

__all__ = ["BLOCK_BYTES", "Line", "TextFile"]

#: Read at once.
BLOCK_BYTES = 1 << 20
#: Kept of a line that is over the limit, to show it.
_HEAD_BYTES = 1024
#: An encoding is decided on so many lines (or blocks without line ends) that hold more than ASCII.
_DECIDING_PIECES = 2000
_LINE_END = re.compile(rb"\r\n|\n|\r")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: No character of UTF-8 or CP949: stands where UTF-16 could not be decoded, so that its line is found to be bad.
_UNDECODABLE = b"\xff"


@dataclass(frozen=True, slots=True)
class Line:
    """One physical line."""

    number: int  #: From 1.
    data: bytes  #: Without its end; only the first bytes when ``too_long``.
    end: bytes  #: LF, CR LF, CR, or nothing at the end of the file.
    size: int  #: Bytes of the whole line.
    too_long: bool = False  #: True when it is over the limit.


class TextFile:
    """A text file of a size fixed at opening; iterate ``blocks`` or ``lines`` as often as needed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self.size = os.fstat(file.fileno()).st_size
            head = file.read(4)
        if not self.size:
            raise InvalidInputError(f"'{path.name}' is empty.", code="empty_file")
        self._mark, self._source = next(((m, name) for m, name in _MARKS if head.startswith(m)), (b"", ""))
        #: ``utf-8`` or ``cp949``: how the bytes of ``blocks`` are read.
        self.encoding = "utf-8"
        if not self._source:
            self._source = self.encoding = self._guess()

    def blocks(self) -> Iterator[bytes]:
        """The content in UTF-8 or CP949, without a byte-order mark, at most a few megabytes at once.

        Raises:
            InvalidInputError: the file became shorter since it was opened (``file_changed``).
        """
        raw = self._raw()
        if self._source in ("utf-8", "cp949"):
            first = next(raw, b"")[len(self._mark) :]
            yield first
            yield from raw
            return
        decoder = codecs.getincrementaldecoder(self._source)(errors="surrogatepass")
        try:
            for block in raw:
                yield decoder.decode(block).encode("utf-8", "surrogatepass")
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            yield _UNDECODABLE

    def lines(self, limit: int) -> Iterator[Line]:
        """Physical lines, ended by LF, CR LF or CR; of one over ``limit`` bytes only the beginning."""
        number, parts, size, held = 1, list[bytes](), 0, b""
        for block in self.blocks():
            data = held + block
            # A carriage return at the end of a block may be half of a line end.
            held = b"\r" if data.endswith(b"\r") else b""
            data = data[: len(data) - len(held)]
            start = 0
            for match in _LINE_END.finditer(data):
                size = _collect(parts, data[start : match.start()], size, limit)
                yield Line(number, b"".join(parts), match.group(), size, size > limit)
                number, parts, size, start = number + 1, [], 0, match.end()
            size = _collect(parts, data[start:], size, limit)
        if size or held:
            yield Line(number, b"".join(parts), held, size, size > limit)

    def text(self, data: bytes) -> str:
        """Decoded bytes of this file.

        Raises:
            RowError: ``undecodable_bytes``.
        """
        try:
            return data.decode(self.encoding)
        except UnicodeDecodeError as exc:
            raise RowError(
                "undecodable_bytes", f"byte {exc.start + 1} is no {self.encoding.upper()}, which the file is in."
            ) from exc

    def shown(self, data: bytes) -> str:
        """The beginning of bytes as text for an excerpt, whatever they are."""
        return data[:_HEAD_BYTES].decode(self.encoding, "backslashreplace")

    def _raw(self) -> Iterator[bytes]:
        left = self.size
        with self.path.open("rb") as file:
            while left:
                block = file.read(min(BLOCK_BYTES, left))
                if not block:
                    raise InvalidInputError(
                        f"'{self.path.name}' became {left} bytes shorter while it was read.", code="file_changed"
                    )
                left -= len(block)
                yield block

    def _guess(self) -> str:
        """``cp949`` when more pieces are Korean in CP949 than are valid UTF-8; a tie is UTF-8."""
        utf8 = cp949 = 0
        for piece in self._pieces():
            if piece.isascii():
                continue
            if _is_utf8(piece):
                utf8 += 1
            elif _is_korean_cp949(piece):
                cp949 += 1
            if utf8 + cp949 >= _DECIDING_PIECES:
                break
        return "cp949" if cp949 > utf8 else "utf-8"

    def _pieces(self) -> Iterator[bytes]:
        """Lines, or where those are longer than a block, cuts behind an ASCII byte (below 0x40 never a trail byte)."""
        rest = b""
        for block in self._raw():
            data = rest + block
            cut = max(data.rfind(b"\n"), data.rfind(b" "), data.rfind(b'"')) + 1 or len(data)
            rest = data[cut:]
            yield from data[:cut].split(b"\n")
        yield rest


def _collect(parts: list[bytes], part: bytes, size: int, limit: int) -> int:
    """Add ``part`` while the line is within ``limit``; beyond it keep only the beginning. The new size."""
    size += len(part)
    if size <= limit:
        parts.append(part)
    else:
        head = b"".join(parts)[:_HEAD_BYTES]
        parts[:] = [head + part[: max(0, _HEAD_BYTES - len(head))]]
    return size


def _is_utf8(piece: bytes) -> bool:
    try:
        piece.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_korean_cp949(piece: bytes) -> bool:
    try:
        return decode(piece.replace(b"\x00", b" "), "")[1] == "cp949"
    except UnreadableDocumentError:
        return False
