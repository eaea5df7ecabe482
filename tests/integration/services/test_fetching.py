"""URLs of strangers against a real server: what must never be reached is not, and names survive the way."""

from __future__ import annotations

import gzip
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services.fetching import _fetch, fetch
from app.services.fetching_wire import Wire
from app.settings import Settings
from corpora.errors import InvalidInputError, UnavailableError
from corpora.readers import read_document
from tests.canary_server import Canary, reply, running
from tests.strange_urls import NAMES, NEVER, PUBLIC, PUBLIC_6, REDIRECTS, get, resolve, settings_of

TEXT = "냉장 창고의 온도는 하루 두 번 기록합니다.\n"


@pytest.fixture(scope="module")
def canary() -> Iterator[Canary]:
    routes = {path: reply(b"", f"Location: {to}", status="302 Found") for path, to in REDIRECTS.items()}
    with running(routes) as server:
        yield server


@pytest.mark.parametrize("url", NEVER)
def test_nothing_is_reached_that_is_not_public(canary: Canary, url: str) -> None:
    before = canary.hits, len(canary.meant)
    with pytest.raises(InvalidInputError) as caught:
        get(canary, url)
    assert caught.value.code == "url_not_allowed"
    assert (canary.hits, len(canary.meant)) == before
    # What a name of an inner network means is not told.
    host = url[7:-1]
    assert not any(address in caught.value.message.replace(host, "") for address in NAMES.get(host, []))


def test_the_canary_would_have_sung(canary: Canary) -> None:
    before = canary.hits
    found = get(canary, "http://한글.kr/안내?쪽=1#끝")
    assert (found.data, canary.hits, canary.meant[-1]) == (b"canary", before + 1, (PUBLIC_6, 80))
    assert found.url == "http://xn--bj0bj06e.kr/%EC%95%88%EB%82%B4?%EC%AA%BD=1"
    said = canary.requests[-1]
    assert said.startswith("GET /%EC%95%88%EB%82%B4?%EC%AA%BD=1 HTTP/1.1\r\nHost: xn--bj0bj06e.kr\r\n")
    assert not any(word in said.lower() for word in ("cookie", "authorization", "referer"))
    assert len(set(NEVER)) == len(NEVER) >= 60


@pytest.mark.parametrize("path", REDIRECTS)
def test_every_redirect_is_checked_again(canary: Canary, path: str) -> None:
    before, meant = canary.hits, len(canary.meant)
    with pytest.raises(InvalidInputError) as caught:
        get(canary, f"http://public.example{path}")
    assert caught.value.code == "url_not_allowed"
    # The public server is asked, once for each of its own pages, and nothing else is.
    assert canary.hits == before + (2 if path == "/twice" else 1)
    assert {address for address, _ in canary.meant[meant:]} == {PUBLIC}


def test_a_name_is_resolved_once_for_one_connection() -> None:
    asked: list[str] = []

    def flips(host: str, _port: int) -> list[str]:
        asked.append(host)
        return [PUBLIC] if len(asked) % 2 else ["127.0.0.1"]

    with running({"/again": reply(b"", "Location: /secret", status="307 Temporary Redirect")}) as server:
        assert get(server, "http://rebinding.example/", names=flips).data == b"canary"
        assert (len(asked), server.meant) == (1, [(PUBLIC, 80)])
        # The other way round, and once more at a redirect to the same name: checked again, refused.
        with pytest.raises(InvalidInputError):
            get(server, "http://rebinding.example/", names=flips)
        with pytest.raises(InvalidInputError):
            get(server, "http://rebinding.example/again", names=flips)
        assert (len(asked), len(server.meant), server.hits) == (4, 2, 2)


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch, canary: Canary) -> None:
    with running() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert get(canary).data == b"canary"
        assert proxy.hits == 0


def test_off_unless_it_is_switched_on(canary: Canary) -> None:
    before = canary.hits
    assert not Settings().url_documents
    with pytest.raises(InvalidInputError) as caught:
        get(canary, settings=settings_of(on=False))
    assert (caught.value.code, canary.hits) == ("url_documents_disabled", before)
    assert "URL_DOCUMENTS" in caught.value.hint
    with pytest.raises(InvalidInputError) as caught:
        fetch("http://127.0.0.1/", settings_of())
    assert caught.value.code == "url_not_allowed"


def test_a_document_arrives_with_its_name_over_redirects() -> None:
    moved = reply(b"", "Location: /files/%BC%B3%B8%ED%BC%AD.txt", status="301 Moved Permanently")
    raw = reply(b"", "Location: /files/\udcbc\udcb3.txt", status="308 Permanent Redirect")
    text = reply(TEXT.encode("cp949"), "Content-Type: text/plain; charset=EUC-KR")
    page = reply(gzip.compress(TEXT.encode()), "Content-Encoding: gzip", "Content-Type: text/markdown")
    routes = {
        "/old": moved,
        "/raw": raw,
        "/files/%BC%B3%B8%ED%BC%AD.txt": text,
        "/page": page,
        "/files/%BC%B3.txt": text,
    }
    with running(routes) as server:
        found = get(server, "http://public.example/old#1")
        assert (found.name, found.media_type, found.charset) == ("설명서.txt", "text/plain", "euc-kr")
        assert found.url == "http://public.example/files/%BC%B3%B8%ED%BC%AD.txt"
        assert read_document(found.data, found.name).text == TEXT
        assert get(server, "http://public.example/raw").name == "설.txt"
        packed = get(server, "http://public.example/page")
        assert (packed.name, packed.data.decode()) == ("page.md", TEXT)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority of our own and a certificate of ``public.example`` by it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed; it makes the certificates")
    folder = tmp_path_factory.mktemp("authority")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    make = [openssl, "req", "-x509", *key]
    root = [*make, "-subj", "/CN=Test Authority", "-keyout", "ca.key", "-out", "ca.pem"]
    names = ["-addext", "subjectAltName=DNS:public.example", "-addext", "basicConstraints=critical,CA:FALSE"]
    leaf = [*make, "-subj", "/CN=x", *names, "-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "a.key", "-out", "a.pem"]
    for command in (root, leaf):
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=30)
    return folder


def test_the_certificate_is_checked_against_the_name_and_not_the_address(authority: Path) -> None:
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(authority / "a.pem", authority / "a.key")
    asked: list[str | None] = []
    theirs.sni_callback = lambda _socket, name, _context: asked.append(name)

    def ours() -> ssl.SSLContext:
        return ssl.create_default_context(cafile=authority / "ca.pem")

    def dripping(line: socket.socket) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")
        for _ in range(60):
            line.sendall(b"a")
            time.sleep(0.05)

    with running({"/drip": dripping}, theirs) as server:
        trusting = Wire(resolve=resolve, connect=server.reach, trust=ours)
        assert _fetch("https://public.example/", settings_of(), trusting).data == b"canary"
        assert (server.meant, asked) == ([(PUBLIC, 443)], ["public.example"])
        assert "Host: public.example\r\n" in server.requests[0]
        said = len(server.requests)
        for url, wire in (
            ("https://한글.kr/", trusting),  # another name at the same server
            (f"https://{PUBLIC}/", trusting),  # no name at all
            ("https://public.example/", Wire(resolve=resolve, connect=server.reach)),  # an authority of nobody
        ):
            with pytest.raises(UnavailableError, match=r"(?i)certificate") as caught:
                _fetch(url, settings_of(), wire)
            assert caught.value.code == "url_unreachable"
        assert len(server.requests) == said
        with pytest.raises(UnavailableError) as caught:
            _fetch("https://public.example/drip", settings_of(seconds=0.4), trusting)
        assert caught.value.code == "url_timeout"
