"""Chunks: exact offsets, nothing lost, order kept; steps, rows and procedures whole; ids that outlive edits."""

from __future__ import annotations

import gc
import re
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.bundled import manual_pages
from corpora.records import Chunk, Document
from retrieval.chunking import MAX_CHARS, chunk_document


def document(text: str) -> Document:
    return Document(id="doc_a", title="제목", text=text, media_type="text/markdown")


def check(text: str, max_chars: int = MAX_CHARS) -> list[Chunk]:
    """Text of offsets, order without overlap, nothing but blanks between, no chunk too long."""
    end = 0
    chunks = chunk_document(document(text), max_chars=max_chars)
    for index, chunk in enumerate(chunks):
        assert text[chunk.start : chunk.end] == chunk.text
        assert chunk.index == index
        assert chunk.start >= end
        assert not text[end : chunk.start].strip()
        assert chunk.text.strip()
        assert len(chunk.text) <= max_chars
        end = chunk.end
    assert not text[end:].strip()
    assert len({chunk.id for chunk in chunks}) == len(chunks)
    return chunks


PIECES = st.sampled_from(
    [
        "# 입고\n",
        "## 검수 절차\n",
        "### 셋째\n",
        "차량이 도착하면 도크를 배정합니다. 운전자는 시동을 끕니다.\n",
        "\n",
        "1. 수량을 셉니다.\n",
        "2. 서명합니다.\n",
        "   단계에 딸린 문단입니다. 사진을 붙입니다.\n",
        "   - 안쪽 항목\n",
        "- 항목\n",
        "| 가 | 나 |\n",
        "| --- | --- |\n",
        "| 로케이션 A-01 | 팔레트 열두 개 |\n",
        "```\n",
        "    들여쓴 코드\n",
        "> 인용입니다.\n",
        "<table><tr><td>칸</td>\n",
        "</tr></table>\n",
        "[참고]: https://example.com\n",
        "다음 순서로 진행합니다.\n",
        "아주긴낱말" * 12 + " " + "가나" * 60 + "\n",
        unicodedata.normalize("NFC", unicodedata.normalize("NFD", "자모로 풀린 글입니다.\n")),
        "🙂 이모지와 ㄱㄴ 👩‍👩‍👧‍👦\n",
        "\x0c",
        "---\n",
        "끝",
    ]
)
PAGES = st.lists(PIECES, max_size=25).map("".join)


@settings(max_examples=20, deadline=None)
@given(PAGES, st.sampled_from([7, 40, 120, 900]))
def test_any_text(text: str, max_chars: int) -> None:
    chunks = check(text, max_chars)
    assert [chunk.id for chunk in chunks] == [chunk.id for chunk in chunk_document(document(text), max_chars=max_chars)]


def test_the_bundled_manual() -> None:
    for page in manual_pages():
        chunks = check(page.read_text(encoding="utf-8"))
        assert len(chunks) >= 5
        for chunk in chunks:
            assert chunk.headings


def test_heading_path_and_whole_procedure() -> None:
    text = "# 출고\n\n출고란 상품을 내보내는 일입니다.\n\n## 상차\n\n### 상차 검수\n\n" + (
        "상차 검수를 시작하려면 다음 순서대로 진행합니다.\n\n1. 차량을 확인합니다.\n2. 봉인합니다.\n"
    )
    last = chunk_document(document(text))[-1]
    assert last.headings == ("출고", "상차", "상차 검수")
    assert "1. 차량을" in last.text
    assert "2. 봉인합니다." in last.text


def step(number: int) -> str:
    return (
        f"{number}. 단계 {number}을 시작합니다.\n\n"
        f"   단계 {number}에서는 화면을 살펴봅니다. 값이 다르면 멈춥니다.\n\n"
        f"   - 첫째 값 {number}\n   - 둘째 값 {number}\n\n"
    )


@pytest.mark.parametrize("max_chars", [100, 150, 300])
def test_a_step_stays_whole_with_what_belongs_to_it(max_chars: int) -> None:
    text = "# 마감\n\n다음 단계를 따르십시오.\n\n" + "".join(map(step, range(1, 10)))
    chunks = check(text, max_chars)
    assert len(chunks) > 2
    for number in range(1, 10):
        assert sum(step(number).strip() in chunk.text for chunk in chunks) == 1
    assert "따르십시오.\n\n1. 단계" in chunks[0].text  # the sentence that announces the steps goes with the first


def test_a_step_that_does_not_fit_is_cut_at_its_own_paragraphs() -> None:
    text = step(1) + step(2)
    chunks = check(text, 60)
    for number in (1, 2):
        paragraph = f"단계 {number}에서는 화면을 살펴봅니다. 값이 다르면 멈춥니다."
        assert any(paragraph in chunk.text for chunk in chunks)


def test_a_long_table_is_cut_between_rows_and_its_header_stays_with_a_row() -> None:
    rows = [f"| R-{n:03} | 상품 {n} | {'설명 ' * 20}|" for n in range(60)]
    text = "# 표\n\n아래 표를 봅니다.\n\n| 코드 | 이름 | 설명 |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"
    chunks = check(text, 400)
    assert len(chunks) > 10
    for row in rows:
        assert any(row in chunk.text for chunk in chunks)
    assert rows[0] in chunks[0].text
    assert "아래 표를" in chunks[0].text


def test_code_is_cut_between_lines() -> None:
    lines = [f"INSERT INTO stock VALUES ({n}, '상품 {n}');" for n in range(100)]
    chunks = check("# 코드\n\n```sql\n" + "\n".join(lines) + "\n```\n", 300)
    for line in lines:
        assert any(line in chunk.text for chunk in chunks)
    assert chunks[-1].text.endswith(f"{lines[-1]}\n```")
    assert f"```sql\n{lines[0]}" in chunks[0].text


def test_rows_of_html_stay_whole() -> None:
    rows = [f"<tr>\n<td>{n}</td>\n<td>값 {n}</td>\n</tr>" for n in range(40)]
    chunks = check("<table>\n" + "\n".join(rows) + "\n</table>\n", 150)
    for row in rows:
        assert any(row in chunk.text for chunk in chunks)


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    sentence = "재고 {}번을 조사한 담당자는 수량이 맞지 않으면 조정 전표를 만들어야 합니다."
    text = " ".join(sentence.format(n) for n in range(300))
    chunks = check(text, 400)
    assert all(chunk.text.endswith("합니다.") for chunk in chunks)
    assert len(chunks) < len(text) / 400 * 1.3


def test_characters_shown_as_one_are_not_parted() -> None:
    family = "👩‍👩‍👧‍👦"
    for chunk in check(family * 100, 40):
        assert chunk.text == family * (len(chunk.text) // len(family))


def test_a_heading_of_any_length_is_named_shortly() -> None:
    chunks = check("# " + "가나다라 " * 2_000 + "\n\n본문입니다.\n")
    assert all(len(chunk.headings[0]) <= 300 for chunk in chunks)


@pytest.mark.parametrize("unit", ["# a\n", "- 항목\n  - 안\n", "| a |\n|--|\n", "[\n", "가나다라", "```\n", "> - a\n"])
def test_cost_grows_with_the_text(unit: str) -> None:
    def cost(size: int) -> float:
        text = unit * (size // len(unit))
        # In a process that holds much a collection costs more than the cutting.
        gc.collect()
        gc.disable()
        try:
            began = time.process_time()
            chunk_document(document(text))
            return time.process_time() - began
        finally:
            gc.enable()

    cost(2_000)
    # Four times the text costs four times as much, sixteen times where it is squared.
    assert cost(32_000) < 10 * cost(8_000) + 0.05


def test_ids_outlive_edits_elsewhere() -> None:
    sections = [f"## {n}. 작업\n\n{n}번 작업은 {'자세히 ' * 40}설명합니다.\n\n" for n in range(30)]
    old = chunk_document(document("# 안내\n\n" + "".join(sections)))
    sections.insert(3, "## 새 작업\n\n새로 들어온 작업입니다.\n\n")
    new = chunk_document(document("# 안내\n\n" + "".join(sections)))
    assert {chunk.id for chunk in old} < {chunk.id for chunk in new}
    assert len(new) == len(old) + 1
    assert [chunk.index for chunk in new] == list(range(len(new)))


def test_equal_chunks_have_ids_of_their_own() -> None:
    chunks = check("# 가\n\n같은 글입니다.\n\n" * 3)
    assert len(chunks) == 3
    other = chunk_document(Document(id="doc_b", title="제목", text="# 가\n\n같은 글입니다.", media_type="text/plain"))
    assert other[0].id not in {chunk.id for chunk in chunks}
    assert re.fullmatch("chunk_[0-9a-f]{24}", other[0].id)


def test_sizes_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="max_chars 0"):
        chunk_document(document("글"), max_chars=0)
    with pytest.raises(ValueError, match="overlap_sentences -1"):
        chunk_document(document("글"), overlap_sentences=-1)
