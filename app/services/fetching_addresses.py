"""Which URLs may be asked for, and which addresses are public.

Knows nothing of sockets; whoever connects asks ``is_public`` of the very address that it connects to. Use::

    url = allowed_url("https://한글.kr/설명서.pdf")
    is_public(ip_address("192.0.2.1"))  # False
"""

from __future__ import annotations

import re
import unicodedata
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from urllib.parse import urlsplit, urlunsplit

import httpx

from corpora.errors import InvalidInputError

__all__ = ["allowed_url", "is_public", "not_allowed"]

MAX_URL = 4096
PORTS = (80, 443)
#: What is not public, by the IANA registries of special-purpose addresses. ``is_global`` of Python 3.11 lets pass:
#: multicast, most of 192.0.0.0/24 (the metadata service of one cloud is in it) and 192.88.99.0/24.
_NOT_PUBLIC_4 = tuple(
    IPv4Network(net)
    for net in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        # Public by the registry, yet inside Azure it is the host of the virtual machine.
        "168.63.129.16/32",
    )
)
#: Global unicast is this and nothing else. So v4-mapped and v4-compatible addresses, NAT64 (64:ff9b::/96), link-local,
#: unique local and multicast fall out; Python 3.11 holds v4-compatible, NAT64 and multicast for global.
_GLOBAL_6 = IPv6Network("2000::/3")
#: Special within it: protocols and Teredo, documentation twice, 6to4, the 6bone that was given back.
_NOT_PUBLIC_6 = tuple(IPv6Network(net) for net in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "3ffe::/16"))
#: Interface identifiers of ISATAP, which carry an IPv4 address through a tunnel.
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
#: By the URL standard a host that ends so is an IPv4 address in one of its many spellings.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether the address is that of some machine on the internet, not of this one, its network or its cloud."""
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in net for net in _NOT_PUBLIC_4)
    return (
        address in _GLOBAL_6
        and address.is_global
        and address.scope_id is None
        and not any(address in net for net in _NOT_PUBLIC_6)
        and (int(address) >> 32) & 0xFFFFFFFF not in _ISATAP
    )


def not_allowed(why: str) -> InvalidInputError:
    """``url_not_allowed`` with its reason, which never tells an address."""
    return InvalidInputError(
        f"The URL is not allowed: {why}.",
        param="url",
        code="url_not_allowed",
        hint="Send an http or https URL of a public site, or upload the file.",
    )


def allowed_url(url: str) -> httpx.URL:
    """The URL as it will be asked for: IDN as ASCII, no fragment, no trailing dot of the host.

    Raises:
        InvalidInputError: ``url_not_allowed``: another scheme or port, user names, a host that is no name and no plain
            address. Whether its addresses are public shows when it is connected to.
    """
    text = url.strip()
    if len(text) > MAX_URL or "\\" in text or any(unicodedata.category(c) in ("Cc", "Cs") for c in text):
        raise not_allowed(f"it has more than {MAX_URL} characters, a backslash or control characters")
    try:
        split = urlsplit(text)
        # As browsers do: full-width letters and decomposed Hangul are the same host.
        host = unicodedata.normalize("NFKC", split.netloc)
        parsed = httpx.URL(urlunsplit(split._replace(netloc=host, fragment="")))
        _ = parsed.host  # decodes punycode, which may be none
    except (ValueError, httpx.InvalidURL) as exc:
        raise not_allowed("it is not well formed") from exc
    if parsed.scheme not in ("http", "https"):
        raise not_allowed("its scheme is neither http nor https")
    if "@" in split.netloc or parsed.userinfo:
        raise not_allowed("it holds a user name")
    if parsed.port is not None and parsed.port not in PORTS:
        raise not_allowed("its port is neither 80 nor 443")
    plain = _host(parsed.raw_host.decode("ascii"))
    return parsed if plain == parsed.raw_host.decode("ascii") else parsed.copy_with(host=plain)


def _host(host: str) -> str:
    if ":" in host:
        try:
            address = IPv6Address(host)
        except ValueError as exc:
            raise not_allowed("its host is no address") from exc
        if address.scope_id is not None:
            raise not_allowed("its host names a network interface")
        return str(address)
    host = host.removesuffix(".")
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise not_allowed("its host is no host name")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            IPv4Address(host)
        except ValueError as exc:
            raise not_allowed("its host is an unusual spelling of an address") from exc
    elif len(labels) == 1:
        raise not_allowed("its host has no dot, so it is a name of this network")
    return host
