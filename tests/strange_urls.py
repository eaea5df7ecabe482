"""URLs that must lead nowhere, the names that their hosts answer to, and a fetch that meets a canary.

Every connection that ``get`` tries, to whichever address, leads to the canary. Only names and the meaning of "connect"
are the tests' own; which addresses are public is the real rule, and no setting changes it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from app.services.fetching import Fetched, _fetch
from app.services.fetching_wire import Wire
from app.settings import Settings
from tests.canary_server import Canary

__all__ = ["MB", "NAMES", "NEVER", "PUBLIC", "PUBLIC_6", "REDIRECTS", "get", "resolve", "settings_of"]

PUBLIC = "93.184.215.14"
PUBLIC_6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
MB = 2**20

#: What names answer; a name that is not here has no address. ``http://2130706433.bad.example`` and its like are as
#: services such as nip.io answer: with whatever the name says.
NAMES: dict[str, list[str]] = {
    "public.example": [PUBLIC],
    "xn--bj0bj06e.kr": [PUBLIC_6, PUBLIC],
    "localhost.localdomain": ["127.0.0.1", "::1"],
    "loopback.example": ["127.0.0.1"],
    "loopback6.example": ["::1"],
    "zero.example": ["0.0.0.0"],
    "zero6.example": ["::"],
    "private-a.example": ["10.0.0.5"],
    "private-b.example": ["172.20.1.1"],
    "private-c.example": ["192.168.1.1"],
    "metadata.example": ["169.254.169.254"],
    "metadata6.example": ["fd00:ec2::254"],
    "metadata.azure.example": ["168.63.129.16"],
    "metadata.alibaba.example": ["100.100.100.200"],
    "metadata.oracle.example": ["192.0.0.192"],
    "carrier.example": ["100.64.3.2"],
    "benchmark.example": ["198.18.0.1"],
    "multicast.example": ["224.0.0.251"],
    "multicast6.example": ["ff0e::fb"],
    "broadcast.example": ["255.255.255.255"],
    "linklocal6.example": ["fe80::1%eth0"],
    "unique-local.example": ["fc00::1"],
    "site-local.example": ["fec0::1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "compatible.example": ["::127.0.0.1"],
    "nat64.example": ["64:ff9b::7f00:1"],
    "six-to-four.example": ["2002:7f00:1::"],
    "teredo.example": ["2001:0:4136:e378:8000:63bf:80ff:fffe"],
    "documentation.example": ["192.0.2.7"],
    "documentation6.example": ["2001:db8::7"],
    # Of several answers the last, the first or the other family's is not public.
    "list-last.example": [PUBLIC, "1.1.1.1", "127.0.0.1"],
    "list-first.example": ["10.0.0.1", PUBLIC],
    "aaaa-private.example": [PUBLIC, "fd12:3456::1"],
    "aaaa-loopback.example": ["::1", PUBLIC],
    "a-private.example": [PUBLIC_6, "192.168.0.9"],
    "127.0.0.1.nip.example": ["127.0.0.1"],
    "7f000001.rbndr.example": ["127.0.0.1"],
    "xn--9n2bp8q.example": ["127.0.0.1"],
}

#: The server's routes that redirect, by path.
REDIRECTS = {
    "/to-loopback": "http://127.0.0.1/",
    "/to-name": "http://loopback.example/",
    "/to-metadata": "http://169.254.169.254/latest/meta-data/",
    "/to-mapped": "http://[::ffff:127.0.0.1]/",
    "/to-relative": "//127.0.0.1/",
    "/to-file": "file:///etc/passwd",
    "/to-gopher": "gopher://public.example/_x",
    "/to-port": "http://public.example:6379/",
    "/to-user": "http://user:password@public.example/",
    "/to-decimal": "http://2130706433/",
    "/to-idn-dots": "http://127。0。0。1/",
    "/twice": "/to-loopback",
}

#: Asked for straight; not one connection may follow.
NEVER = [
    *("http://127.0.0.1/", "https://127.0.0.1/", "http://127.0.0.1:443/", "http://127.1/", "http://127.0.1/"),
    *("http://0/", "http://0.0.0.0/", "http://0.0.0.0:80/", "http://127.0.0.1./", "http://127.0.0.1../"),
    *("http://2130706433/", "http://0x7f000001/", "http://0x7f.0.0.1/", "http://0177.0.0.1/", "http://017700000001/"),
    *("http://127.0.0.01/", "http://0X7F.1/", "http://4294967297/", "http://127.0.0.1.1/", "http://256.0.0.1/"),
    *("http://134744072/", "http://8.8.2056/"),
    *(
        "http://[::1]/",
        "http://[::]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
    ),
    *("http://[::127.0.0.1]/", "http://[64:ff9b::127.0.0.1]/", "http://[2002:7f00:1::]/", "http://[fe80::1%25eth0]/"),
    *("http://[fe80::1]/", "http://[fd00:ec2::254]/", "http://[::1", "http://::1/", "http://[127.0.0.1]/"),
    *("http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "http://172.16.0.1/", "http://192.168.0.1/"),
    *("http://100.100.100.200/", "http://192.0.0.192/", "http://168.63.129.16/", "http://224.0.0.1/"),
    *("http://255.255.255.255/", "http://198.18.0.1/", "http://192.0.2.1/"),
    *("http://localhost/", "http://LOCALHOST./", "http://metadata/"),
    *("http://127。0。0。1/", "http://127．0．0．1/", "http://127｡0｡0｡1/", "http://１２７.0.0.1/", "http://①②⑦.0.0.1/"),
    *("http://%31%32%37.0.0.1/", "http://127%2e0%2e0%2e1/", "http://loopback.example。/", "http://ⓛoopback.example/"),
    *("http://user@public.example/", "http://user:pw@public.example/", "http://public.example@127.0.0.1/"),
    *("http://@public.example/", "http://127.0.0.1#@public.example/", "http://127.0.0.1\\@public.example/"),
    *("http://public.example\\@127.0.0.1/", "http://public.example%00.127.0.0.1/", "http://public.example\t/"),
    *("http://public.example\r\nHost: 127.0.0.1/", "http://public.example\x00/", "http://pub\u00adlic example/"),
    *("http://public.example:22/", "http://public.example:8080/", "http://public.example:0/"),
    *("http://public.example:65616/", "http://public.example:-80/", "http://public.example:８０８０/"),
    *("file:///etc/passwd", "file://127.0.0.1/etc/passwd", "gopher://127.0.0.1:80/_GET", "data:text/plain,안녕"),
    *("ftp://public.example/a", "jar:http://public.example!/", "javascript:alert(1)", "ws://public.example/"),
    *("//public.example/", "/etc/passwd", "public.example", "", "http://", "http:///etc/passwd", "http:127.0.0.1"),
    *(
        "http://./",
        "http://.../",
        "http://-a.example/",
        f"http://{'a' * 64}.example/",
        f"http://public.example/{'a' * 5000}",
    ),
    *("http://xn--a/", "http://\ud800.example/", "http://exa℀mple.com/", "dict://127.0.0.1:11211/stat"),
    *(f"http://{name}/" for name in NAMES if name not in ("public.example", "xn--bj0bj06e.kr")),
]


def resolve(host: str, _port: int) -> list[str]:
    if host not in NAMES:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")
    return NAMES[host]


def settings_of(*, seconds: float = 10, megabytes: int = 1, on: bool = True) -> Settings:
    return Settings(url_documents=on, url_timeout_s=seconds, url_max_mb=megabytes)


def get(
    server: Canary,
    url: str = "http://public.example/",
    settings: Settings | None = None,
    names: Callable[[str, int], list[str]] = resolve,
) -> Fetched:
    return _fetch(url, settings or settings_of(), Wire(resolve=names, connect=server.reach))
