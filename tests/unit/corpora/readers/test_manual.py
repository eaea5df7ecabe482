"""One Korean manual in every format comes back with the same headings, steps, cells and note."""

from __future__ import annotations

import unicodedata

import pytest

from corpora.markdown import blocks
from corpora.readers import READERS, ReadDocument, read_document
from tests import fixture_writer as manual

#: Formats that hold the whole manual; the others hold its table or its texts.
WHOLE = (".md", ".html", ".docx", ".pptx", ".pdf", ".hwp", ".hwpx")
ROWS = [f"| {' | '.join(row)} |" for row in manual.TABLE]


def read(suffix: str) -> ReadDocument:
    return read_document(manual.WRITERS[suffix](), f"지침{suffix}")


def headings(document: ReadDocument) -> list[tuple[int, str]]:
    return [(block.level, block.text) for block in blocks(document.text) if block.kind == "heading"]


@pytest.mark.parametrize("suffix", WHOLE)
def test_headings_steps_cells_and_note(suffix: str) -> None:
    document = read(suffix)
    assert document.title == manual.TITLE
    assert document.media_type == "text/markdown"
    assert headings(document) == [(1, manual.TITLE), (2, manual.SECTIONS[0]), (2, manual.SECTIONS[1])]
    kinds = [block.kind for block in blocks(document.text)]
    assert kinds[:6] == ["heading", "paragraph", "heading", "list", "heading", "table"]
    steps = next(block for block in blocks(document.text) if block.kind == "list")
    assert steps.ordered
    assert steps.text.split("\n") == [f"{n}. {step}" for n, step in enumerate(manual.STEPS, start=1)]
    table = next(block for block in blocks(document.text) if block.kind == "table")
    assert table.text.split("\n") == [ROWS[0], "| --- | --- | --- |", *ROWS[1:]]
    assert manual.NOTE in document.text
    assert manual.INTRO in document.text
    assert unicodedata.is_normalized("NFC", document.text)


def test_a_workbook_keeps_sheet_names_and_cells() -> None:
    document = read(".xlsx")
    assert headings(document) == [(2, name) for name in manual.SECTIONS]
    assert [mark.label for mark in document.marks] == [f"sheet {name}" for name in manual.SECTIONS]
    assert "\n".join([ROWS[0], "| --- | --- | --- |", *ROWS[1:]]) in document.text
    for n, step in enumerate(manual.STEPS, start=1):
        assert f"| {n} | {step} |" in document.text
    assert manual.NOTE in document.text


@pytest.mark.parametrize("encoding", ["utf-8", "cp949", "utf-16", "utf-16-le", "utf-16-be", "johab"])
def test_text_in_every_encoding(encoding: str) -> None:
    assert read_document(manual.text().encode(encoding), "지침.txt").text == manual.text()


@pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
def test_html_in_every_encoding(encoding: str) -> None:
    page = manual.html().replace("charset='utf-8'", f"charset='{'euc-kr' if encoding == 'cp949' else encoding}'")
    assert manual.NOTE in read_document(page.encode(encoding), "지침.html").text


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_separated_tables(suffix: str) -> None:
    assert "\n".join([ROWS[0], "| --- | --- | --- |", *ROWS[1:]]) in read(suffix).text


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".zip"])
def test_holders_of_texts(suffix: str) -> None:
    text = read(suffix).text
    for section in manual.SECTIONS:
        assert any(line.strip("# ") == section for line in text.split("\n") if line.startswith("#"))


def test_pages_slides_and_files_are_marked_where_they_begin() -> None:
    for suffix, labels in ((".pdf", ["page 1", "page 2", "page 3"]), (".pptx", ["slide 1", "slide 2", "slide 3"])):
        document = read(suffix)
        assert [mark.label for mark in document.marks] == labels
        starts = [document.text[mark.start :].split("\n")[0].strip("# ") for mark in document.marks]
        assert starts == [manual.TITLE, *manual.SECTIONS]
    assert [mark.label for mark in read(".zip").marks] == ["file 지침/입고.md", "file ../../etc/표.csv"]


@pytest.mark.parametrize(
    ("suffix", "gone", "warning"),
    [
        (".html", "로그아웃", "navigation"),
        (".html", "몰래", "navigation"),
        (".docx", "대외비", "Running heads or feet were set aside: 물류팀 대외비"),
        (".docx", "\t1", "table of contents"),
        (".pptx", "대외비", "물류팀 대외비"),
        (".hwp", "대외비", "Running heads or feet were set aside: 물류팀 대외비"),
        (".hwpx", "대외비", "Running heads or feet were set aside: 물류팀 대외비"),
        (".pdf", "대외비", "running heads"),
        (".pdf", "- 2 -", "page numbers"),
        (".pdf", "....", "A table of contents of 4 lines"),
    ],
)
def test_what_is_no_content_is_set_aside_aloud(suffix: str, gone: str, warning: str) -> None:
    document = read(suffix)
    assert gone not in document.text
    assert any(warning in said for said in document.warnings)


def test_every_suffix_has_a_manual() -> None:
    same = {".markdown": ".md", ".text": ".txt", ".htm": ".html", ".xhtml": ".html"}
    assert {same.get(suffix, suffix) for suffix in READERS} == set(manual.WRITERS)
    for suffix in READERS:
        assert read_document(manual.WRITERS[same.get(suffix, suffix)](), f"지침{suffix}").text.strip()
