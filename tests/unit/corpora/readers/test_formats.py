"""What single formats hold beyond the manual: numbers of lists, anchors, merged cells, values, layout."""

from __future__ import annotations

import datetime

import docx
import openpyxl  # type: ignore[import-untyped]
import pytest
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from corpora.readers import read_document
from corpora.readers.furniture import contents_lines, running_lines
from corpora.readers.tables import Budget, Cell, Grid, markdown_table
from tests.fixture_pdf import pdf_of
from tests.fixture_writer import html_table, saved

PAGE = """---
title: 앞머리 제목
author: 아무개
---
# <a name="arrival"></a>도착 개요

[!INCLUDE [banner](../includes/banner.md)]

- [준비](#준비)
- [조회](#조회)
- [알림](#알림)

자세한 내용은 [검수 절차](../검수.md "검수")와 [법령](https://example.com/법)을 봅니다. `[코드](x.md)`

![화면](media/화면.png)

```
[!INCLUDE [banner](../includes/banner.md)]
<a name="x"></a> [그대로](y.md)
```

> [!NOTE]
> 봉인을 확인합니다.
"""


def test_markdown_of_a_site_generator() -> None:
    document = read_document(f"{PAGE}\n{html_table()}\n".encode(), "도착.md")
    assert document.title == "도착 개요"
    assert document.text.startswith("# 도착 개요\n")
    assert "자세한 내용은 검수 절차와 [법령](https://example.com/법)을 봅니다. `[코드](x.md)`" in document.text
    assert "![화면](media/화면.png)" in document.text
    code = '```\n[!INCLUDE [banner](../includes/banner.md)]\n<a name="x"></a> [그대로](y.md)\n```'
    assert code in document.text
    assert document.text.count("INCLUDE") == 1
    assert "> [!NOTE]\n> 봉인을 확인합니다." in document.text
    assert "| 냉장 | 두부 | 0~10℃ |" in document.text
    assert "#준비" not in document.text
    assert document.warnings == (
        "Front matter was set aside.",
        "1 [!INCLUDE] lines were set aside: the files they name are not here.",
        "1 links to other files were replaced by their words.",
        "1 HTML tables became Markdown tables.",
        "3 lines of a table of contents were set aside.",
    )


def test_front_matter_names_a_page_without_heading() -> None:
    assert read_document("---\ntitle: '앞머리'\n---\n글입니다.\n".encode(), "a.md").title == "앞머리"


def test_docx_shows_the_numbers_that_word_shows() -> None:
    document = docx.Document()
    root = document.part.numbering_part.element
    levels = "".join(
        f'<w:lvl w:ilvl="{n}"><w:start w:val="1"/><w:numFmt w:val="{form}"/><w:lvlText w:val="{shown}"/></w:lvl>'
        for n, (form, shown) in enumerate((("decimal", "%1."), ("decimal", "%1.%2"), ("ganada", "%3)")))
    )
    root.insert(0, parse_xml(f'<w:abstractNum {nsdecls("w")} w:abstractNumId="77">{levels}</w:abstractNum>'))
    root.append(parse_xml(f'<w:num {nsdecls("w")} w:numId="77"><w:abstractNumId w:val="77"/></w:num>'))
    for depth, text in ((0, "입고"), (1, "하차"), (2, "봉인"), (2, "사진"), (1, "검수"), (0, "출고"), (1, "포장")):
        properties = document.add_paragraph(text)._p.get_or_add_pPr()
        properties.append(
            parse_xml(f'<w:numPr {nsdecls("w")}><w:ilvl w:val="{depth}"/><w:numId w:val="77"/></w:numPr>')
        )
    lines = [line.strip() for line in read_document(saved(document), "번호.docx").text.split("\n") if line]
    assert lines == ["1. 입고", "1.1 하차", "가) 봉인", "나) 사진", "1.2 검수", "2. 출고", "2.1 포장"]


def test_docx_reads_content_controls_and_not_what_was_deleted() -> None:
    document = docx.Document()
    body = document.element.body
    for xml in (
        "<w:sdt {0}><w:sdtContent><w:p><w:r><w:t>양식 속 글</w:t></w:r></w:p></w:sdtContent></w:sdt>",
        "<w:p {0}><w:ins><w:r><w:t>더한 글</w:t></w:r></w:ins>"
        "<w:del><w:r><w:delText>지운 글</w:delText></w:r></w:del></w:p>",
        "<w:p {0}><w:r><w:t># 제목이 아님</w:t></w:r></w:p>",
    ):
        body.insert(len(body) - 1, parse_xml(xml.format(nsdecls("w"))))
    assert read_document(saved(document), "양식.docx").text == "양식 속 글\n\n더한 글\n\n\\# 제목이 아님\n"


def test_cells_merged_across_stand_once_and_downward_in_each_row() -> None:
    grid = Grid(Budget("표"))
    grid.row([Cell("분류", columns=2), Cell("수량", rows=2)])
    grid.row([Cell("대"), Cell("소")])
    grid.row([Cell("냉장", rows=3), Cell("우유"), Cell("3")])
    grid.row([Cell("두부"), Cell("4")])
    assert grid.rows() == [["분류", "", "수량"], ["대", "소", "수량"], ["냉장", "우유", "3"], ["냉장", "두부", "4"]]


def test_bars_and_line_ends_within_cells_do_not_break_the_table() -> None:
    assert markdown_table([["가|나", "다\n라"], ["", ""], ["1", ""]]) == "| 가\\|나 | 다 라 |\n| --- | --- |\n| 1 |  |"


def test_values_of_a_workbook_are_as_they_are_shown() -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["날짜", "비율", "수", "참"])
    sheet.append([datetime.datetime(2024, 3, 5), 0.125, 3.0, True])
    sheet["B2"].number_format = "0.0%"
    sheet.append([datetime.datetime(2024, 3, 5, 9, 30), "=1+1", 2.5, False])
    hidden = book.create_sheet("숨김")
    hidden.append(["비밀", "값"])
    hidden.sheet_state = "hidden"
    document = read_document(saved(book), "값.xlsx")
    assert "| 2024-03-05 | 12.5% | 3 | TRUE |" in document.text
    assert "| 2024-03-05 09:30:00 |  | 2.5 | FALSE |" in document.text
    assert any("1 formulas of sheet 'Sheet' have no stored value" in said for said in document.warnings)
    assert any("'숨김' is hidden" in said for said in document.warnings)


def test_html_lists_keep_numbers_and_depth() -> None:
    page = "<ol start='3'><li>셋<ul><li>점</li></ul></li><li value='7'>일곱</li></ol><ol type='a'><li>에이</li></ol>"
    text = read_document(page.encode(), "목록.html").text
    assert text == "3. 셋\n   - 점\n7. 일곱\na. 에이\n"


def test_html_takes_the_main_part_and_says_what_was_left() -> None:
    page = f"<body><div>광고입니다</div><main><h1>본문</h1><p>{'가나다 ' * 100}</p></main></body>"
    document = read_document(page.encode(), "글.html")
    assert "광고" not in document.text
    assert any("5 characters outside" in said for said in document.warnings)


def test_pdf_paragraphs_go_on_and_steps_begin_anew() -> None:
    lines = [
        (60.0, 700.0, 10.0, "이 문단은 줄 끝까지 이어지는 긴 글이어서 다음 줄로 넘어가며 계속해서"),
        (60.0, 685.0, 10.0, "이어집니다. 여기서 끝납니다."),
        (60.0, 660.0, 10.0, "1) 먼저 봉인을 확인하고 그 번호를 사진으로 남긴 다음 담당자에게 바로"),
        (60.0, 645.0, 10.0, "알립니다."),
        (60.0, 630.0, 10.0, "2) 상자를 셉니다."),
        (60.0, 615.0, 10.0, "• 점으로 시작합니다."),
    ]
    text = read_document(pdf_of([lines]), "문단.pdf").text
    assert text.split("\n\n")[0] == " ".join(line[3] for line in lines[:2])
    assert text.split("\n\n")[1].strip().split("\n") == [
        " ".join(line[3] for line in lines[2:4]),
        "2) 상자를 셉니다.",
        "- 점으로 시작합니다.",
    ]


def test_running_lines_need_three_pages() -> None:
    pages = [["대외비", text, "글", f"운영 지침 {n + 4}", f"{n + 4} / 9"] for n, text in enumerate(("가", "나", "다"))]
    assert running_lines(pages) == {(n, line) for n in range(3) for line in (0, 3, 4)}
    assert running_lines(pages[:2]) == {(0, 4), (1, 4)}


def test_numbers_that_do_not_count_pages_and_headings_do_not_run() -> None:
    assert running_lines([[f"재고 {count}", "글", "글", "끝말"] for count in (7, 7, 12, 40)]) >= {(0, 3), (3, 3)}
    assert not {(n, 0) for n in range(4)} & running_lines([[f"재고 {c}", "글", f"끝 {c}"] for c in (7, 9, 12, 40)])
    assert not {(n, 0) for n in range(4)} & running_lines([[f"제{n}장 입고", f"글 {n * n}"] for n in range(1, 5)])
    steps = [[f"단계 {n}", f"글 {n * n}"] for n in range(1, 5)]
    assert {(n, 0) for n in range(4)} <= running_lines(steps)
    assert not {(n, 0) for n in range(4)} & running_lines(steps, {(n, 0) for n in range(4)})


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["목차", "입고 ..... 1", "출고 ..... 2", "재고 ..... 3", "본문"], {0, 1, 2, 3}),
        (["차 례", "", "입고 1", "출고 2", "재고 3", "본문입니다."], {0, 2, 3, 4}),
        (["입고 1", "출고 2", "재고 3"], set()),
        (["입고 ..... 1", "본문", "출고 ..... 2"], set()),
        (["목차", "본문입니다."], set()),
    ],
)
def test_tables_of_contents(lines: list[str], found: set[int]) -> None:
    assert contents_lines(lines) == found
