"""Documents in a process with limits: what is read is what the reader reads, and what breaks it is told."""

from __future__ import annotations

import errno
import resource
import socket
import subprocess
import sys

import pytest

from app.services import parsing
from app.services.parsing import parse_document
from corpora.errors import UnreadableDocumentError
from corpora.readers import read_document

HTML = "<html><body><h1>입고 검수</h1><p>파손품은 B-03 구역에 둡니다.</p></body></html>"


def test_a_document_comes_back_as_its_reader_makes_it() -> None:
    data = HTML.encode()
    assert parse_document(data, "입고.html") == read_document(data, "입고.html")
    assert parse_document("# 입고\n".encode(), "입고.md") == read_document("# 입고\n".encode(), "입고.md")


def test_what_a_reader_refuses_is_refused_with_its_code() -> None:
    for name, data in (("빈.html", b""), ("깨진.pdf", b"%PDF-1.7 nothing"), ("모름.bin", b"x")):
        with pytest.raises(UnreadableDocumentError) as direct:
            read_document(data, name)
        with pytest.raises(UnreadableDocumentError) as caught:
            parse_document(data, name)
        assert (caught.value.code, caught.value.message) == (direct.value.code, direct.value.message)


def test_limits_are_told_apart_and_the_service_does_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    long = f"<html><body>{'<p>파손품은 B-03 구역에 둡니다.</p>' * 150_000}</body></html>".encode()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with monkeypatch.context() as patch:
        patch.setattr(parsing, "MEMORY_BYTES", 80 << 20)
        with pytest.raises(UnreadableDocumentError) as caught:
            parse_document(long, "큰.html")
        assert caught.value.code in ("document_too_large", "parser_crashed", "damaged_file")
    with monkeypatch.context() as patch:
        patch.setattr(parsing, "WALL_SECONDS", 0.05)
        with pytest.raises(UnreadableDocumentError) as caught:
            parse_document(long, "느린.html")
        assert caught.value.code == "parser_timeout"
    with monkeypatch.context() as patch:
        patch.setattr(parsing, "OUTPUT_BYTES", 1000)
        with pytest.raises(UnreadableDocumentError) as caught:
            parse_document(long, "많은.html")
        assert caught.value.code == "document_too_large"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100 * 1024  # KiB


def test_a_parser_reaches_nobody() -> None:
    """Not even what listens on this machine: native code has sockets of its own."""
    script = (
        "import socket, sys\n"
        "from corpora.readers.__main__ import leave_network\n"
        "if not leave_network():\n"
        "    sys.exit(77)\n"
        "try:\n"
        "    socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=2)\n"
        "except OSError as exc:\n"
        "    print(exc.errno)\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        command = [sys.executable, "-c", script, port]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if ended.returncode == 77:
            pytest.skip("this kernel lets nobody have a network of its own")
        assert ended.returncode == 0, ended.stderr
        assert int(ended.stdout) == errno.ENETUNREACH
