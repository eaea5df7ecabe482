"""Document readers, one module a format: bytes in, NFC text out, as Markdown wherever the format has structure.

``read_document`` picks the reader by the file's suffix. What cannot be read is an error that says why; there is no
empty success, and nothing is left out without a warning. Readers of office formats load their library when they are
first used. Knows nothing of chunks, stores or the network.

Use::

    document = read_document(path.read_bytes(), path.name)
    document.title, document.text, document.warnings
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

from corpora.errors import MissingExtraError, UnreadableDocumentError
from corpora.readers import limits
from corpora.readers.csvtable import read_csv
from corpora.readers.extracted import Extracted, Mark, clean
from corpora.readers.jsontexts import read_json, read_jsonl
from corpora.readers.markdown import markdown_title, read_markdown
from corpora.readers.text import read_text

__all__ = ["READERS", "SUFFIXES", "Mark", "ReadDocument", "Reader", "format_suffix", "read_document"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadDocument:
    """What a reader made of the bytes."""

    title: str  #: First heading or line, else the file name without its suffix.
    text: str  #: Whole text, NFC, ``\n`` line ends.
    media_type: str  #: ``text/markdown`` or ``text/plain``.
    encoding: str  #: How the bytes were read; ``binary`` for formats that are no text.
    warnings: tuple[str, ...] = ()  #: What a person should know.
    marks: tuple[Mark, ...] = ()  #: Where pages, slides, sheets and files of an archive begin.


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """A format: what its documents are from now on, and how they are read."""

    media_type: str  #: What the document is from now on.
    read: Callable[[bytes, str], Extracted]  #: Bytes and file name -> document.
    dataset: bool = False  #: Whether files of this suffix are as often rows of a dataset.


def read_document(data: bytes, filename: str, media_type: str | None = None) -> ReadDocument:
    """Read a document.

    Args:
        data: The bytes.
        filename: Name the client gave; its suffix picks the reader.
        media_type: Used when the name has no suffix.

    Raises:
        UnreadableDocumentError: its ``code`` says why: ``unsupported_format``, ``empty_file`` (no bytes or only
            blanks), ``undecodable_text``, ``no_text`` (0 characters), ``scanned`` (pictures of pages), ``encrypted``,
            ``damaged_file`` (cut short or broken), ``unsafe_xml``, ``document_too_large`` (bombs too).
        MissingExtraError: the library for this format is not installed.
    """
    return _read(data, filename, format_suffix(filename, media_type), 0)


def format_suffix(filename: str, media_type: str | None = None) -> str:
    """The suffix that picks the reader: the name's own, else that of the media type, else an empty one."""
    suffix = PurePath(filename.replace("\0", "")).suffix.lower()
    if suffix or not media_type:
        return suffix
    return SUFFIXES.get(media_type.partition(";")[0].strip().lower(), "")


def _read(data: bytes, filename: str, suffix: str, depth: int) -> ReadDocument:
    reader = READERS.get(suffix)
    if reader is None:
        hint = f"; save it as {_NEWER[suffix]}" if suffix in _NEWER else f"; send {', '.join(READERS)}"
        raise UnreadableDocumentError(f"'{filename}': this format cannot be read{hint}.", code="unsupported_format")
    if not data:
        raise UnreadableDocumentError(f"'{filename}' is empty.", code="empty_file")
    try:
        found = _zip(data, filename, depth) if suffix == ".zip" else reader.read(data, filename)
    except UnreadableDocumentError:
        raise
    except ModuleNotFoundError as exc:
        raise MissingExtraError("documents", f"Reading {suffix} (its library '{exc.name}')") from exc
    except Exception as exc:
        # A library meets what no library expects; whatever it says, the file is at fault and the others go on.
        raise UnreadableDocumentError(
            f"'{filename}' is damaged and cannot be read ({type(exc).__name__}: {str(exc)[:200]}).", code="damaged_file"
        ) from exc
    return _finished(found, filename, reader)


def _finished(found: Extracted, filename: str, reader: Reader) -> ReadDocument:
    text, warnings = found.text, found.warnings
    if len(text) > limits.MAX_CHARACTERS:
        why = f"'{filename}' holds more than {limits.MAX_CHARACTERS:,} characters; split it."
        raise UnreadableDocumentError(why, code="document_too_large")
    if not text.strip():
        raise UnreadableDocumentError(f"'{filename}' holds no text. (0 characters)", code="no_text")
    title = found.title or (markdown_title(text) if reader.media_type == "text/markdown" else None)
    name, _ = clean(filename)
    return ReadDocument(
        title=(title or "").strip() or PurePath(name).stem,
        text=text,
        media_type=reader.media_type,
        encoding=found.encoding,
        warnings=warnings,
        marks=found.marks,
    )


def _zip(data: bytes, filename: str, depth: int) -> Extracted:
    from corpora.readers.archive import joined

    def member(inner: bytes, name: str) -> Extracted:
        suffix = PurePath(name).suffix.lower()
        if suffix == ".zip" and depth + 1 >= limits.MAX_ARCHIVE_DEPTH:
            why = f"'{name}' is a zip within {limits.MAX_ARCHIVE_DEPTH} others, which is not opened."
            raise UnreadableDocumentError(why, code="document_too_large")
        read = _read(inner, name, suffix, depth + 1)
        return Extracted(text=read.text, title=read.title, warnings=read.warnings)

    return joined(data, filename, member)


def _html(data: bytes, name: str) -> Extracted:
    from corpora.readers.html import read_html

    return read_html(data, name)


def _pdf(data: bytes, name: str) -> Extracted:
    from corpora.readers.pdf import read_pdf

    return read_pdf(data, name)


def _docx(data: bytes, name: str) -> Extracted:
    from corpora.readers.docx import read_docx

    return read_docx(data, name)


def _xlsx(data: bytes, name: str) -> Extracted:
    from corpora.readers.xlsx import read_xlsx

    return read_xlsx(data, name)


def _pptx(data: bytes, name: str) -> Extracted:
    from corpora.readers.pptx import read_pptx

    return read_pptx(data, name)


def _hwp(data: bytes, name: str) -> Extracted:
    from corpora.readers.hwp import read_hwp

    return read_hwp(data, name)


def _archive(data: bytes, name: str) -> Extracted:
    return _zip(data, name, 0)


#: Readers by file suffix.
READERS: dict[str, Reader] = {
    **dict.fromkeys((".md", ".markdown"), Reader(media_type="text/markdown", read=read_markdown)),
    **dict.fromkeys((".txt", ".text"), Reader(media_type="text/plain", read=read_text)),
    **dict.fromkeys((".html", ".htm", ".xhtml"), Reader(media_type="text/markdown", read=_html)),
    ".pdf": Reader(media_type="text/markdown", read=_pdf),
    ".docx": Reader(media_type="text/markdown", read=_docx),
    ".xlsx": Reader(media_type="text/markdown", read=_xlsx),
    ".pptx": Reader(media_type="text/markdown", read=_pptx),
    **dict.fromkeys((".hwp", ".hwpx"), Reader(media_type="text/markdown", read=_hwp)),
    **dict.fromkeys((".csv", ".tsv"), Reader(media_type="text/markdown", read=read_csv, dataset=True)),
    ".json": Reader(media_type="text/markdown", read=read_json, dataset=True),
    ".jsonl": Reader(media_type="text/markdown", read=read_jsonl, dataset=True),
    ".zip": Reader(media_type="text/markdown", read=_archive, dataset=True),
}

#: Suffix for a name that has none.
SUFFIXES = {
    "text/markdown": ".md",
    "text/plain": ".txt",
    "text/html": ".html",
    "application/xhtml+xml": ".xhtml",
    "application/pdf": ".pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/x-hwp": ".hwp",
    "application/haansofthwp": ".hwp",
    "application/vnd.hancom.hwp": ".hwp",
    "application/hwp+zip": ".hwpx",
    "application/vnd.hancom.hwpx": ".hwpx",
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/json": ".json",
    "application/jsonl": ".jsonl",
    "application/x-ndjson": ".jsonl",
    "application/zip": ".zip",
}
#: Older formats that are not read, and what their programs can save instead.
_NEWER = {".doc": ".docx", ".xls": ".xlsx", ".ppt": ".pptx", ".rtf": ".docx", ".odt": ".docx"}
