"""Bytes to text: byte-order marks, UTF-8, CP949, then what charset-normalizer finds; NFC and plain line ends.

Never a replacement character: bytes that no encoding of Korean files explains are an error.
"""

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
#: Encodings of Korean files that carry no mark, and how many bytes are looked at to tell them apart.
_UNMARKED = ("utf_16_le", "utf_16_be", "johab", "iso2022_kr")
_SAMPLE = 65_536
#: Of all letters this share must be Hangul or Latin where an encoding was guessed.
_MIN_KNOWN = 0.9


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
        if text is None or "\0" in text:
            encoding, text = _detected(data)
            warnings = (f"'{filename}' was read as {encoding}.",)
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


def _detected(data: bytes) -> tuple[str, str | None]:
    """The encoding that charset-normalizer holds for likely among those of Korean files without a mark."""
    from charset_normalizer import from_bytes  # loads tables of languages: only for files that need it

    best = from_bytes(data[:_SAMPLE], cp_isolation=list(_UNMARKED), preemptive_behaviour=False).best()
    # Its own order of likelihood first; a short text gives it too little to go by.
    likely = [best.encoding] if best is not None else []
    for encoding in dict.fromkeys([*likely, *_UNMARKED]):
        text = _try(data, encoding)
        if text is not None and bad_control(text) is None and _is_korean_script(text):
            return encoding, text
    return "utf-8", None


def _is_korean_script(text: str) -> bool:
    """Whether most letters are Hangul syllables or Latin: bytes read wrongly give letters of many scripts."""
    letters = [c for c in text[:_SAMPLE] if c.isalpha()]
    hangul = sum("가" <= c <= "힣" for c in letters)
    return hangul > 0 and (hangul + sum(c < "\x7f" for c in letters)) / len(letters) >= _MIN_KNOWN


def _try(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeError:
        return None


def _looks_korean(text: str) -> bool:
    letters = [c for c in text if c > "\x7f" and c.isalpha()]
    return bool(letters) and sum("가" <= c <= "힣" for c in letters) / len(letters) >= _MIN_HANGUL
