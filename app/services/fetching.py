"""URL documents: what lies behind a URL that a client named, without trust in the client, the name or the server.

Off unless the setting ``URL_DOCUMENTS`` is on. Every redirect is checked like the first URL, no proxy of the
environment, no cookie and no credential is used, and size and time are limits of the whole fetch. Which addresses are
reached is for ``fetching_wire``. Knows nothing of corpora and jobs. Use::

    found = fetch("https://한글.kr/설명서.pdf", settings)
    found.name, found.data
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from urllib.parse import quote, urljoin

import httpcore
import httpx

from app.services.fetching_addresses import allowed_url, not_allowed
from app.services.fetching_names import charset_of, file_name, media_type_of
from app.services.fetching_wire import Deadline, PinnedBackend, Wire
from app.settings import Settings
from corpora.errors import InvalidInputError, MalmoiError, TooLargeError, UnavailableError

__all__ = ["Fetched", "fetch"]

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: Statuses after which the same URL may work later.
_LATER = frozenset({408, 425, 429})
_PIECE = 1 << 16
#: zlib and gzip headers alike.
_ANY_HEADER = 47


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """A file from a URL."""

    name: str  #: File name, NFC; its suffix is one that the readers know where name or media type allow.
    media_type: str | None  #: As the server said, without parameters.
    data: bytes  #: The body, decompressed.
    url: str  #: Where it was, after redirects; ASCII.
    charset: str | None = None  #: As the server said.


def fetch(url: str, settings: Settings) -> Fetched:
    """Fetch a URL that a client named.

    Raises:
        InvalidInputError: ``url_documents_disabled``; ``url_not_allowed`` (scheme, port, user name, an address that is
            not public, too many redirects); ``url_status``: the server refuses, and will again.
        UnavailableError: ``url_unreachable`` (no such name, no connection, certificate, broken reply); ``url_timeout``;
            ``url_status``: the server has trouble.
        TooLargeError: ``url_too_large``: more than ``URL_MAX_MB``, compressed or not.
    """
    return _fetch(url, settings, Wire())


def _fetch(url: str, settings: Settings, wire: Wire) -> Fetched:
    if not settings.url_documents:
        raise InvalidInputError(
            "Documents from URLs are switched off.",
            param="url",
            code="url_documents_disabled",
            hint="Upload the file, or let the operator set URL_DOCUMENTS=true.",
        )
    backend = PinnedBackend(wire, Deadline(settings.url_timeout_s))
    target = allowed_url(url)
    for _ in range(MAX_REDIRECTS + 1):
        try:
            found = _ask(target, backend, wire, settings.url_max_mb * 2**20)
        except httpcore.TimeoutException as exc:
            raise UnavailableError(
                f"'{target.host}' took longer than {settings.url_timeout_s:g} s.", param="url", code="url_timeout"
            ) from exc
        except (httpcore.NetworkError, httpcore.ProtocolError, zlib.error) as exc:
            raise _unreachable(target, str(exc)) from exc
        if isinstance(found, Fetched):
            return found
        target = allowed_url(found)
    raise not_allowed(f"it redirects more than {MAX_REDIRECTS} times")


def _ask(target: httpx.URL, backend: PinnedBackend, wire: Wire, limit: int) -> Fetched | str:
    """The file, or the URL that the server redirects to."""
    headers = [
        (b"Host", target.netloc),
        (b"User-Agent", f"malmoi/{version('malmoi')}".encode()),
        (b"Accept", b"*/*"),
        (b"Accept-Encoding", b"identity"),
        (b"Connection", b"close"),
    ]
    secured = wire.trust() if target.scheme == "https" else None
    wanted = httpcore.URL(scheme=target.scheme.encode(), host=target.raw_host, port=target.port, target=target.raw_path)
    with (
        httpcore.ConnectionPool(ssl_context=secured, network_backend=backend, max_connections=1, retries=0) as pool,
        pool.stream("GET", wanted, headers=headers) as response,
    ):
        told = {name.lower(): value for name, value in reversed(response.headers)}
        if response.status in _REDIRECTS and b"location" in told:
            return urljoin(str(target), _location(told[b"location"]))
        if response.status != HTTPStatus.OK:
            raise _status(target, response.status)
        length = told.get(b"content-length", b"")
        if length.isdigit() and int(length) > limit:
            raise _too_large(limit)
        packing = told.get(b"content-encoding", b"").decode("ascii", "replace").strip().lower()
        body = io.BytesIO()
        for piece in _capped(_unpacked(_capped(response.iter_stream(), limit), packing, target), limit):
            body.write(piece)
    content_type = told.get(b"content-type", b"").decode("latin-1")
    media_type = media_type_of(content_type)
    return Fetched(
        name=file_name(target, media_type, told.get(b"content-disposition", b"")),
        media_type=media_type,
        data=body.getvalue(),
        url=str(target),
        charset=charset_of(content_type),
    )


def _location(raw: bytes) -> str:
    """Servers write paths in UTF-8 or in bytes of their own; those stay what they are, percent-encoded."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return quote(raw, safe="".join(map(chr, range(0x21, 0x7F))))


def _capped(pieces: Iterable[bytes], limit: int) -> Iterator[bytes]:
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > limit:
            raise _too_large(limit)
        yield piece


def _unpacked(pieces: Iterable[bytes], packing: str, target: httpx.URL) -> Iterator[bytes]:
    """The body in small pieces; servers compress though they were asked not to."""
    if packing in ("", "identity"):
        yield from pieces
        return
    if packing not in ("gzip", "x-gzip", "deflate"):
        raise _unreachable(target, f"the reply is packed as '{packing[:40]}', which was not asked for")
    unzip = zlib.decompressobj(wbits=_ANY_HEADER)
    for piece in pieces:
        rest = piece
        while rest:
            yield unzip.decompress(rest, _PIECE)
            rest = unzip.unconsumed_tail
        if unzip.unused_data:
            raise _unreachable(target, "bytes follow the end of the packed reply")
    yield unzip.flush()
    if not unzip.eof:
        raise _unreachable(target, "the packed reply breaks off")


def _status(target: httpx.URL, status: int) -> MalmoiError:
    later = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _LATER
    kind = UnavailableError if later else InvalidInputError
    return kind(f"'{target.host}' answered with HTTP status {status}.", param="url", code="url_status")


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(
        f"The file behind the URL is larger than {limit // 2**20} MB.",
        param="url",
        code="url_too_large",
        hint="The operator sets the limit with URL_MAX_MB.",
    )


def _unreachable(target: httpx.URL, why: str) -> UnavailableError:
    reason = f" ({why[:200]})" if why else ""
    return UnavailableError(f"'{target.host}' cannot be fetched from{reason}.", param="url", code="url_unreachable")
