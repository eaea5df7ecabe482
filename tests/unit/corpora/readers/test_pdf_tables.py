"""Tables of two columns on pages of a PDF are never torn apart, and turned pages are read as upright ones."""

from __future__ import annotations

import pytest

from corpora.readers import read_document
from tests.fixture_pdf import pdf_of
from tests.unit.corpora.readers.test_columns import LEFT, RIGHT, TITLE, WHOLE, Words, column

QUESTIONS = [
    ("접수 번호가 보이지 않으면 누구에게 묻는가", "물류팀 담당자에게 전화하고 번호를 다시 받는다"),
    ("상자가 젖어 있으면 어떻게 처리해야 하는가", "사진을 찍은 뒤 따로 두고 품질팀에 바로 알린다"),
    ("온도가 기준보다 높으면 무엇을 해야 하는가", "문을 닫고 십 분 뒤에 다시 재어 기록에 남긴다"),
    ("기한이 지난 물품은 어느 구역에 두어야 하나", "폐기 구역으로 옮기고 빨간 표를 붙여서 둔다"),
    ("반품 사유를 적지 않은 물품은 받을 수 있나", "받지 않고 돌려보내며 그 까닭을 적어서 알린다"),
    ("검수 도중에 불이 꺼지면 어디로 나가야 하나", "비상등을 따라 동쪽 문으로 나가 인원을 센다"),
]
CELLS = [
    ("고객은 물품을 받은 날부터 칠 일 안에 반품을 신청할 수|있으며 이때 드는 운송비는 회사가 부담하는 것으로|정한다."),
    ("고객은 물품을 받은 날부터 삼십 일 안에 반품을 낼|수 있으며 이때 드는 운송비는 고객이 부담하는 것으로|정한다."),
]


def drawn(*rules: tuple[float, float, float, float]) -> bytes:
    """Strokes from place to place."""
    return b"\n".join(b"%g %g m %g %g l S" % rule for rule in rules)


def body(words: Words, lines: bytes = b"") -> str:
    return read_document(pdf_of([[*TITLE, *words]], drawn=lines), "지침.pdf").text


def rows(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.startswith("| ") and "---" not in line]


@pytest.mark.parametrize("apart", [16.0, 20.0])
def test_questions_and_answers_of_one_line_stay_side_by_side(apart: float) -> None:
    words = [
        (left, 740.0 - apart * n, 10.0, cell)
        for n, row in enumerate([("질문", "답변"), *QUESTIONS])
        for left, cell in zip((60.0, 320.0), row, strict=True)
    ]
    assert rows(body(words)) == [f"| {a} | {b} |" for a, b in [("질문", "답변"), *QUESTIONS]]


@pytest.mark.parametrize("apart", [0.0, 12.0])
def test_wrapped_cells_whose_rows_begin_at_one_height_stay_side_by_side(apart: float) -> None:
    words: Words = [(60.0, 740.0, 9.0, "개정 전"), (320.0, 740.0, 9.0, "개정 후")]
    for number in range(4):
        for n, pair in enumerate(zip(*(cell.split("|") for cell in CELLS), strict=True)):
            bottom = 715.0 - number * (42.0 + apart) - 14 * n
            words += [(left, bottom, 9.0, text) for left, text in zip((60.0, 320.0), pair, strict=True)]
    text = body(words)
    assert len(rows(text)) == 13
    assert "| 개정 전 | 개정 후 |" in text
    assert f"| {CELLS[0].split('|')[0]} | {CELLS[1].split('|')[0]} |" in text


#: Two rows of six lines each, drawn as strokes, cell by cell, or as one shape.
GRID = (
    drawn(*((55, at, 560, at) for at in (755, 691, 640)), *((at, 640, at, 755) for at in (55, 312, 560))),
    b"\n".join(b"%d %d 250 %d re S" % (at, low, high) for at in (55, 307) for low, high in ((691, 64), (640, 51))),
    b"q 2 0 0 2 0 0 cm 27.5 377 m 280 377 l 280 320 l 27.5 320 l h 27.5 345 m 280 345 l 156 320 m 156 377 l S Q",
)


@pytest.mark.parametrize("lines", GRID)
def test_what_stands_between_rules_is_a_table_whatever_it_says(lines: bytes) -> None:
    words = sorted([*column(LEFT, 60.0), *column(RIGHT, 320.0)], key=lambda word: (-word[1], word[0]))
    assert f"{WHOLE}\n" in body(words)
    assert rows(body(words, lines)) == [f"| {a} | {b} |" for a, b in zip(LEFT, RIGHT, strict=True)]


def test_rules_around_and_between_columns_make_no_table() -> None:
    lines = drawn((50, 780, 560, 780), (50, 40, 560, 40), (310, 640, 310, 755), (60, 655, 120, 655))
    assert body([*column(LEFT, 60.0), *column(RIGHT, 320.0)], lines) == f"# 입출고 지침\n\n{WHOLE}\n"


@pytest.mark.parametrize("ruled", [True, False])
def test_a_table_below_columns_of_text(ruled: bool) -> None:
    words = [
        *column(LEFT, 60.0),
        *column(RIGHT, 320.0),
        (60.0, 610.0, 9.0, "아래 표에는 " + "자주 묻는 것을 모았습니다. " * 3),
    ]
    for n, row in enumerate(QUESTIONS):
        words += [(left, 580.0 - 18 * n, 9.0, cell) for left, cell in zip((60.0, 320.0), row, strict=True)]
    lines = drawn(*((55, 593 - 18 * n, 560, 593 - 18 * n) for n in range(7))) if ruled else b""
    text = body(words, lines)
    assert WHOLE in text
    assert rows(text) == [f"| {a} | {b} |" for a, b in QUESTIONS]


def test_damaged_drawings_cost_no_text() -> None:
    many = b"0 0 m " + b"9 9 l " * 30_000 + b"S"
    assert body(column(LEFT, 60.0), many) == body(column(LEFT, 60.0))


@pytest.mark.parametrize(("quarters", "rotate"), [(1, True), (1, False), (2, True), (3, True)])
def test_turned_pages_are_read_as_upright_ones(quarters: int, rotate: bool) -> None:
    # Of a font that is not embedded the library loses turned text without a Latin character.
    table = [("품목(a)", "수량(b)", "위치(c)"), ("나사 M3", "30 개", "가동 1층"), ("너트 M4", "40 개", "나동 2층")]
    words = [(60.0 + 140 * c, 500.0 - 16 * r, 10.0, cell) for r, row in enumerate(table) for c, cell in enumerate(row)]
    words += [
        (60.0, 430.0, 10.0, "재고 조사는 달마다 마지막 금요일에 창고 담당자가 2명씩 짝을 지어 하며"),
        (60.0, 414.0, 10.0, "조사표는 다음 월요일까지 냅니다."),
        (60.0, 390.0, 10.0, "1. 조사표를 뽑습니다."),
    ]
    page = [(60.0, 540.0, 16.0, "재고 조사표 A"), *words]
    upright = read_document(pdf_of([page]), "조사표.pdf").text
    assert read_document(pdf_of([page], quarters=quarters, rotate=rotate), "조사표.pdf").text == upright
    assert [f"| {' | '.join(row)} |" for row in table] == rows(upright)
    assert "짝을 지어 하며 조사표는" in upright


def test_items_without_blanks_at_their_ends_are_not_glued() -> None:
    # The paragraph above shows that the program writes blanks at ends of lines; the items are lines of their own.
    said = [
        "보관 온도는 이 도에서 오 도 사이로 하며 매 시각마다 한 번씩 ",
        "기록하고 그 기록은 삼 년 동안 창고 사무실의 서랍에 두었다가 ",
        "기한이 지난 뒤에 관리자와 담당자가 함께 보고 나서 버리는 것을 ",
        "원칙으로 한다.",
    ]
    items = [
        "준비물 냉장 상자와 온도계와 빈 송장과 붉은 표와 비상 연락처",
        "확인란 담당자와 관리자와 품질팀이 저마다 이름을 적고 남긴다",
        "보관처 이 층 사무실 안쪽 서랍에서 두 번째 칸이며 열쇠는 옆에",
    ]
    text = body([*column(said, 60.0), *column(items, 60.0, 650.0)])
    assert "버리는 것을 원칙으로" in text
    assert all(item in text for item in items)
    assert "연락처확인란" not in text
    assert "남긴다보관처" not in text


def test_no_word_goes_on_behind_the_end_of_a_sentence() -> None:
    said = [
        "보관 온도는 이 도에서 오 도 사이로 하며 매 시각마다 한 번씩 ",
        "기록하고 그 기록은 삼 년 동안 창고 사무실의 서랍에 두었다가 ",
        "기한이 지난 뒤에 관리자와 담당자가 함께 보고 나서 마지막으로 ",
        "버린다 그 밖의 것은 담당자가 달마다 정하고 따로 적어서 남긴다",
        "보관처는 이 층 사무실이다",
    ]
    assert "남긴다 보관처는" in body(column(said, 60.0))
