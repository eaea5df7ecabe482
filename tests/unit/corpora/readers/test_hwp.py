"""HWP and HWPX: nothing that hangs on a paragraph takes its text along, and heads are no body text."""

from __future__ import annotations

import random

import pytest

from corpora.errors import UnreadableDocumentError
from corpora.readers import ReadDocument, hwp, limits, read_document
from corpora.readers.hwp5 import without_heads
from tests.fixture_hwp import Hung, Table, hwp_of, hwpx_control, hwpx_paragraph
from tests.fixture_writer import hwpx_bytes

HEADS = "Running heads or feet were set aside"
HIDDEN = "Hidden comments were set aside"
BOXED = [[("부서", 1, 1), ("물류팀", 1, 1)], [("등급", 1, 1), ("대외비", 1, 1)]]


def t(text: str) -> str:
    return f"<hp:t>{text}</hp:t>"


def sub(*paragraphs: str) -> str:
    return f'<hp:subList id="">{"".join(paragraphs)}</hp:subList>'


def box(*paragraphs: str) -> str:
    return f"<hp:rect><hp:drawText>{sub(*paragraphs)}</hp:drawText></hp:rect>"


def table(*rows: tuple[str, ...], caption: str = "") -> str:
    """Rows of cells, each of them paragraphs."""
    written = caption
    for r, row in enumerate(rows):
        cells = (
            f'<hp:tc>{sub(cell)}<hp:cellAddr colAddr="{c}" rowAddr="{r}"/>'
            '<hp:cellSpan colSpan="1" rowSpan="1"/></hp:tc>'
            for c, cell in enumerate(row)
        )
        written += f"<hp:tr>{''.join(cells)}</hp:tr>"
    return f'<hp:tbl rowCnt="{len(rows)}" colCnt="{len(rows[0])}">{written}</hp:tbl>'


def p(text: str, style: int = 0) -> str:
    return hwpx_paragraph(t(text), style=style)


def read_hwpx(*body: str) -> ReadDocument:
    return read_document(hwpx_bytes(p("입고 안내", 1) + "".join(body) + p("끝입니다.")), "안내.hwpx")


def middle(document: ReadDocument) -> str:
    """What stands between the title and the last paragraph."""
    return document.text.removeprefix("# 입고 안내").removesuffix("끝입니다.\n").strip()


@pytest.mark.parametrize(
    ("paragraph", "expected"),
    [
        (hwpx_paragraph(t("각주 앞"), hwpx_control("footNote", "각주 글"), t("각주 뒤")), "각주 앞각주 뒤\n\n각주 글"),
        (hwpx_paragraph(f"{t('앞')}{hwpx_control('endNote', '미주 글')}{t('뒤')}"), "앞뒤\n\n미주 글"),
        (hwpx_paragraph(t("앞") + box(p("상자 하나"), p("상자 둘")) + t("뒤")), "앞 뒤\n\n상자 하나\n\n상자 둘"),
        (hwpx_paragraph(f"<hp:container>{box(p('가'))}{box(p('나'))}</hp:container>{t('뒤')}"), "뒤\n\n가\n\n나"),
        (
            hwpx_paragraph(box(hwpx_paragraph(t("상자") + hwpx_control("footNote", "각주"))) + t("뒤")),
            "뒤\n\n상자\n\n각주",
        ),
        (
            hwpx_paragraph(t("앞") + box(hwpx_paragraph(table((p("가"), p("나")), (p("다"), p("라"))))) + t("뒤")),
            "앞 뒤\n\n| 가 | 나 |\n| --- | --- |\n| 다 | 라 |",
        ),
        (
            hwpx_paragraph(
                table(
                    (p("품목"), hwpx_paragraph(t("값") + hwpx_control("footNote", "세금 별도") + t("(원)"))),
                    (p("우유"), p("900")),
                )
            ),
            "| 품목 | 값(원) 세금 별도 |\n| --- | --- |\n| 우유 | 900 |",
        ),
        (
            hwpx_paragraph(
                table(
                    (p("가"), p("나")),
                    (p("다"), p("라")),
                    caption=f'<hp:caption side="TOP">{sub(p("표 1. 기준"))}</hp:caption>',
                )
            ),
            "표 1. 기준\n\n| 가 | 나 |\n| --- | --- |\n| 다 | 라 |",
        ),
        (
            hwpx_paragraph(t("무게는") + "<hp:equation><hp:script>m over V</hp:script></hp:equation>" + t("이다")),
            "무게는 m over V 이다",
        ),
        (
            hwpx_paragraph(f"<hp:switch><hp:case>{t('갑')}</hp:case><hp:default>{t('갑')}</hp:default></hp:switch>"),
            "갑",
        ),
        (hwpx_paragraph('<hp:textart text="안전 제일"/>'), "안전 제일"),
    ],
)
def test_what_hangs_on_a_paragraph_stands_behind_it(paragraph: str, expected: str) -> None:
    document = read_hwpx(paragraph)
    assert middle(document) == expected
    assert document.warnings == ()


@pytest.mark.parametrize(
    ("control", "warning"),
    [
        (hwpx_control("header", "머리말 대외비"), f"{HEADS}: 머리말 대외비"),
        (hwpx_control("header", "머리말") + hwpx_control("footer", "꼬리말"), f"{HEADS}: 머리말 / 꼬리말"),
        (hwpx_control("hiddenComment", "숨은 설명"), f"{HIDDEN}: 숨은 설명"),
        (hwpx_control("fieldBegin", "메모 글"), f"{HIDDEN}: 메모 글"),
        ("<hp:chart/>", "1 charts or embedded objects were left out; text in them is not read."),
    ],
)
def test_what_is_no_running_text_is_set_aside_aloud(control: str, warning: str) -> None:
    document = read_hwpx(hwpx_paragraph(control + t("첫 문단의 글")))
    assert middle(document) == "첫 문단의 글"
    assert document.warnings == (warning,)


@pytest.mark.parametrize(
    ("paragraph", "expected"),
    [
        (p("강제로<hp:lineBreak/>줄을 바꿈"), "강제로\n줄을 바꿈"),
        (p("고정폭<hp:fwSpace/>빈칸과<hp:nbSpace/>묶음<hp:tab/>빈칸"), "고정폭 빈칸과 묶음 빈칸"),
        (p("형광<hp:markpenBegin/>펜<hp:markpenEnd/>글"), "형광펜글"),
        (p("보관<hp:lineBreak/>온도", 2), "## 보관 온도"),
        (hwpx_paragraph(table((p("첫째<hp:lineBreak/>둘째") + p("셋째"),))), "첫째 둘째\n셋째"),
        (
            hwpx_paragraph(table((p("첫째<hp:lineBreak/>둘째"), p("가") + p("나")), (p("다"), p("라")))),
            "| 첫째 둘째 | 가 나 |\n| --- | --- |\n| 다 | 라 |",
        ),
        (p("글에 쓴 &lt;br&gt; 표시"), "글에 쓴 <br> 표시"),
    ],
)
def test_line_ends_and_blanks_part_words(paragraph: str, expected: str) -> None:
    document = read_hwpx(paragraph)
    assert middle(document) == expected
    assert document.warnings == ()


def test_missing_letters_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_hwpx(p("다 읽힌 글 1 < 2 & 3".replace("&", "&amp;").replace("<", "&lt;"))).warnings == ()
    monkeypatch.setattr(hwp, "_without_images", lambda markdown: markdown.replace("사라질 글", ""))
    said = read_hwpx(p("남은 글"), p("사라질 글")).warnings
    assert said == ("4 letters of the text are missing in what was read.",)


def test_a_section_that_is_no_xml_is_read_as_far_as_it_goes() -> None:
    document = read_hwpx(p("가&#x1;나"))
    assert middle(document) == "가나"
    assert any("'Contents/section0.xml' is damaged" in said for said in document.warnings)


def test_deep_sections_are_refused() -> None:
    deep = "<hp:container>" * limits.MAX_NESTING + "</hp:container>" * limits.MAX_NESTING
    with pytest.raises(UnreadableDocumentError) as caught:
        read_hwpx(hwpx_paragraph(deep))
    assert caught.value.code == "document_too_large"


def test_a_table_that_a_text_speaks_of_hides_no_table() -> None:
    wide = hwpx_paragraph(table((p("구분"), p("나")), (p("다"), p("라")))).replace('colSpan="1"', 'colSpan="2"', 1)
    text = read_hwpx(p("앞의 &lt;table&gt; 표시"), wide).text
    assert "앞의 <table> 표시" in text
    assert "| 다 | 라 |" in text


def test_merged_cells_of_hwp_stand_in_every_row_that_they_span() -> None:
    rows = [
        [("구분", 1, 1), ("기준", 2, 1)],
        [("입고", 1, 2), ("오전 9시", 1, 1), ("도크 1", 1, 1)],
        [("오후 2시", 1, 1), ("도크 2", 1, 1)],
    ]
    text = read_document(hwp_of([(1, "입고 기준"), rows, (0, "끝")]), "기준.hwp").text
    assert "| 구분 | 기준 |  |\n| --- | --- | --- |\n| 입고 | 오전 9시 | 도크 1 |\n| 입고 | 오후 2시 | 도크 2 |" in text


@pytest.mark.parametrize("flags", [0, 1])
@pytest.mark.parametrize("length", [0, 2000])
def test_heads_and_hidden_comments_of_hwp_are_set_aside(flags: int, length: int) -> None:
    """Compressed or not, in the mini stream or not."""
    dice = random.Random(3)
    rest = [(0, "".join(chr(dice.randint(0xAC00, 0xD7A3)) for _ in range(9))) for _ in range(length)]
    blocks: list[tuple[int, str] | Hung | Table] = [
        (1, "입고 안내"),
        Hung(kind="head", inner=("입고 안내", BOXED, "둘째 줄"), behind="첫 문단입니다."),
        *rest,
        Hung(kind="foot", inner=("꼬리말",), behind="둘째 문단입니다."),
        Hung(kind="tcmt", before="앞", inner=("숨은 설명",), behind="뒤"),
        Hung(kind="fn  ", before="각주 앞", inner=("각주 글",), behind="각주 뒤"),
        (0, "끝입니다."),
    ]
    document = read_document(hwp_of(blocks, flags=flags), "안내.hwp")
    shown = ["첫 문단입니다.", *(text for _, text in rest), "둘째 문단입니다.", "앞뒤", "각주 앞각주 뒤", "각주 글"]
    assert middle(document).split("\n\n") == shown
    assert document.warnings == (
        f"{HEADS}: 입고 안내 / 부서 / 물류팀 / 등급 / 대외비 / 둘째 줄 / 꼬리말",
        f"{HIDDEN}: 숨은 설명",
    )


def test_heads_of_a_large_hwp_are_set_aside() -> None:
    """Beyond 7 MB the list of the table's sectors goes on outside the file's head."""
    long = [(0, chr(0xAC00 + n % 11_000) * 30_000) for n in range(140)]
    data = hwp_of([Hung(kind="head", inner=("머리말",), behind="글"), *long])
    assert len(data) > 8_000_000
    changed, heads, _ = without_heads(data)
    assert heads == ["머리말"]
    assert len(changed) == len(data)
    assert "머리말".encode("utf-16-le") not in changed


@pytest.mark.parametrize("flags", [0, 1])
def test_hwp_without_heads_stays_as_it_is(flags: int) -> None:
    plain = hwp_of([(1, "입고 안내"), BOXED, (0, "head, daeh, toof는 글이다.")], flags=flags)
    assert without_heads(plain) == (plain, [], [])


@pytest.mark.parametrize("flags", [0, 1])
def test_a_damaged_compound_file_stays_as_it_is_or_keeps_its_size(flags: int) -> None:
    whole = hwp_of([Hung(kind="head", inner=("머리말",), behind="글"), (0, "끝")], flags=flags)
    dice = random.Random(11)
    for end in range(0, len(whole), 97):
        assert len(without_heads(whole[:end])[0]) == end
    for _ in range(2000):
        changed = bytearray(whole)
        for _ in range(dice.randint(1, 6)):
            changed[dice.randrange(len(changed))] = dice.choice((0, 1, 0xFF, dice.randrange(256)))
        assert len(without_heads(bytes(changed))[0]) == len(whole)


def test_pictures_are_counted_without_their_bytes() -> None:
    picture = (
        '<hp:pic><hc:img xmlns:hc="http://www.hancom.co.kr/hwpml/2011/core" binaryItemIDRef="image1"/>'
        f'<hp:caption side="BOTTOM">{sub(p("그림 1. 배치도"))}</hp:caption></hp:pic>'
    )
    document = read_hwpx(hwpx_paragraph(picture + t("그림 뒤")))
    assert middle(document) == "그림 뒤\n\n그림 1. 배치도"
    assert document.warnings == ("1 pictures were left out; text in them is not read.",)
