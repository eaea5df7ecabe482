"""A raw server on loopback for tests of fetching: counts connections, answers what it is told, byte by byte.

``Canary`` takes functions from path to behaviour; every connection counts, whether or not it says a word. ``reach``
gives a ``connect`` that leads every address here and notes which address was meant: so a fetch that tries any
address at all is seen.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import httpcore

__all__ = ["Behaviour", "Canary", "reply", "running"]

#: What a path does with its connection.
Behaviour = Callable[[socket.socket], None]


def reply(body: bytes = b"", *headers: str, status: str = "200 OK", length: bool = True) -> Behaviour:
    """A whole reply."""
    lines = [f"HTTP/1.1 {status}", *headers, *([f"Content-Length: {len(body)}"] if length else []), "", ""]

    def send(connection: socket.socket) -> None:
        connection.sendall("\r\n".join(lines).encode("utf-8", "surrogateescape") + body)

    return send


class Canary:
    """The server; ``hits`` counts connections, ``meant`` the addresses asked for, ``requests`` what was said."""

    def __init__(self, routes: dict[str, Behaviour] | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.routes = routes or {}
        self.hits = 0
        self.meant: list[tuple[str, int]] = []
        self.requests: list[str] = []
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def reach(self, address: str, port: int, timeout: float) -> httpcore.NetworkStream:
        """A ``connect`` for ``Wire``: here, whatever the address."""
        self.meant.append((address, port))
        return httpcore.SyncBackend().connect_tcp("127.0.0.1", self.port, timeout=timeout)

    def serve(self) -> None:
        """Until ``close``."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.hits += 1
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def close(self) -> None:
        """No further connection."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _answer(self, connection: socket.socket) -> None:
        # A client that hangs up early is what half of these tests are about.
        with closing(connection):
            connection.settimeout(5)
            try:
                line = self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
                said = b""
                while b"\r\n\r\n" not in said:
                    piece = line.recv(4096)
                    if not piece:
                        return
                    said += piece
                text = said.decode("latin-1")
                self.requests.append(text)
                self.routes.get(text.split(" ")[1], reply(b"canary", "Content-Type: text/plain"))(line)
                line.close()
            except OSError:
                return


@contextmanager
def running(routes: dict[str, Behaviour] | None = None, tls: ssl.SSLContext | None = None) -> Iterator[Canary]:
    """A canary that answers until the block ends."""
    canary = Canary(routes, tls)
    thread = threading.Thread(target=canary.serve, daemon=True)
    thread.start()
    try:
        yield canary
    finally:
        canary.close()
        thread.join(5)
