"""Files that must not become documents: each is refused for its own reason, and quickly."""

from __future__ import annotations

import io
import json
import zipfile

import docx
import openpyxl  # type: ignore[import-untyped]
import pytest

from corpora.errors import UnreadableDocumentError
from corpora.readers import limits, read_document
from tests import fixture_writer as manual
from tests.fixture_hwp import compound_file, hwp_of
from tests.fixture_pdf import pdf_of

LAUGHS = '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ㅋㅋㅋㅋ"><!ENTITY b "&a;&a;&a;&a;">]><l>&b;</l>'


def refused(data: bytes, name: str) -> UnreadableDocumentError:
    with pytest.raises(UnreadableDocumentError) as caught:
        read_document(data, name)
    assert name in caught.value.message
    return caught.value


def replaced(suffix: str, members: dict[str, bytes | str]) -> bytes:
    """A file of the manual with other members."""
    with zipfile.ZipFile(io.BytesIO(manual.WRITERS[suffix]())) as archive:
        kept: dict[str, bytes | str] = {name: archive.read(name) for name in archive.namelist()}
    return manual.zipped({**kept, **members})


EMPTY = {
    ".docx": manual.saved(docx.Document()),
    ".xlsx": manual.saved(openpyxl.Workbook()),
    ".pptx": manual.zipped({"ppt/presentation.xml": "<a/>"}),
    ".pdf": pdf_of([[], []]),
    ".hwp": hwp_of([(0, ""), (0, " ")]),
    ".hwpx": manual.hwpx_bytes(section='<hp:p id="0"><hp:run><hp:t></hp:t></hp:run></hp:p>'),
    ".html": "<html><body><nav>첫 화면</nav><script>var 글;</script></body></html>".encode(),
    ".csv": b",,\n,,\n",
    ".json": b"[]",
    ".jsonl": '{"번호": 1}\n'.encode(),
    ".zip": manual.zipped({}),
    ".md": b"---\ntitle: x\n---\n\n<!-- y -->\n",
}


@pytest.mark.parametrize("suffix", sorted(EMPTY))
def test_no_text_is_no_success(suffix: str) -> None:
    error = refused(EMPTY[suffix], f"빈 문서{suffix}")
    assert error.code == "no_text"


def test_pictures_of_pages_are_scanned() -> None:
    error = refused(pdf_of([[], [], []], picture=True), "스캔.pdf")
    assert error.code == "scanned"
    assert "3 pages" in error.message
    assert "OCR" in error.message


def test_some_pages_without_text_are_told() -> None:
    words = [(60.0, 700.0, 10.0, "글이 있는 쪽입니다.")]
    document = read_document(pdf_of([words, [], [], words, []], picture=True), "반쯤.pdf")
    assert document.warnings == ("Pages without text, empty or scanned: 2-3, 5.",)


def encrypted_zip() -> bytes:
    data = bytearray(manual.zipped({"a.md": "글"}))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1
    return bytes(data)


LOCKED = compound_file(
    {"EncryptionInfo": b"\4" * 4096, "EncryptedPackage": b"\0" * 4096},
)
PDF_LOCK = b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >> /ID [<00> <00>] /Root" % (
    b"41" * 32,
    b"42" * 32,
)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("잠김.docx", LOCKED),
        ("잠김.xlsx", LOCKED),
        ("잠김.pptx", LOCKED),
        ("잠김.pdf", manual.pdf_bytes().replace(b"/Root", PDF_LOCK)),
        ("잠김.hwp", hwp_of([(0, "글")], flags=2)),
        ("잠김.hwpx", replaced(".hwpx", {"META-INF/manifest.xml": "<m><encryption-data/></m>"})),
        ("잠김.zip", encrypted_zip()),
    ],
)
def test_passwords(name: str, data: bytes) -> None:
    error = refused(data, name)
    assert error.code == "encrypted"
    assert "password" in error.message


@pytest.mark.parametrize(
    ("suffix", "member"),
    [
        (".docx", "word/document.xml"),
        (".xlsx", "xl/worksheets/sheet1.xml"),
        (".pptx", "ppt/slides/slide1.xml"),
        (".hwpx", "Contents/section0.xml"),
    ],
)
def test_xml_bombs(suffix: str, member: str) -> None:
    for bomb in (LAUGHS.encode(), LAUGHS.encode("utf-16")):
        error = refused(replaced(suffix, {member: bomb}), f"폭탄{suffix}")
        assert error.code == "unsafe_xml"
        assert member in error.message


@pytest.mark.parametrize("suffix", [".docx", ".xlsx", ".pptx", ".hwpx", ".zip"])
def test_zip_bombs(suffix: str) -> None:
    bomb = replaced(suffix, {"큰것.xml": b" " * 20_000_000})
    assert len(bomb) < 200_000
    error = refused(bomb, f"폭탄{suffix}")
    assert error.code == "document_too_large"
    assert "zip bomb" in error.message


def test_zips_of_many_members_and_many_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = manual.zipped({"속.md": "# 속\n\n글입니다."})
    once = manual.zipped({"한겹.zip": inner})
    assert "# 속" in read_document(once, "두겹.zip").text
    assert refused(manual.zipped({"세겹.zip": once}), "깊이.zip").code == "document_too_large"
    monkeypatch.setattr(limits, "MAX_MEMBERS", 3)
    assert refused(manual.zipped({f"{n}.md": "글" for n in range(4)}), "많음.zip").code == "document_too_large"


def test_nested_elements_do_not_exhaust_the_stack() -> None:
    deep = "<div>" * 100_000 + "글입니다" + "</div>" * 100_000
    assert refused(deep.encode(), "깊은.html").code in ("document_too_large", "no_text")
    assert refused(("[" * 200_000).encode(), "깊은.json").code == "damaged_file"
    cells = '<a:tbl xmlns:a="x">' * 5000
    assert refused(replaced(".pptx", {"ppt/slides/slide1.xml": cells}), "깊은.pptx").code == "damaged_file"


def test_a_million_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    page = manual.pdf_bytes()
    start = page.index(b"/Kids [") + 7
    first = page[start : page.index(b"]", start)].split(b" R")[0] + b" R "
    many = page[:start] + first * 1_000_000 + page[page.index(b"]", start) :]
    many = many.replace(b"/Count 3", b"/Count 1000000")
    error = refused(many, "백만.pdf")
    assert error.code == "document_too_large"
    assert f"{limits.MAX_PAGES:,}" in error.message


@pytest.mark.parametrize("reference", ["XFD1", "A1048576", "XFD1048576"])
def test_a_sheet_that_claims_to_be_huge(reference: str) -> None:
    sheet = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        f'<dimension ref="A1:{reference}"/><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>품목</t></is></c></row>'
        "</sheetData></worksheet>"
    )
    assert "품목" in read_document(replaced(".xlsx", {"xl/worksheets/sheet1.xml": sheet}), "큰표.xlsx").text


def test_spans_beyond_reason_are_cut() -> None:
    wide = "<table><tr><td colspan='999999' rowspan='999999'>넓다</td></tr><tr><td>칸</td></tr></table>"
    assert refused((wide * 3000).encode(), "넓은.html").code == "document_too_large"


def test_old_formats_say_what_to_save() -> None:
    old = compound_file({"WordDocument": b"\0" * 4096})
    assert ".docx" in refused(old, "옛날.docx").message
    assert refused(old, "옛날.docx").code == "unsupported_format"
    assert ".docx" in refused(old, "옛날.doc").message
    assert ".xlsx" in refused(old, "옛날.xls").message
    assert refused(old, "옛날.hwp").code == "damaged_file"


def test_rows_of_a_dataset_are_no_document() -> None:
    row = json.dumps({"messages": [{"role": "user", "content": "안녕"}]}, ensure_ascii=False)
    assert "import" in refused(row.encode(), "학습.jsonl").message


def test_names_are_never_paths() -> None:
    for name in ("../../etc/passwd.md", "글\0.md", "/절대/경로.md", "가" * 1500 + ".md"):
        assert read_document("# 제목\n\n글".encode(), name).title == "제목"
    nameless = read_document("가".encode() * 200, "../../\ud800글.txt")
    assert nameless.title == "글"
    nameless.title.encode()


def test_a_cut_pdf_says_so() -> None:
    whole = manual.pdf_bytes()
    document = read_document(whole[: -len("%%EOF\n")], "잘림.pdf")
    assert "cut short" in document.warnings[0]
    assert refused(whole[:-60], "잘림.pdf").code == "damaged_file"


def test_surrogates_and_controls_are_left_out_aloud() -> None:
    document = read_document(b'["\\ud83d\\ude00 \\uae00\\ud800\\u0000\\u0007 \\u1100\\u1161"]', "글.json")
    assert document.text == "😀 글 가\n"
    assert document.warnings == ("3 control characters or broken surrogates were left out.",)
