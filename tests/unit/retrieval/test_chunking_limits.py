"""Chunks within the embedder's tokens, and chunks that repeat the last sentences of the one before."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.bundled import manual_pages
from corpora.records import Chunk, Document
from retrieval.chunking import TokenLimit, chunk_document

WORDS = st.sampled_from(
    [
        "# 입고\n\n",
        "검수를 시작합니다. 수량이 맞습니다.\n\n",
        "1. 셉니다.\n",
        "| 가 | 나 |\n|--|--|\n| 1 | 2 |\n\n",
        "긴말" * 90 + "\n",
    ]
)
PAGES = st.lists(WORDS, max_size=15).map("".join)


def document(text: str) -> Document:
    return Document(id="doc_a", title="제목", text=text, media_type="text/markdown")


def by_byte(texts: Sequence[str]) -> list[int]:
    return [len(text.encode()) for text in texts]


def covered(text: str, chunks: Sequence[Chunk]) -> None:
    end = 0
    for before, chunk in zip([None, *chunks], chunks, strict=False):
        assert text[chunk.start : chunk.end] == chunk.text
        assert before is None or (before.start < chunk.start and before.end < chunk.end)
        assert not text[end : chunk.start].strip()
        end = chunk.end
    assert not text[end:].strip()


@settings(max_examples=50, deadline=None)
@given(PAGES, st.sampled_from([3, 20, 200]), st.sampled_from([0, 1, 2]))
def test_no_chunk_has_more_tokens(text: str, most: int, overlap: int) -> None:
    limit = TokenLimit(count=by_byte, max_tokens=most)
    chunks = chunk_document(document(text), limit=limit, overlap_sentences=overlap)
    covered(text, chunks)
    assert all(len(chunk.text.encode()) <= most for chunk in chunks)


def test_a_character_above_the_limit_stays() -> None:
    chunks = chunk_document(document("가나 다"), limit=TokenLimit(count=by_byte, max_tokens=2))
    assert [chunk.text for chunk in chunks] == ["가", "나", "다"]


def test_a_tokenizer_that_counts_too_much_comes_to_an_end() -> None:
    limit = TokenLimit(count=lambda texts: [1000] * len(texts), max_tokens=5)
    assert all(len(chunk.text) == 1 for chunk in chunk_document(document("글자마다 " * 30), limit=limit))


def test_counting_is_batched_and_spares_what_cannot_exceed() -> None:
    calls: list[int] = []

    def count(texts: Sequence[str]) -> list[int]:
        calls.append(len(texts))
        return [len(text) // 2 for text in texts]

    text = manual_pages()[0].read_text(encoding="utf-8")
    plain = chunk_document(document(text))
    assert chunk_document(document(text), limit=TokenLimit(count=count, max_tokens=5000)) == plain
    assert calls == []
    chunks = chunk_document(document(text), limit=TokenLimit(count=count, max_tokens=200))
    assert max(len(chunk.text) // 2 for chunk in chunks) <= 200
    assert len(calls) <= 5
    assert len(chunks) < 2.5 * len(plain)


def test_a_limit_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        TokenLimit(count=by_byte, max_tokens=0)


@settings(max_examples=40, deadline=None)
@given(PAGES, st.sampled_from([10, 60, 300]), st.sampled_from([1, 3]))
def test_overlap_keeps_offsets_and_size(text: str, max_chars: int, overlap: int) -> None:
    chunks = chunk_document(document(text), max_chars=max_chars, overlap_sentences=overlap)
    covered(text, chunks)
    assert all(len(chunk.text) <= max_chars for chunk in chunks)


def test_overlap_repeats_the_last_sentence_within_a_section() -> None:
    def section(name: str) -> str:
        body = " ".join(f"{name} {n}번을 조사한 담당자는 전표를 만들어야 합니다." for n in range(40))
        return f"## {name}\n\n{body}\n\n"

    text = section("재고") + section("반품")
    chunks = chunk_document(document(text), max_chars=300, overlap_sentences=1)
    covered(text, chunks)
    for before, chunk in itertools.pairwise(chunks):
        if before.headings == chunk.headings:
            repeated = text[chunk.start : before.end]
            assert repeated.endswith("합니다.")
            assert repeated.count("합니다.") == 1
        else:
            assert chunk.start >= before.end


def test_rows_are_not_repeated() -> None:
    text = "| 가 | 나 |\n| --- | --- |\n" + "".join(f"| 상품 {n} | 설명입니다. |\n" for n in range(60))
    chunks = chunk_document(document(text), max_chars=200, overlap_sentences=2)
    assert all(chunk.start >= before.end for before, chunk in itertools.pairwise(chunks))
