"""Pages of two columns are read column by column; tables of two columns stay tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.readers import read_document
from corpora.readers.pdf_columns import in_columns
from corpora.readers.pdf_lines import Line
from tests.fixture_pdf import pdf_of

Words = list[tuple[float, float, float, str]]
LEFT = [
    "입고 담당자는 차량이 도착하면 송장에 적힌 품목과 실제",
    "수량을 대조하고, 다른 것이 있으면 그 자리에서 사진을",
    "남긴 다음 관리자에게 알립니다. 관리자는 한 시간 안에",
    "받을지를 정하고 결과를 단말기에 적습니다. 그동안 차량은",
    "대기 구역에 세워 두며 도크를 비워 둡니다. 사진은 기록과",
    "함께 일 년 동안 보관하고 그 뒤에는 창고의 기록 관리",
]
RIGHT = [
    "규정에 따라 지웁니다. 출고 담당자는 주문서를 받은 순서",
    "대로 물건을 고르고, 무거운 것부터 상자에 담습니다. 상자",
    "마다 송장을 붙이고 무게를 잰 뒤에 분류기 앞에 놓습니다.",
    "무게가 다르면 다시 열어 봅니다. 분류가 끝난 상자는 지역",
    "별로 쌓아 두고, 마감 시각이 되면 차량에 싣습니다. 싣고",
    "남은 상자는 이튿날 가장 먼저 나갑니다.",
]
TABLE = [
    "구분|처리 기준",
    "입고|송장과 수량을 대조하고 다르면 사진을 남깁니다",
    "적치|무거운 것은 아래 칸에 둡니다",
    "출고|주문서를 받은 순서대로 물건을 고르고 상자에 담습니다",
    "반품|이레 안에 검수합니다",
    "실사|달마다 한 번 합니다",
]
TITLE = [(60.0, 790.0, 16.0, "입출고 지침")]


def column(texts: Sequence[str], left: float, top: float = 740.0) -> Words:
    return [(left, top - 16 * n, 9.0, text) for n, text in enumerate(texts)]


def body(words: Words) -> str:
    return read_document(pdf_of([[*TITLE, *words]]), "지침.pdf").text


WHOLE = " ".join([*LEFT, *RIGHT])


@pytest.mark.parametrize("order", ["by column", "by line", "from below"])
def test_sentences_go_on_from_line_to_line_and_to_the_next_column(order: str) -> None:
    words = [*column(LEFT, 60.0), *column(RIGHT, 320.0)]
    if order == "by line":
        words.sort(key=lambda word: (-word[1], word[0]))
    elif order == "from below":
        words.reverse()
    assert body(words) == f"# 입출고 지침\n\n{WHOLE}\n"


def test_what_stands_across_parts_the_page() -> None:
    middle = "이 아래는 이듬해부터 적용하며, 그 전에 받은 물건에는 위의 지침을 그대로 적용하고 예외를 두지 않습니다."
    above, below = (
        [*column(LEFT, 60.0), *column(RIGHT, 320.0)],
        [*column(RIGHT, 60.0, 560.0), *column(LEFT, 320.0, 560.0)],
    )
    text = body([*above, (60.0, 600.0, 9.0, middle), *below])
    assert text == f"# 입출고 지침\n\n{WHOLE}\n\n{middle}\n\n{' '.join(RIGHT)}\n\n{' '.join(LEFT)}\n"


def test_a_table_of_two_columns_stays_one() -> None:
    words = [
        (left, 740.0 - 20 * n, 9.0, cell)
        for n, row in enumerate(TABLE)
        for left, cell in zip((60.0, 320.0), row.split("|"), strict=True)
    ]
    text = body(words)
    assert all(f"| {' | '.join(row.split('|'))} |" in text for row in TABLE)


def test_a_word_that_a_line_breaks_is_one_word() -> None:
    # As the program wrote it: a blank at the end of a line stands between two words, its lack within one.
    said = [
        *RIGHT[:3],
        "무게가 다르면 다시 열어 보고 확인한 사람의 이름을 적은 ",
        "다음 분류가 끝난 상자를 지역별로 쌓아 두고 마감 시각을 ",
        "기다립니다. 그 뒤에 나온 주문은 모두 그다음 날의 첫째 ",
        "차량에 싣습니다.",
    ]
    text = body(column(said, 60.0))
    assert "받은 순서대로 물건을" in text
    assert "상자마다 송장을" in text
    assert "적은 다음 분류가" in text
    bare = body(column([line.rstrip() for line in said], 60.0))
    assert "받은 순서 대로 물건을" in bare


LINES = st.lists(
    st.builds(
        lambda left, widths, bottom, size: Line(
            tuple((left + 150.0 * n, f"글{n}") for n in range(len(widths))),
            tuple(left + 150.0 * n + width for n, width in enumerate(widths)),
            bottom,
            size,
        ),
        left=st.sampled_from([60.0, 66.0, 200.0, 320.0]),
        widths=st.lists(st.sampled_from([20.0, 120.0, 140.0, 240.0]), min_size=1, max_size=3),
        bottom=st.sampled_from([700.0 - 14 * n for n in range(12)]),
        size=st.sampled_from([9.0, 10.0, 16.0]),
    ),
    max_size=40,
)


@given(LINES)
def test_nothing_is_lost(lines: list[Line]) -> None:
    def cells(some: Sequence[Line]) -> Counter[tuple[float, float, float]]:
        return Counter(
            (left, end, line.bottom) for line in some for (left, _), end in zip(line.cells, line.ends, strict=True)
        )

    assert cells(in_columns(lines)) == cells(lines)
