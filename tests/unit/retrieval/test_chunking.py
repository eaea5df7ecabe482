"""Chunks: exact offsets, nothing lost, order kept, procedures and tables whole."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.bundled import manual_pages
from corpora.records import Document
from retrieval.chunking import MAX_CHARS, chunk_document


def document(text: str) -> Document:
    return Document(id="doc_a", title="제목", text=text, media_type="text/markdown")


def check(text: str, max_chars: int = MAX_CHARS) -> None:
    """The three promises: text of offsets, order without overlap, nothing but blanks between."""
    end = 0
    for index, chunk in enumerate(chunk_document(document(text), max_chars=max_chars)):
        assert text[chunk.start : chunk.end] == chunk.text
        assert chunk.index == index
        assert chunk.start >= end
        assert not text[end : chunk.start].strip()
        assert chunk.text.strip()
        end = chunk.end
    assert not text[end:].strip()


PIECES = st.sampled_from(
    [
        "# 입고\n",
        "## 검수 절차\n",
        "### 셋째\n",
        "차량이 도착하면 도크를 배정합니다. 운전자는 시동을 끕니다.\n",
        "\n",
        "1. 수량을 셉니다.\n",
        "2. 서명합니다.\n",
        "- 항목\n",
        "| 가 | 나 |\n",
        "| --- | --- |\n",
        "```\n",
        "> 인용입니다.\n",
        "아주긴낱말" * 30 + "\n",
        "🙂 이모지와 ㄱㄴ\n",
        "\x0c",
        "끝",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, max_size=30).map("".join), st.sampled_from([40, 120, 900]))
def test_any_text(text: str, max_chars: int) -> None:
    check(text, max_chars)


def test_the_bundled_manual() -> None:
    for page in manual_pages():
        text = page.read_text(encoding="utf-8")
        check(text)
        chunks = chunk_document(document(text))
        assert len(chunks) >= 5
        for chunk in chunks:
            assert len(chunk.text) <= MAX_CHARS
            assert chunk.headings


def test_heading_path_and_whole_procedure() -> None:
    text = "# 출고\n\n출고란 상품을 내보내는 일입니다.\n\n## 상차\n\n### 상차 검수\n\n" + (
        "상차 검수를 시작하려면 다음 순서대로 진행합니다.\n\n1. 차량을 확인합니다.\n2. 봉인합니다.\n"
    )
    last = chunk_document(document(text))[-1]
    assert last.headings == ("출고", "상차", "상차 검수")
    assert "1. 차량을" in last.text
    assert "2. 봉인합니다." in last.text


def test_ids_depend_on_document_and_index_only() -> None:
    first, second = (chunk_document(document(text)) for text in ("# 가\n\n나", "# 다\n\n라"))
    assert [c.id for c in first] == [c.id for c in second]
