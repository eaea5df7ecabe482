"""Which addresses are public, which URLs are well formed, and what a connection may be made to."""

from __future__ import annotations

import unicodedata
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.fetching_addresses import allowed_url, is_public
from app.services.fetching_wire import Deadline, PinnedBackend, Wire
from corpora.errors import InvalidInputError, UnavailableError

#: The host of a public site, by IPv4 and IPv6.
PUBLIC = ("93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c")


@pytest.mark.parametrize("address", [*PUBLIC, "1.1.1.1", "8.8.8.8", "203.248.252.2", "2001:4860:4860::8888", "2a00::1"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254"),
        *("169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.0.192", "192.0.2.1", "192.88.99.1"),
        *("192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255"),
        *("240.0.0.1", "255.255.255.255", "168.63.129.16"),
        *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:8.8.8.8", "64:ff9b::7f00:1"),
        *("64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:808:808::1", "2001:2::1", "2001:10::1"),
        *("2001:20::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::1", "3fff::1", "3ffe::1", "5f00::1"),
        *("fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "2a00::1%eth0", "fec0::1", "ff02::1", "ff0e::1"),
        *("2a00::5efe:7f00:1", "2a00::200:5efe:a00:1", "4000::1", "e000::1"),
    ],
)
def test_addresses_of_this_machine_of_networks_and_of_tunnels_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


ADDRESSES = st.one_of(
    st.ip_addresses(),
    # Loopback, private and mapped addresses are rare among all; here they are half.
    st.ip_addresses(network="10.0.0.0/8"),
    st.ip_addresses(network="127.0.0.0/8"),
    st.ip_addresses(network="172.16.0.0/12"),
    st.ip_addresses(network="::ffff:0:0/96"),
    st.ip_addresses(network="2002::/16"),
    st.ip_addresses(network="fc00::/7"),
)


def _not_for_us(address: IPv4Address | IPv6Address) -> bool:
    inner = address
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or address
    return any(
        one.is_private or one.is_loopback or one.is_link_local or one.is_multicast or one.is_reserved
        for one in (address, inner)
    )


@given(st.lists(ADDRESSES, min_size=1, max_size=6))
def test_no_private_address_is_ever_connected_to(addresses: list[IPv4Address | IPv6Address]) -> None:
    met: list[str] = []

    def connect(address: str, port: int, timeout: float) -> httpcore.NetworkStream:
        met.append(address)
        assert (port, timeout) == (443, 10.0)
        raise httpcore.ConnectError("nobody is there")

    wire = Wire(resolve=lambda _host, _port: [str(address) for address in addresses], connect=connect)
    with pytest.raises((InvalidInputError, httpcore.ConnectError)):
        PinnedBackend(wire, Deadline(60)).connect_tcp("문서.example", 443)
    assert not any(_not_for_us(ip_address(one)) for one in met)
    if any(_not_for_us(address) for address in addresses):
        assert met == []
    # One list, one order: what is connected to was in the answer, and is tried in turn.
    assert met in ([], [str(address) for address in addresses])


def test_the_first_address_that_takes_the_connection_is_used() -> None:
    met: list[str] = []

    def connect(address: str, _port: int, _timeout: float) -> httpcore.NetworkStream:
        met.append(address)
        if address == PUBLIC[0]:
            raise httpcore.ConnectTimeout
        return httpcore.MockStream([])

    wire = Wire(resolve=lambda _host, _port: [*PUBLIC, "1.1.1.1"], connect=connect)
    PinnedBackend(wire, Deadline(60)).connect_tcp("문서.example", 80)
    assert met == list(PUBLIC[:2])


@pytest.mark.parametrize("answer", [[], OSError("no such name"), UnicodeError("label too long")])
def test_a_name_without_addresses_is_unreachable(answer: list[str] | Exception) -> None:
    def resolve(_host: str, _port: int) -> list[str]:
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(UnavailableError, match="has no address") as caught:
        PinnedBackend(Wire(resolve=resolve), Deadline(60)).connect_tcp("없는곳.example", 80)
    assert caught.value.code == "url_unreachable"


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        (
            "http://한글.kr/설명서 1.pdf?쪽=2#끝",
            "http://xn--bj0bj06e.kr/%EC%84%A4%EB%AA%85%EC%84%9C%201.pdf?%EC%AA%BD=2",
        ),
        (unicodedata.normalize("NFD", "https://한글.kr/"), "https://xn--bj0bj06e.kr/"),
        ("https://한글。KR/", "https://xn--bj0bj06e.kr/"),
        ("https://xn--bj0bj06e.kr:443/", "https://xn--bj0bj06e.kr/"),
        ("HTTP://EXAMPLE.com.:80/a/../b", "http://example.com/b"),
        (" https://example.com/a%20b%2Fc ", "https://example.com/a%20b%2Fc"),
        ("http://example.com:443/", "http://example.com:443/"),
        ("https://my_app.example.com", "https://my_app.example.com"),
        ("http://[2606:2800:21F::1]/", "http://[2606:2800:21f::1]/"),
        ("http://8.8.8.8/", "http://8.8.8.8/"),
    ],
)
def test_a_url_is_asked_for_in_ascii_without_its_fragment(url: str, asked: str) -> None:
    assert str(allowed_url(url)) == asked


@given(st.text(max_size=60) | st.from_regex(r"https?://[^/]{0,30}(/.{0,10})?"))
def test_any_text_at_all_is_a_url_or_not_allowed(text: str) -> None:
    try:
        url = allowed_url(text)
    except InvalidInputError as exc:
        if exc.code != "url_not_allowed":
            raise
        return
    assert url.scheme in ("http", "https")
    assert url.port in (None, 80, 443)
    assert not url.userinfo
    assert not url.fragment
    assert str(url).isascii()
    # What was checked is what would be checked again: no second meaning.
    assert str(allowed_url(str(url))) == str(url)
