"""What a downloaded file is called: from its headers and its URL to a name whose suffix the readers know.

Knows nothing of sockets. Use ``file_name(url, media_type, disposition)``; header values are bytes, as they came.
"""

from __future__ import annotations

import re
import unicodedata
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from pathlib import PurePosixPath
from urllib.parse import unquote_to_bytes

import httpx

from corpora.readers import READERS, SUFFIXES

__all__ = ["charset_of", "file_name", "media_type_of"]

#: Bytes of a name, the limit of common file systems.
MAX_NAME_BYTES = 255
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_EXTENDED = re.compile(rb"(?:^|;)\s*filename\*\s*=\s*([\w.-]{1,40})'[^';]{0,40}'([^;\s]+)", re.IGNORECASE)
_PLAIN = re.compile(rb'(?:^|;)\s*filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;"]+))', re.IGNORECASE)
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([\w.:-]{1,40})", re.IGNORECASE)


def media_type_of(content_type: str) -> str | None:
    """``text/html`` of ``Text/HTML; charset=utf-8``; None where the header is missing or no media type."""
    found = content_type.partition(";")[0].strip().lower()
    return found if re.fullmatch(r"[\w.+-]{1,100}/[\w.+-]{1,100}", found) else None


def charset_of(content_type: str) -> str | None:
    """The charset that the header declares, in lower case."""
    found = _CHARSET.search(content_type)
    return found[1].lower() if found else None


def file_name(url: httpx.URL, media_type: str | None, disposition: bytes) -> str:
    """The name, NFC, without folders, at most 255 bytes.

    A name in Content-Disposition wins over the last part of the path, a suffix that a reader knows over the media type.
    Only HTML wins over the suffix of a path: a page about ``설명서.hwp`` is a page.

    Args:
        url: Where the file was in the end.
        media_type: Without parameters.
        disposition: The header's bytes; empty without one.
    """
    name = _plain_name(_from_disposition(disposition))
    given = bool(name)
    if not name:
        path = url.raw_path.partition(b"?")[0]
        # A slash that was percent-encoded is part of no folder, and no part of a name either.
        name = _plain_name(_text(unquote_to_bytes(path.rpartition(b"/")[2])) or "") or url.host
    suffix = PurePosixPath(name).suffix.lower()
    wanted = SUFFIXES.get(media_type or "", "")
    same = suffix in READERS and (media_type not in _HTML or given or suffix in (".html", ".htm", ".xhtml"))
    return _shortened(name, "" if same or suffix == wanted else wanted)


def _from_disposition(header: bytes) -> str:
    extended = _EXTENDED.search(header)
    if extended:
        try:
            return unquote_to_bytes(extended[2]).decode(extended[1].decode("ascii", "replace"))
        except (LookupError, UnicodeError):
            # Not what it says it is; the plain form may stand beside it.
            pass
    plain = _PLAIN.search(header)
    if plain is None:
        return ""
    raw = re.sub(rb"\\(.)", rb"\1", plain[1]) if plain[1] is not None else plain[2].strip()
    if raw.startswith(b"=?"):
        try:
            return str(make_header(decode_header(raw.decode("ascii"))))
        except (HeaderParseError, LookupError, ValueError):
            return ""
    # Servers send the bytes of their own encoding, or percent-encode them as in a URL.
    return _text(unquote_to_bytes(raw) if b"%" in raw else raw) or _text(raw) or ""


def _text(raw: bytes) -> str | None:
    for encoding in ("utf-8", "cp949"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None


def _plain_name(name: str) -> str:
    """The last part of a path in either notation, without what cannot be seen (controls, direction marks)."""
    last = re.split(r"[/\\]", name)[-1]
    seen = "".join(c for c in last if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp"))
    return unicodedata.normalize("NFC", seen).strip(" .")


def _shortened(name: str, extra: str) -> str:
    whole = PurePosixPath(name + extra)
    suffix = whole.suffix if len(whole.suffix) <= 12 else ""
    stem = (name + extra).removesuffix(suffix)
    kept = stem.encode()[: MAX_NAME_BYTES - len(suffix.encode())].decode("utf-8", "ignore")
    return kept + suffix
