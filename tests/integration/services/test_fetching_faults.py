"""Servers that never end, break off, lie about sizes or say no: each is an error that says which, in time."""

from __future__ import annotations

import gzip
import socket
import time
import zlib
from collections.abc import Callable, Iterator

import pytest

from corpora.errors import InvalidInputError, MalmoiError, TooLargeError, UnavailableError
from tests.canary_server import Behaviour, reply, running
from tests.strange_urls import MB, PUBLIC, get, settings_of


def chunked(pieces: Callable[[], Iterator[bytes]], *headers: str) -> Behaviour:
    def send(line: socket.socket) -> None:
        reply(b"", "Transfer-Encoding: chunked", *headers, length=False)(line)
        for piece in pieces():
            line.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))

    return send


def endless() -> Iterator[bytes]:
    while True:
        yield b"a" * 8192


def slowly(head: bytes, every: bytes) -> Behaviour:
    def send(line: socket.socket) -> None:
        line.sendall(head)
        for _ in range(200):
            line.sendall(every)
            time.sleep(0.05)

    return send


def squeezed(data: bytes) -> bytes:
    """A body of ``data`` 40 times in one gzip stream, without holding it."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(data) for _ in range(40)) + packer.flush()


GZIP = "Content-Encoding: gzip"
BOMB = squeezed(bytes(MB))


def nothing_for_ever() -> Iterator[bytes]:
    """A gzip stream of empty blocks: it grows on the line and never in the memory."""
    yield gzip.compress(b"")[:10]
    while True:
        yield b"\x00\x00\x00\xff\xff" * 4096


FAULTS: dict[str, tuple[Behaviour, type[MalmoiError], str, str]] = {
    "declared": (reply(b"a", f"Content-Length: {MB + 1}", length=False), TooLargeError, "url_too_large", "1 MB"),
    "endless": (chunked(endless), TooLargeError, "url_too_large", "1 MB"),
    "bomb": (reply(BOMB, GZIP), TooLargeError, "url_too_large", "1 MB"),
    "empty blocks": (chunked(nothing_for_ever, GZIP), TooLargeError, "url_too_large", "1 MB"),
    "bomb in a bomb": (reply(BOMB, "Content-Encoding: gzip, gzip"), UnavailableError, "url_unreachable", "packed"),
    "brotli": (reply(b"a", "Content-Encoding: br"), UnavailableError, "url_unreachable", "'br'"),
    "no gzip": (reply(b"a" * 99, GZIP), UnavailableError, "url_unreachable", "header"),
    "cut gzip": (reply(gzip.compress(b"abc" * 99)[:-9], GZIP), UnavailableError, "url_unreachable", "breaks off"),
    "more gzip": (reply(gzip.compress(b"a") + b"more", GZIP), UnavailableError, "url_unreachable", "follow the end"),
    "cut body": (reply(b"a", "Content-Length: 99", length=False), UnavailableError, "url_unreachable", ""),
    "cut chunk": (
        reply(b"5\r\nab", "Transfer-Encoding: chunked", length=False), UnavailableError, "url_unreachable", ""
    ),
    "no http": (lambda line: line.sendall(b"SSH-2.0-x\r\n\r\n"), UnavailableError, "url_unreachable", ""),
    "silence": (lambda line: line.close(), UnavailableError, "url_unreachable", ""),
    "long header": (slowly(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000, b"a"), UnavailableError, "url_unreachable", ""),
    "slow header": (slowly(b"HTTP/1.1 200 OK\r\nX: ", b"a"), UnavailableError, "url_timeout", "0.4 s"),
    "slow body": (
        slowly(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", b"a"), UnavailableError, "url_timeout", "0.4 s"
    ),
    "hints for ever": (
        slowly(b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        UnavailableError, "url_timeout", "0.4 s"
    ),
    "loop": (
        reply(b"", "Location: /", status="301 Moved Permanently"), InvalidInputError, "url_not_allowed", "5 times"
    ),
    "404": (reply(b"gone", status="404 Not Found"), InvalidInputError, "url_status", "404"),
    "304": (reply(b"", status="304 Not Modified"), InvalidInputError, "url_status", "304"),
    "no location": (reply(b"", status="302 Found"), InvalidInputError, "url_status", "302"),
    "206": (reply(b"part", status="206 Partial Content"), InvalidInputError, "url_status", "206"),
    "503": (reply(b"busy", status="503 Service Unavailable"), UnavailableError, "url_status", "503"),
    "429": (reply(b"busy", status="429 Too Many Requests"), UnavailableError, "url_status", "429"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_server_is_an_error_that_says_which(fault: str) -> None:
    behaviour, kind, code, words = FAULTS[fault]
    slow = code == "url_timeout"
    with running({"/": behaviour}) as server:
        start = time.monotonic()
        with pytest.raises(kind) as caught:
            get(server, settings=settings_of(seconds=0.4 if slow else 10))
        assert time.monotonic() - start < 3
        assert server.hits == (6 if fault == "loop" else 1)
    assert (caught.value.code, caught.value.param) == (code, "url")
    assert words in caught.value.message
    assert caught.value.retryable == (kind is UnavailableError)


def test_a_resolver_that_hangs_is_not_waited_for() -> None:
    def late(_host: str, _port: int) -> list[str]:
        time.sleep(2)
        return [PUBLIC]

    start = time.monotonic()
    with running() as server, pytest.raises(UnavailableError) as caught:
        get(server, settings=settings_of(seconds=0.2), names=late)
    assert caught.value.code == "url_timeout"
    assert time.monotonic() - start < 1.5


def test_names_without_addresses_and_ports_without_servers() -> None:
    with running() as server, pytest.raises(UnavailableError) as caught:
        get(server, "http://no-such-name.example/")
    assert caught.value.code == "url_unreachable"
    with pytest.raises(UnavailableError) as caught:
        get(server)
    assert caught.value.code == "url_unreachable"


def test_a_handshake_that_never_comes_ends_with_the_deadline() -> None:
    start = time.monotonic()
    with running() as server, pytest.raises(UnavailableError) as caught:
        get(server, "https://public.example/", settings_of(seconds=0.3))
    assert caught.value.code == "url_timeout"
    assert time.monotonic() - start < 2
