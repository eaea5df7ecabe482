"""Bytes to text: byte-order marks, UTF-8, then CP949; NFC and plain line ends. Never a replacement character."""

from __future__ import annotations

import codecs
import unicodedata

from corpora.errors import UnreadableDocumentError

__all__ = ["bad_control", "decode"]

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: Control characters that text files hold; others mean that the bytes are no text.
_CONTROLS = frozenset("\n\r\t\f\v\x1a")
#: Of a text read as CP949 this share of the non-ASCII letters must be Hangul: any bytes at all decode to something.
_MIN_HANGUL = 0.3


def decode(data: bytes, filename: str) -> tuple[str, str, tuple[str, ...]]:
    """Text, encoding and warnings.

    Raises:
        UnreadableDocumentError: empty, or no text in any encoding that Korean files use.
    """
    if not data:
        raise UnreadableDocumentError(f"'{filename}' is empty.", code="empty_file")
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    warnings: tuple[str, ...] = ()
    if encoding is not None:
        text = _try(data, encoding)
    else:
        encoding, text = "utf-8", _try(data, "utf-8")
        if text is None:
            encoding, text = "cp949", _try(data, "cp949")
            if text is not None and not _looks_korean(text):
                text = None
            warnings = (f"'{filename}' was read as CP949.",)
    if text is None or bad_control(text) is not None:
        raise UnreadableDocumentError(
            f"'{filename}' is no text in UTF-8, UTF-16 or CP949; save it as UTF-8 and send it again.",
            code="undecodable_text",
        )
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff"))
    if not text.strip():
        raise UnreadableDocumentError(f"'{filename}' holds nothing but blanks.", code="empty_file")
    return text, encoding, warnings


def bad_control(text: str) -> str | None:
    """The first control character that no text file holds, or None."""
    return next((c for c in text if c < " " and c not in _CONTROLS), None)


def _try(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _looks_korean(text: str) -> bool:
    letters = [c for c in text if c > "\x7f" and c.isalpha()]
    return bool(letters) and sum("가" <= c <= "힣" for c in letters) / len(letters) >= _MIN_HANGUL
