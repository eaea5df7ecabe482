"""Bytes to text: every encoding that Korean files come in, and an error for bytes that are no text."""

from __future__ import annotations

import codecs
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import UnreadableDocumentError
from corpora.readers import read_document

TEXT = "# 입고 예정\n\n차량이 도착하면 ASN을 조회합니다.\n"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (TEXT.encode(), "utf-8"),
        (codecs.BOM_UTF8 + TEXT.encode(), "utf-8-sig"),
        (codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"), "utf-16"),
        (codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), "utf-16"),
        (codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"), "utf-32"),
        (TEXT.encode("cp949"), "cp949"),
        (TEXT.replace("\n", "\r\n").encode(), "utf-8"),
        (unicodedata.normalize("NFD", TEXT).encode(), "utf-8"),
    ],
)
def test_one_text_in_every_encoding(data: bytes, encoding: str) -> None:
    document = read_document(data, "입고.md")
    assert document.text == TEXT
    assert document.encoding == encoding
    assert document.title == "입고 예정"
    assert document.media_type == "text/markdown"


def test_cp949_knows_syllables_outside_of_euc_kr() -> None:
    assert read_document("똠방각하 펲시콜라 재고".encode("cp949"), "재고.txt").text == "똠방각하 펲시콜라 재고"


def test_cp949_is_said_aloud() -> None:
    assert "CP949" in read_document(TEXT.encode("cp949"), "입고.md").warnings[0]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty_file"),
        (b" \n\t ", "empty_file"),
        (codecs.BOM_UTF8, "empty_file"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "undecodable_text"),
        (b"\xff\xfe\x00", "undecodable_text"),
        (bytes(range(128, 256)) * 4, "undecodable_text"),
        ("입고".encode() + b"\xff\xff\xff", "undecodable_text"),
        ("입고\x00출고".encode(), "undecodable_text"),
    ],
)
def test_bytes_that_are_no_text(data: bytes, code: str) -> None:
    with pytest.raises(UnreadableDocumentError) as caught:
        read_document(data, "자료.txt")
    assert caught.value.code == code
    assert "자료.txt" in caught.value.message


def test_a_format_that_is_not_read_is_named() -> None:
    with pytest.raises(UnreadableDocumentError) as caught:
        read_document(b"x", "자료.xyz")
    assert caught.value.code == "unsupported_format"
    assert ".md" in caught.value.message


def test_a_name_without_suffix_goes_by_its_media_type() -> None:
    assert read_document(TEXT.encode(), "입고", "text/markdown; charset=utf-8").media_type == "text/markdown"


def test_plain_text_takes_its_first_line_as_title_when_that_is_short() -> None:
    assert read_document("출고 지침\n본문".encode(), "a.txt").title == "출고 지침"
    assert read_document(("가" * 200).encode(), "지침서.txt").title == "지침서"


@given(st.text(alphabet=st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1, max_size=80))
def test_any_utf8_text_comes_back_in_nfc(text: str) -> None:
    if not text.lstrip("\ufeff").strip():
        return
    read = read_document(text.encode(), "a.txt").text
    assert read == unicodedata.normalize("NFC", text.lstrip("\ufeff"))
