"""Document readers, one module a format: bytes in, decoded NFC text out.

``read_document`` picks the reader by the file's suffix. Bytes that are no text are an error that says why; there is
no empty success. Knows nothing of chunks, stores or the network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

from corpora.errors import UnreadableDocumentError
from corpora.readers.decode import decode
from corpora.readers.markdown import markdown_title
from corpora.readers.text import text_title

__all__ = ["READERS", "ReadDocument", "Reader", "read_document"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadDocument:
    """What a reader made of the bytes."""

    title: str  #: First heading or line, else the file name without its suffix.
    text: str  #: Whole text, NFC, ``\n`` line ends.
    media_type: str  #: ``text/markdown`` or ``text/plain``.
    encoding: str  #: How the bytes were read.
    warnings: tuple[str, ...] = ()  #: What a person should know.


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """A format: its media type and how it finds a title."""

    media_type: str  #: What the document is from now on.
    title: Callable[[str], str | None]  #: Title of a text, or None.


_MARKDOWN = Reader(media_type="text/markdown", title=markdown_title)
_TEXT = Reader(media_type="text/plain", title=text_title)
#: Readers by file suffix.
READERS: dict[str, Reader] = {".md": _MARKDOWN, ".markdown": _MARKDOWN, ".txt": _TEXT, ".text": _TEXT}


def read_document(data: bytes, filename: str, media_type: str | None = None) -> ReadDocument:
    """Decode a document.

    Args:
        data: The bytes.
        filename: Name the client gave; its suffix picks the reader.
        media_type: Used when the name has no suffix.

    Raises:
        UnreadableDocumentError: unknown format (``unsupported_format``), no bytes or only blanks (``empty_file``),
            or bytes that are no text (``undecodable_text``).
    """
    suffix = PurePath(filename).suffix.lower()
    if not suffix and media_type:
        suffix = {"text/markdown": ".md", "text/plain": ".txt"}.get(media_type.partition(";")[0], suffix)
    reader = READERS.get(suffix)
    if reader is None:
        raise UnreadableDocumentError(
            f"'{filename}': this format cannot be read; send {', '.join(READERS)}.", code="unsupported_format"
        )
    text, encoding, warnings = decode(data, filename)
    title = reader.title(text) or PurePath(filename).stem
    return ReadDocument(title=title, text=text, media_type=reader.media_type, encoding=encoding, warnings=warnings)
