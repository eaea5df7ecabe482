"""Text boxes, diagrams and pictures of office files: read once where they hold text, told where they do not."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import docx
import openpyxl  # type: ignore[import-untyped]
import pytest
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.opc.packuri import PackURI
from docx.opc.part import Part
from docx.oxml import parse_xml

from corpora.errors import UnreadableDocumentError
from corpora.readers import read_document
from corpora.readers.extracted import ranges
from tests import fixture_writer as manual

_D = "http://schemas.openxmlformats.org/drawingml/2006/diagram"
_A = "http://schemas.openxmlformats.org/drawingml/2006/main"
_REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
SPACES = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    f'xmlns:v="urn:schemas-microsoft-com:vml" xmlns:dgm="{_D}" xmlns:r="{_REL}"'
)
CELL = "<w:tc><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:tc>"
ROW = f"<w:tr>{CELL}{CELL}</w:tr>"
TABLE = f"<w:tbl>{ROW.format('품목', '수량')}{ROW.format('나사', '3')}</w:tbl>"
TABLE_TEXT = "| 품목 | 수량 |\n| --- | --- |\n| 나사 | 3 |"
SENTENCE = "이 지침은 냉장 창고에서 일하는 사람이 따라야 할 순서를 정한다. 차량이 도착하면 봉인 번호를 먼저 조회합니다."


def paragraph(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def box(inner: str) -> object:
    """A text box as Word writes it: new and old, with the same text."""
    held = f"<w:txbxContent>{inner}</w:txbxContent>"
    return parse_xml(
        f'<w:r {SPACES}><mc:AlternateContent><mc:Choice Requires="wps"><w:drawing><wps:wsp><wps:txbx>{held}</wps:txbx>'
        f"</wps:wsp></w:drawing></mc:Choice><mc:Fallback><w:pict><v:textbox>{held}</v:textbox></w:pict></mc:Fallback>"
        "</mc:AlternateContent></w:r>"
    )


def picture() -> io.BytesIO:
    """A PNG of one point."""

    def chunk(kind: bytes, held: bytes) -> bytes:
        return struct.pack(">I", len(held)) + kind + held + struct.pack(">I", zlib.crc32(kind + held))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b""))


def diagram(*points: tuple[str, str, str]) -> str:
    """A diagram's data: id, id of the point above, text; written backwards, so that only the order of links counts."""
    nodes = "".join(
        f'<dgm:pt modelId="{name}"><dgm:t><a:p><a:r><a:t>{text}</a:t></a:r></a:p></dgm:t></dgm:pt>'
        for name, _, text in reversed(points)
    )
    links = "".join(
        f'<dgm:cxn modelId="c{n}" srcId="{above}" destId="{name}" srcOrd="{n}"/>'
        for n, (name, above, _) in reversed(list(enumerate(points)))
    )
    other = '<dgm:pt modelId="0" type="doc"/><dgm:pt modelId="t" type="parTrans"><dgm:t><a:p/></dgm:t></dgm:pt>'
    return (
        f'<dgm:dataModel xmlns:dgm="{_D}" xmlns:a="{_A}"><dgm:ptLst>{other}{nodes}</dgm:ptLst>'
        f"<dgm:cxnLst>{links}</dgm:cxnLst></dgm:dataModel>"
    )


FLOW = diagram(("1", "0", "접수"), ("2", "1", "서류 확인"), ("3", "0", "검수"))


def test_a_box_in_a_cell_is_read_once() -> None:
    document = docx.Document()
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "칸", "값"
    table.cell(0, 0).paragraphs[0]._p.append(box(paragraph("상자 글")))
    document.add_paragraph(SENTENCE)
    assert read_document(manual.saved(document), "상자.docx").text.startswith("| 칸 상자 글 | 값 |\n")


def test_a_table_in_a_box_keeps_its_rows_and_a_heading_stays_alone() -> None:
    document = docx.Document()
    heading = document.add_heading("글상자", 1)
    heading._p.append(box(paragraph("앞글") + TABLE + paragraph("뒷글")))
    document.add_paragraph(SENTENCE)
    text = read_document(manual.saved(document), "상자.docx").text
    assert text == f"# 글상자\n\n앞글\n\n{TABLE_TEXT}\n\n뒷글\n\n{SENTENCE}\n"


def test_a_frame_around_a_table_keeps_its_rows() -> None:
    document = docx.Document()
    frame = document.add_table(1, 1).cell(0, 0)
    frame.text = "주의"
    frame._tc.append(parse_xml(TABLE.replace("<w:tbl>", f"<w:tbl {SPACES}>", 1)))
    document.add_paragraph(SENTENCE)
    assert read_document(manual.saved(document), "틀.docx").text == f"주의\n\n{TABLE_TEXT}\n\n{SENTENCE}\n"


def test_boxes_within_boxes_are_read_once() -> None:
    held = f"<w:txbxContent>{paragraph('속')}</w:txbxContent>"
    inner = f"<w:p><w:r><w:pict><v:textbox>{held}</v:textbox></w:pict></w:r></w:p>"
    document = docx.Document()
    document.add_paragraph(SENTENCE)._p.append(box(paragraph("겉") + inner))
    assert read_document(manual.saved(document), "상자.docx").text == f"{SENTENCE}\n\n겉\n\n속\n"


def test_a_diagram_in_word_is_a_list() -> None:
    document = docx.Document()
    held = document.add_paragraph(SENTENCE)
    data = Part(PackURI("/word/diagrams/data1.xml"), "application/xml", FLOW.encode(), document.part.package)
    relation = document.part.relate_to(data, f"{RELATIONSHIP_TYPE.OLE_OBJECT.rpartition('/')[0]}/diagramData")
    for name in (relation, "rId999"):
        held._p.append(parse_xml(f'<w:r {SPACES}><w:drawing><dgm:relIds r:dm="{name}"/></w:drawing></w:r>'))
    found = read_document(manual.saved(document), "흐름.docx")
    assert found.text == f"{SENTENCE}\n\n- 접수\n   - 서류 확인\n- 검수\n"
    assert found.warnings == ("1 pictures were left out; text in them is not read.",)


def test_pictures_in_word_are_told() -> None:
    document = docx.Document()
    document.add_paragraph(SENTENCE)
    document.add_picture(picture())
    document.add_paragraph()._p.append(
        parse_xml(f"<w:r {SPACES}><w:pict><v:shape><v:imagedata/></v:shape></w:pict></w:r>")
    )
    found = read_document(manual.saved(document), "그림.docx")
    assert found.warnings == ("2 pictures were left out; text in them is not read.",)


def test_a_title_over_pictures_is_a_scan_and_a_sentence_with_one_is_not() -> None:
    document = docx.Document()
    document.add_heading("스캔한 지침 제2판", 1)
    for _ in range(5):
        document.add_picture(picture())
    with pytest.raises(UnreadableDocumentError, match="5 pictures and only 8 letters") as caught:
        read_document(manual.saved(document), "스캔.docx")
    assert caught.value.code == "scanned"
    short = docx.Document()
    short.add_paragraph("반품은 이레 안에 접수합니다.")
    short.add_picture(picture())
    assert read_document(manual.saved(short), "짧은.docx").text == "반품은 이레 안에 접수합니다.\n"


def slides(**changed: str) -> bytes:
    """The manual's slides with other parts; its second slide is ``slide1``, its third ``slide2``."""
    with zipfile.ZipFile(io.BytesIO(manual.pptx_bytes())) as archive:
        kept: dict[str, bytes | str] = {name: archive.read(name) for name in archive.namelist()}
    places = {"data": "ppt/diagrams/data1.xml", "rels": "ppt/slides/_rels/slide2.xml.rels"}
    return manual.zipped({**kept, **{places.get(k, f"ppt/slides/{k}.xml"): v for k, v in changed.items()}})


PICTURE = "<p:pic><p:blipFill><a:blip/></p:blipFill></p:pic>"
FRAME = (
    f'<p:graphicFrame><a:graphic><a:graphicData><dgm:relIds xmlns:dgm="{_D}" xmlns:r="{_REL}" r:dm="rId7"/>'
    "</a:graphicData></a:graphic></p:graphicFrame>"
)
RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    f'<Relationship Id="rId7" Type="{_REL}/diagramData" Target="../diagrams/data1.xml"/></Relationships>'
)


def test_a_diagram_on_a_slide_is_a_list() -> None:
    found = read_document(slides(slide2=manual._slide(PICTURE + FRAME), data=FLOW, rels=RELATIONS), "발표.pptx")
    assert found.text.endswith("\n\n- 접수\n   - 서류 확인\n- 검수\n")
    assert [mark.label for mark in found.marks] == ["slide 1", "slide 2", "slide 3"]
    assert "1 pictures were left out; text in them is not read." in found.warnings


def test_slides_without_text_are_named() -> None:
    silent = manual._slide(PICTURE + manual._shape("ftr", [manual._run("물류팀 대외비")]))
    found = read_document(slides(slide2=silent), "발표.pptx")
    assert "Slides without text, empty or of pictures: 3." in found.warnings
    assert "1 pictures were left out; text in them is not read." in found.warnings
    lacking = read_document(slides(slide2=manual._slide(FRAME)), "발표.pptx")
    assert "Slides without text, empty or of pictures: 3." in lacking.warnings
    assert "1 pictures were left out; text in them is not read." in lacking.warnings


def test_slides_of_pictures_are_scanned() -> None:
    pages = {f"slide{n}": manual._slide(PICTURE) for n in (1, 2, 3)}
    with pytest.raises(UnreadableDocumentError, match="3 pictures and no text") as caught:
        read_document(slides(**pages), "발표.pptx")
    assert caught.value.code == "scanned"


def test_the_older_twin_of_a_shape_is_not_read() -> None:
    shape = manual._shape("", [manual._run("한 번만 나오는 글")])
    space = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    both = f"<mc:Choice>{shape}</mc:Choice><mc:Fallback>{shape}</mc:Fallback>"
    twins = f"<mc:AlternateContent {space}>{both}</mc:AlternateContent>"
    assert read_document(slides(slide2=manual._slide(twins)), "발표.pptx").text.count("한 번만 나오는 글") == 1


def test_boxes_and_charts_of_a_sheet() -> None:
    book = openpyxl.Workbook()
    book.active.append(["품목", "수량"])
    book.active.append(["나사", 3])
    chart = openpyxl.chart.BarChart()
    chart.add_data(openpyxl.chart.Reference(book.active, min_col=2, min_row=1, max_row=2))
    book.active.add_chart(chart)
    data = manual.saved(book)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts: dict[str, bytes | str] = {name: archive.read(name) for name in archive.namelist()}
    drawing = archive_text(parts, "xl/drawings/drawing1.xml")
    shape = (
        f'<xdr:sp xmlns:xdr="urn:x"><a:p xmlns:a="{_A}"><a:r><a:t>재고는 금요일에 셉니다.</a:t></a:r></a:p></xdr:sp>'
    )
    at = drawing.rindex("</")
    parts["xl/drawings/drawing1.xml"] = drawing[:at] + shape + drawing[at:]
    found = read_document(manual.zipped(parts), "재고.xlsx")
    assert found.text == "## Sheet\n\n| 품목 | 수량 |\n| --- | --- |\n| 나사 | 3 |\n\n재고는 금요일에 셉니다.\n"
    assert found.warnings == ("1 pictures were left out; text in them is not read.",)


def archive_text(parts: dict[str, bytes | str], name: str) -> str:
    held = parts[name]
    return held.decode() if isinstance(held, bytes) else held


def test_numbers_in_a_row_are_joined() -> None:
    assert ranges([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"
    assert ranges(range(1, 60, 2)).endswith("37, 39 …")
