"""Connections to addresses that were checked, and to nothing else.

A name is resolved once, every address that it has must be public, and the connection goes to one of those addresses;
nothing resolves the name again, so an answer that changes in between changes nothing. Host header and certificate
check keep the name. Knows nothing of documents, redirects and HTTP replies. Use::

    with httpcore.ConnectionPool(network_backend=PinnedBackend(Wire(), Deadline(60))) as pool: ...
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import httpcore
import httpx

from app.services.fetching_addresses import is_public, not_allowed
from corpora.errors import MalmoiError, UnavailableError

__all__ = ["Deadline", "PinnedBackend", "Wire", "resolve"]

#: Seconds for one address to take the connection; a name may have others that do.
CONNECT_S = 10.0


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name, A and AAAA, in the order of the system.

    Raises:
        OSError: the name has none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _connect(address: str, port: int, timeout: float) -> httpcore.NetworkStream:
    return httpcore.SyncBackend().connect_tcp(address, port, timeout=timeout)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wire:
    """What touches the network. Only tests put other functions in; no setting does."""

    resolve: Callable[[str, int], list[str]] = resolve  #: Name and port -> all addresses.
    is_public: Callable[[IPv4Address | IPv6Address], bool] = is_public  #: Whether an address may be connected to.
    connect: Callable[[str, int, float], httpcore.NetworkStream] = _connect  #: Address, port, seconds -> open stream.
    trust: Callable[[], ssl.SSLContext] = httpx.create_ssl_context  #: Whose certificates count.


class Deadline:
    """One span of time for everything that a fetch does."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left, more than 0.

        Raises:
            httpcore.ReadTimeout: none are.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout
        return left


class PinnedBackend(httpcore.NetworkBackend):
    """Connects to addresses that were checked, and gives streams that end with the deadline."""

    def __init__(self, wire: Wire, deadline: Deadline) -> None:
        self._wire = wire
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve, check, connect: in one step, so that nothing can come between.

        Raises:
            InvalidInputError: ``url_not_allowed``: one of the addresses is not public.
            UnavailableError: ``url_unreachable``: the name has no address.
            httpcore.TimeoutException: no address took the connection in time, or the deadline has passed.
            httpcore.ConnectError: every address refused.
        """
        del timeout, local_address, socket_options  # the deadline rules; the rest nobody asks for
        addresses = self._checked(host, port)
        for position, address in enumerate(addresses):
            try:
                stream = self._wire.connect(address, port, min(self._deadline.left(), CONNECT_S))
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if position == len(addresses) - 1:
                    raise
                continue
            return _TimedStream(stream, self._deadline)
        raise AssertionError("a name without addresses is an error before")

    def _checked(self, host: str, port: int) -> list[str]:
        try:
            found = [str(ip_address(host))]
        except ValueError:
            found = self._resolved(host, port)
        addresses = []
        for text in found:
            address = ip_address(text)
            if not self._wire.is_public(address):
                raise not_allowed(f"'{host}' leads to an address that is not public")
            addresses.append(str(address))
        if not addresses:
            raise UnavailableError(f"'{host}' has no address.", param="url", code="url_unreachable")
        return addresses

    def _resolved(self, host: str, port: int) -> list[str]:
        """The system's resolver takes no time limit: it is asked in a thread, which is left behind when it is late."""
        answers: list[list[str] | Exception] = []

        def ask() -> None:
            try:
                answers.append(self._wire.resolve(host, port))
            except Exception as exc:  # raised again below, in the thread that waits
                answers.append(exc)

        thread = threading.Thread(target=ask, name="resolver", daemon=True)
        thread.start()
        thread.join(self._deadline.left())
        if not answers:
            raise httpcore.ConnectTimeout
        answer = answers[0]
        if isinstance(answer, OSError | UnicodeError):
            raise UnavailableError(f"'{host}' has no address.", param="url", code="url_unreachable") from answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        """Never."""
        raise MalmoiError(f"No URL leads to a local socket ({path}, {timeout}, {socket_options}).")


class _TimedStream(httpcore.NetworkStream):
    """A stream whose every step may take what is left of the whole time, however few bytes a step brings."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        del timeout
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        del timeout
        self._stream.write(buffer, self._deadline.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        del timeout
        secured = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left())
        return _TimedStream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
