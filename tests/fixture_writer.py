"""One Korean manual rendered into every format that readers read: ``WRITERS[suffix]()`` gives the bytes of a file.

Headings, numbered steps, a table with merged cells and a note; each reader must give them all back. DOCX and XLSX are
written by their libraries, the others by hand, so that no reader is tested with its own hand-writing.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from xml.sax.saxutils import escape

import docx
import openpyxl  # type: ignore[import-untyped]

from tests.fixture_hwp import Hung, hwp_of, hwpx_control, hwpx_paragraph
from tests.fixture_pdf import pdf_of

TITLE = "냉장 창고 운영 지침"
SECTIONS = ("입고 절차", "보관 온도")
INTRO = "이 지침은 냉장 창고에서 일하는 사람이 따라야 할 순서를 정한다."
STEPS = (
    "차량이 도착하면 도착 예정 번호를 조회합니다.",
    "봉인 번호를 사진으로 남깁니다.",
    "검수대에서 상자 수를 셉니다.",
    "온도가 기준을 넘으면 담당자에게 알립니다.",
)
NOTE = "참고: 온도 기록은 3년 동안 보관합니다."
#: The third row's zone is merged with the second's.
TABLE = (
    ("구역", "품목", "온도"),
    ("냉장", "우유", "2~5℃"),
    ("냉장", "두부", "0~10℃"),
    ("냉동", "만두", "-18℃ 이하"),
)
_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def zipped(members: dict[str, bytes | str], *, stored: tuple[str, ...] = ()) -> bytes:
    """A zip of members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            how = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), content, compress_type=how)
    return out.getvalue()


def markdown() -> str:
    """The manual as Markdown."""
    steps = "\n".join(f"{n}. {step}" for n, step in enumerate(STEPS, start=1))
    rows = ["| " + " | ".join(row) + " |" for row in TABLE]
    table = "\n".join([rows[0], "| --- | --- | --- |", *rows[1:]])
    return f"# {TITLE}\n\n{INTRO}\n\n## {SECTIONS[0]}\n\n{steps}\n\n## {SECTIONS[1]}\n\n{table}\n\n> {NOTE}\n"


def text() -> str:
    """The manual as plain text."""
    steps = "\n".join(f"{n}. {step}" for n, step in enumerate(STEPS, start=1))
    table = "\n".join("\t".join(row) for row in TABLE)
    return f"{TITLE}\n\n{INTRO}\n\n{SECTIONS[0]}\n\n{steps}\n\n{SECTIONS[1]}\n\n{table}\n\n{NOTE}\n"


def html_table() -> str:
    """The table with its merged cell."""
    head = "".join(f"<th>{cell}</th>" for cell in TABLE[0])
    return (
        f"<table><thead><tr>{head}</tr></thead><tbody><tr><td rowspan='2'>냉장</td><td>우유</td><td>2~5℃</td></tr>"
        "<tr><td>두부</td><td>0~10℃</td></tr><tr><td>냉동</td><td>만두</td><td>-18℃ 이하</td></tr></tbody></table>"
    )


def html() -> str:
    """The manual as a page with navigation."""
    steps = "".join(f"<li>{step}</li>" for step in STEPS)
    return (
        "<!DOCTYPE html><html><head><meta charset='utf-8'><title>사내 위키</title><script>var 몰래 = 1;</script></head>"
        "<body><nav><ul><li><a href='/'>첫 화면</a></li><li>로그아웃</li></ul></nav>"
        f"<h1>{TITLE}</h1><p>{INTRO}</p><h2>{SECTIONS[0]}</h2><ol>{steps}</ol><h2>{SECTIONS[1]}</h2>{html_table()}"
        f"<blockquote>{NOTE}</blockquote><footer>저작권 물류팀</footer></body></html>"
    )


def docx_bytes() -> bytes:
    """The manual by python-docx, with Word's own automatic numbers and merged cells, a head and a table of contents."""
    document = docx.Document()
    document.sections[0].header.paragraphs[0].text = "물류팀 대외비"
    document.add_heading(TITLE, level=1)
    document.add_paragraph(INTRO)
    document.styles.add_style("toc 1", 1)
    document.add_paragraph("입고 절차\t1", style="toc 1")
    document.add_heading(SECTIONS[0], level=2)
    for step in STEPS:
        document.add_paragraph(step, style="List Number")
    document.add_heading(SECTIONS[1], level=2)
    table = document.add_table(rows=len(TABLE), cols=3)
    for r, row in enumerate(TABLE):
        for c, cell in enumerate(row):
            if (r, c) != (2, 0):
                table.cell(r, c).text = cell
    table.cell(1, 0).merge(table.cell(2, 0))
    document.add_paragraph(NOTE)
    return saved(document)


def xlsx_bytes() -> bytes:
    """The manual as a workbook: a sheet a section, the title and the note above and below the table."""
    book = openpyxl.Workbook()
    first = book.active
    first.title = SECTIONS[0]
    first.append([TITLE])
    first.append([INTRO])
    first.append([])
    first.append(["순서", "할 일"])
    for n, step in enumerate(STEPS, start=1):
        first.append([n, step])
    second = book.create_sheet(SECTIONS[1])
    for row in TABLE:
        second.append(list(row))
    second["A3"] = None
    second.merge_cells("A2:A3")
    second.append([])
    second.append([NOTE])
    return saved(book)


def csv_text() -> str:
    """The table."""
    out = io.StringIO()
    csv.writer(out).writerows([*TABLE, ["실온", 'A, "갑"', "15℃"]])
    return out.getvalue()


def saved(thing: object) -> bytes:
    """The bytes of a document or workbook."""
    out = io.BytesIO()
    thing.save(out)  # type: ignore[attr-defined]
    return out.getvalue()


_A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
_P = 'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
_R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
_RELS = 'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"'
_TYPE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def _shape(kind: str, paragraphs: list[str]) -> str:
    holder = f'<p:nvSpPr><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr>' if kind else ""
    return f"<p:sp>{holder}<p:txBody>{''.join(paragraphs)}</p:txBody></p:sp>"


def _run(text_: str, properties: str = "") -> str:
    return f"<a:p>{properties}<a:r><a:t>{escape(text_)}</a:t></a:r></a:p>"


def _slide(shapes: str) -> str:
    return f"<p:sld {_A} {_P}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>"


def pptx_bytes() -> bytes:
    """The manual as three slides, stored in another order than they are shown."""

    def cell(r: int, c: int) -> str:
        merge = {(1, 0): ' rowSpan="2"', (2, 0): ' vMerge="1"'}.get((r, c), "")
        shown = "" if (r, c) == (2, 0) else TABLE[r][c]
        return f"<a:tc{merge}><a:txBody>{_run(shown)}</a:txBody></a:tc>"

    rows = "".join(f"<a:tr>{''.join(cell(r, c) for c in range(3))}</a:tr>" for r in range(len(TABLE)))
    table = (
        f"<p:graphicFrame><a:graphic><a:graphicData><a:tbl>{rows}</a:tbl></a:graphicData></a:graphic></p:graphicFrame>"
    )
    plain, numbered = "<a:pPr><a:buNone/></a:pPr>", '<a:pPr><a:buAutoNum type="arabicPeriod"/></a:pPr>'
    foot = _shape("ftr", [_run("물류팀 대외비")])
    first = _slide(_shape("ctrTitle", [_run(TITLE)]) + _shape("body", [_run(INTRO, plain)]) + foot)
    second = _slide(_shape("title", [_run(SECTIONS[0])]) + _shape("body", [_run(s, numbered) for s in STEPS]) + foot)
    third = _slide(_shape("title", [_run(SECTIONS[1])]) + table + _shape("", [_run(NOTE)]) + foot)
    ids = "".join(f'<p:sldId id="{255 + n}" r:id="rId{n}"/>' for n in (3, 1, 2))
    links = "".join(f'<Relationship Id="rId{n}" Type="{_TYPE}/slide" Target="slides/slide{n}.xml"/>' for n in (1, 2, 3))
    return zipped(
        {
            "[Content_Types].xml": "<Types/>",
            "ppt/presentation.xml": f"<p:presentation {_P} {_R}><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>",
            "ppt/_rels/presentation.xml.rels": f"<Relationships {_RELS}>{links}</Relationships>",
            "ppt/slides/slide1.xml": second,
            "ppt/slides/slide2.xml": third,
            "ppt/slides/slide3.xml": first,
        }
    )


_H = 'xmlns:hh="http://www.hancom.co.kr/hwpml/2011/head" xmlns:hc="http://www.hancom.co.kr/hwpml/2011/core"'
_S = 'xmlns:hs="http://www.hancom.co.kr/hwpml/2011/section" xmlns:hp="http://www.hancom.co.kr/hwpml/2011/paragraph"'


def _hp(text_: str, style: int = 0) -> str:
    return hwpx_paragraph(f"<hp:t>{escape(text_)}</hp:t>", style=style)


def hwpx_table() -> str:
    """The table as HWPML; a merged cell says how far it reaches and covered ones are left out."""
    rows = []
    for r, row in enumerate(TABLE):
        cells = ""
        for c, cell in enumerate(row):
            if (r, c) == (2, 0):
                continue
            span = 2 if (r, c) == (1, 0) else 1
            cells += (
                f"<hp:tc><hp:subList>{_hp(cell)}</hp:subList>"
                f'<hp:cellAddr colAddr="{c}" rowAddr="{r}"/><hp:cellSpan colSpan="1" rowSpan="{span}"/></hp:tc>'
            )
        rows.append(f"<hp:tr>{cells}</hp:tr>")
    table = f'<hp:tbl rowCnt="{len(TABLE)}" colCnt="3">{"".join(rows)}</hp:tbl>'
    return f'<hp:p id="0" paraPrIDRef="0" styleIDRef="0"><hp:run charPrIDRef="0">{table}</hp:run></hp:p>'


def hwpx_bytes(section: str | None = None) -> bytes:
    """The manual as HWPX; its own section where none is given. A head hangs on the first paragraph, as in real ones."""
    first = hwpx_paragraph(f"{hwpx_control('header', '물류팀 대외비')}<hp:t>{TITLE}</hp:t>", style=1)
    body = "".join(
        [
            *(first, _hp(INTRO), _hp(SECTIONS[0], 2)),
            *(_hp(f"{n}. {step}") for n, step in enumerate(STEPS, start=1)),
            *(_hp(SECTIONS[1], 2), hwpx_table(), _hp(NOTE)),
        ]
    )
    heads = [("NONE", 0), ("OUTLINE", 0), ("OUTLINE", 1)]
    outlines = "".join(
        f'<hh:paraPr id="{n}"><hh:heading type="{kind}" idRef="0" level="{level}"/></hh:paraPr>'
        for n, (kind, level) in enumerate(heads)
    )
    styles = "".join(
        f'<hh:style id="{n}" type="PARA" name="{name}" engName="{english}" paraPrIDRef="{n}" charPrIDRef="0"/>'
        for n, (name, english) in enumerate((("바탕글", "Normal"), ("개요 1", "Outline 1"), ("개요 2", "Outline 2")))
    )
    return zipped(
        {
            "mimetype": "application/hwp+zip",
            "version.xml": '<hv:HCFVersion xmlns:hv="http://www.hancom.co.kr/hwpml/2011/version" major="5"/>',
            "META-INF/container.xml": '<ocf:container xmlns:ocf="urn:oasis:names:tc:opendocument:xmlns:container">'
            '<ocf:rootfiles><ocf:rootfile full-path="Contents/content.hpf"/></ocf:rootfiles></ocf:container>',
            "Contents/content.hpf": '<opf:package xmlns:opf="http://www.idpf.org/2007/opf/"><opf:manifest>'
            '<opf:item id="header" href="Contents/header.xml" media-type="application/xml"/>'
            '<opf:item id="section0" href="Contents/section0.xml" media-type="application/xml"/></opf:manifest>'
            '<opf:spine><opf:itemref idref="section0"/></opf:spine></opf:package>',
            "Contents/header.xml": f'<hh:head {_H} version="1.4" secCnt="1"><hh:refList><hh:charProperties itemCnt="1">'
            f'<hh:charPr id="0" height="1000"/></hh:charProperties><hh:paraProperties itemCnt="3">{outlines}'
            f'</hh:paraProperties><hh:styles itemCnt="3">{styles}</hh:styles></hh:refList></hh:head>',
            "Contents/section0.xml": f"<hs:sec {_S}>{body if section is None else section}</hs:sec>",
        },
        stored=("mimetype",),
    )


def pdf_bytes() -> bytes:
    """The manual on three pages with a running head, page numbers and a table of contents."""
    head, size = "물류팀 대외비", 10.0

    def page(number: int, lines: list[tuple[float, float, float, str]]) -> list[tuple[float, float, float, str]]:
        return [(60, 810, 8, head), *lines, (290, 30, 8, f"- {number} -")]

    contents = [(60.0, 660.0 - 18 * n, size, f"{t} ........ {n + 2}") for n, t in enumerate((*SECTIONS, "부록"))]
    first = [(60.0, 750.0, 20.0, TITLE), (60.0, 715.0, size, INTRO), (60.0, 680.0, size, "목차"), *contents]
    steps = [(60.0, 715.0 - 20 * n, size, f"{n + 1}. {step}") for n, step in enumerate(STEPS)]
    second = [(60.0, 750.0, 15.0, SECTIONS[0]), *steps]
    cells = [(60.0 + 150 * c, 715.0 - 20 * r, size, cell) for r, row in enumerate(TABLE) for c, cell in enumerate(row)]
    third = [(60.0, 750.0, 15.0, SECTIONS[1]), *cells, (60.0, 590.0, size, NOTE)]
    return pdf_of([page(1, first), page(2, second), page(3, third)])


def hwp_bytes() -> bytes:
    """The manual as HWP 5, compressed as real files are, with a head on its second paragraph."""
    steps = [(0, f"{n}. {step}") for n, step in enumerate(STEPS, start=1)]
    table = [[(cell, 1, 1) for cell in row] for row in TABLE]
    intro = Hung(kind="head", inner=("물류팀 대외비",), behind=INTRO)
    return hwp_of([(1, TITLE), intro, (2, SECTIONS[0]), *steps, (2, SECTIONS[1]), table, (0, NOTE)], flags=1)


WRITERS: dict[str, Callable[[], bytes]] = {
    ".md": lambda: markdown().encode(),
    ".txt": lambda: text().encode("cp949"),
    ".html": lambda: html().encode(),
    ".docx": docx_bytes,
    ".xlsx": xlsx_bytes,
    ".pptx": pptx_bytes,
    ".pdf": pdf_bytes,
    ".hwp": hwp_bytes,
    ".hwpx": hwpx_bytes,
    ".csv": lambda: csv_text().encode("cp949"),
    ".tsv": lambda: "\n".join("\t".join(row) for row in TABLE).encode(),
    ".json": lambda: json.dumps([{"title": TITLE, "text": markdown()}], ensure_ascii=False).encode(),
    ".jsonl": lambda: "\n".join(
        json.dumps({"제목": s, "본문": f"{s}에 관한 글입니다. {INTRO}"}, ensure_ascii=False) for s in SECTIONS
    ).encode(),
    ".zip": lambda: zipped(
        {"지침/입고.md": markdown(), "../../etc/표.csv": csv_text().encode("cp949"), "사진.png": b"\x89PNG"}
    ),
}
