"""What a downloaded file is called, by headers as Korean servers send them."""

from __future__ import annotations

import unicodedata

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.fetching_names import MAX_NAME_BYTES, charset_of, file_name, media_type_of
from corpora.readers import READERS

URL = httpx.URL("https://xn--bj0bj06e.kr/board/download.do?id=7")


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (b"attachment; filename=\"a.hwp\"; filename*=UTF-8''%EC%84%A4%EB%AA%85%EC%84%9C.hwp", "설명서.hwp"),
        (b"attachment; filename*=euc-kr'ko'%BC%B3%B8%ED%BC%AD.hwp", "설명서.hwp"),
        (b"attachment; filename*=nope''%FF.hwp; filename=b.hwp", "b.hwp"),
        ('attachment; filename="설명서 (최종).hwp"'.encode(), "설명서 (최종).hwp"),
        ('attachment; filename="설명서.hwp"'.encode("cp949"), "설명서.hwp"),
        (b'attachment;FileName="%EC%84%A4%EB%AA%85%EC%84%9C.hwp";', "설명서.hwp"),
        (b'attachment; filename="=?UTF-8?B?7ISk66qF7IScLmh3cA==?="', "설명서.hwp"),
        (f'attachment; filename="{unicodedata.normalize("NFD", "설명서.hwp")}"'.encode(), "설명서.hwp"),
        (b'attachment; filename="..\\\\..\\\\etc\\\\x.hwp"', "x.hwp"),
        (b'attachment; filename="../../x.hwp"', "x.hwp"),
        (b"attachment; filename*=UTF-8''..%2F..%2Fx.hwp", "x.hwp"),
        ('attachment; filename="a\u202egpj.hwp"'.encode(), "agpj.hwp"),
        (b'attachment; filename="say \\"hi\\".hwp"', 'say "hi".hwp'),
        (b"attachment; filename=100%.hwp", "100%.hwp"),
    ],
)
def test_the_name_that_the_server_gives(header: bytes, name: str) -> None:
    # A servlet that says HTML about its attachments is common; the name wins.
    assert file_name(URL, "text/html", header) == name
    assert file_name(URL, "application/octet-stream", header) == name


@pytest.mark.parametrize(
    ("url", "media_type", "name"),
    [
        ("http://a.kr/%EC%84%A4%EB%AA%85%EC%84%9C.pdf?x=/y.md", "application/pdf", "설명서.pdf"),
        ("http://a.kr/%BC%B3%B8%ED%BC%AD.hwp", "application/octet-stream", "설명서.hwp"),
        ("http://a.kr/README.md", "text/plain", "README.md"),
        ("http://a.kr/view.do", "text/html", "view.do.html"),
        ("http://a.kr/manual.pdf", "text/html", "manual.pdf.html"),
        ("http://a.kr/manual.html", "application/xhtml+xml", "manual.html"),
        ("http://a.kr/form.hwpx", "application/zip", "form.hwpx"),
        ("http://a.kr/form", "application/x-hwp", "form.hwp"),
        ("http://xn--bj0bj06e.kr/", "text/html", "한글.kr.html"),
        ("http://a.kr/folder/", None, "a.kr"),
        ("http://a.kr/..%2f..%2fetc%2fpasswd", None, "passwd"),
        ("http://a.kr/photo.png", "image/png", "photo.png"),
    ],
)
def test_the_name_that_the_url_gives(url: str, media_type: str | None, name: str) -> None:
    assert file_name(httpx.URL(url), media_type, b"") == name


@given(st.binary(max_size=300), st.sampled_from([None, "text/html", "application/pdf", "text/plain"]))
def test_no_header_gives_a_name_that_is_a_path(raw: bytes, media_type: str | None) -> None:
    for header in (raw, b'attachment; filename="' + raw + b'"', b"attachment; filename*=UTF-8''" + raw):
        name = file_name(URL, media_type, header)
        assert name
        assert 0 < len(name.encode()) <= MAX_NAME_BYTES
        assert not any(c in name for c in "/\\\0\r\n")
        assert name == unicodedata.normalize("NFC", name)
        if media_type is not None:
            assert any(name.lower().endswith(suffix) for suffix in READERS)


def test_a_long_name_keeps_its_suffix() -> None:
    url = httpx.URL("http://a.kr/" + "가" * 400 + ".hwp")
    assert file_name(url, None, b"") == "가" * 83 + ".hwp"


@pytest.mark.parametrize(
    ("header", "media_type", "charset"),
    [
        ("Text/HTML; Charset=\"EUC-KR\"", "text/html", "euc-kr"),
        ("text/plain;charset=utf-8", "text/plain", "utf-8"),
        ("application/pdf", "application/pdf", None),
        ("nonsense", None, None),
        ("", None, None),
    ],
)  # fmt: skip
def test_media_type_and_charset(header: str, media_type: str | None, charset: str | None) -> None:
    assert (media_type_of(header), charset_of(header)) == (media_type, charset)
