"""The lexical index: what it finds, that removal leaves no trace, and files that are broken."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.index.files import BrokenIndexError
from retrieval.index.lexical import LexicalIndex, gram_terms

TEXTS = (
    "반품은 상품을 받은 날부터 7일 안에 고객센터로 접수합니다.",
    "오류 코드 WMS-1024가 나오면 서버를 다시 시작하지 않고 로그를 먼저 봅니다.",
    "오류 코드 E-204는 송장 번호가 겹칠 때 나옵니다. 번호를 고쳐 다시 올립니다.",
    "냉장 창고의 온도는 영상 2도에서 8도 사이로 두고 한 시간마다 기록합니다.",
    "재고관리 화면에서 로케이션을 고르면 Picking list 단추가 보입니다.",
    "펌웨어 v2.3.1부터 스캐너 배터리 잔량이 20% 아래면 경고음이 울립니다.",
    "포장재는 재활용 상자를 먼저 쓰고, 모자라면 구매 부서에 요청합니다.",
)


def built(texts: tuple[str, ...] = TEXTS) -> LexicalIndex:
    index = LexicalIndex()
    index.add(range(10, 10 + len(texts)), texts)
    return index


def best(index: LexicalIndex, query: str, field: str) -> int:
    found = index.scores(query)
    scores = getattr(found, field)
    assert scores.max() > 0
    return int(found.ids[scores.argmax()])


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("반품 접수 기한이 며칠인가요?", 10),
        ("WMS-1024", 11),
        ("wms-1024 오류", 11),
        ("E-204 가 떠요", 12),
        ("e204", 12),
        ("냉장창고 온도", 13),
        ("관리 화면", 14),
        ("picking LIST", 14),
        ("v2.3.1", 15),
        ("경고음 20%", 15),
        (unicodedata.normalize("NFD", "재활용 포장재"), 16),
    ],
)
def test_both_halves_find_it(query: str, number: int) -> None:
    index = built()
    assert best(index, query, "bm25") == number
    assert best(index, query, "grams") == number


def test_what_shares_nothing_scores_nothing() -> None:
    found = built().scores("xyzzy")
    assert not found.bm25.any()
    assert not found.grams.any()
    assert found.ids.tolist() == list(range(10, 17))
    assert [str(part.dtype) for part in (found.bm25, found.grams, found.ids)] == ["float32", "float32", "int64"]


def test_an_empty_index_and_empty_texts() -> None:
    index = LexicalIndex()
    assert len(index) == 0
    assert index.scores("반품").bm25.shape == (0,)
    index.add([], [])
    index.add([1, 2], ["", "***"])
    assert len(index) == 2
    assert not index.scores("반품").grams.any()
    assert not index.scores("").grams.any()
    assert index.remove([1, 2, 3]) == 2
    assert index.remove([]) == 0
    assert len(index.ids()) == 0


def test_an_id_stands_once() -> None:
    index = built()
    with pytest.raises(ValueError, match="remove it first"):
        index.add([16], ["같은 번호"])
    with pytest.raises(ValueError, match="remove it first"):
        index.add([20, 20], ["가", "나"])
    with pytest.raises(ValueError, match="1 ids for 2 texts"):
        index.add([20], ["가", "나"])
    assert index.remove([16]) == 1
    index.add([16], ["같은 번호"])
    assert index.ids().tolist() == list(range(10, 17))


def test_grams_do_not_cross_words() -> None:
    grams = set(gram_terms("재고 실사").tolist())
    assert grams == set(gram_terms("실사, 재고!").tolist())
    assert len(grams) == 6  # " 재", "재고", " 재고" and the same of 실사
    assert len(gram_terms("가")) == 1
    assert len(gram_terms("\ud800")) == 0


WORDS = ("재고", "실사", "입고", "출고를", "확인합니다", "E-204", "오류", "냉장", "창고", "반품")
texts = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
steps = st.lists(
    st.tuples(st.lists(texts, max_size=4), st.sets(st.integers(0, 15), max_size=6).map(sorted)), max_size=6
)


@settings(max_examples=60, deadline=None)
@given(steps=steps, query=texts)
def test_removal_leaves_no_trace(steps: list[tuple[list[str], list[int]]], query: str) -> None:
    index, count = LexicalIndex(), 0
    living: dict[int, str] = {}
    for added, removed in steps:
        index.add(range(count, count + len(added)), added)
        living.update(enumerate(added, start=count))
        count += len(added)
        gone = [number for number in removed if living.pop(number, None) is not None]
        assert index.remove(removed) == len(gone)
    fresh = LexicalIndex()
    fresh.add(list(living), list(living.values()))
    got, wanted = index.scores(query), fresh.scores(query)
    assert index.ids().tolist() == got.ids.tolist() == list(living)
    np.testing.assert_array_equal(got.bm25, wanted.bm25)
    np.testing.assert_array_equal(got.grams, wanted.grams)


def test_many_small_additions_are_merged() -> None:
    index, whole = LexicalIndex(), LexicalIndex()
    texts = [f"{TEXTS[i % 7]} {i}번 구역" for i in range(120)]
    for number, text in enumerate(texts):
        index.add([number], [text])
    whole.add(range(120), texts)
    assert max(len(postings.segments) for postings in index._state.fields) <= 8
    np.testing.assert_array_equal(index.scores("냉장 77번").bm25, whole.scores("냉장 77번").bm25)
    np.testing.assert_array_equal(index.scores("냉장 77번").grams, whole.scores("냉장 77번").grams)


def test_a_search_goes_on_with_what_it_began() -> None:
    index = built()
    before = index._state
    index.remove(range(10, 16))
    assert before.alive.all()
    assert len(index.scores("포장재").ids) == 1


def test_saved_and_loaded(tmp_path: Path) -> None:
    index = built()
    index.remove([11])
    path = tmp_path / "색인.npz"
    index.save(path)
    loaded = LexicalIndex.load(path)
    assert loaded.ids().tolist() == index.ids().tolist()
    np.testing.assert_array_equal(loaded.scores("오류 코드").bm25, index.scores("오류 코드").bm25)
    loaded.add([50], ["WMS-1024 설명"])
    assert best(loaded, "WMS-1024", "bm25") == 50
    LexicalIndex().save(path)
    assert len(LexicalIndex.load(path)) == 0


def test_a_broken_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "1.npz"
    with pytest.raises(BrokenIndexError):
        LexicalIndex.load(path)
    built(TEXTS[:2]).save(path)
    whole = path.read_bytes()
    for cut in range(0, len(whole), 97):
        path.write_bytes(whole[:cut])
        with pytest.raises(BrokenIndexError):
            LexicalIndex.load(path)
    np.save(path.with_suffix(".npy"), np.arange(3))
    with pytest.raises(BrokenIndexError):
        LexicalIndex.load(path.with_suffix(".npy"))


def test_a_damaged_file_says_so_or_says_the_same(tmp_path: Path) -> None:
    """Bytes that neither numpy nor zip reads (times, padding) may differ; nothing else may."""
    path = tmp_path / "1.npz"
    index = built(TEXTS[:2])
    index.save(path)
    whole, wanted = path.read_bytes(), index.scores("오류 서버 반품")
    random = np.random.default_rng(7)
    refused = 0
    for place in random.integers(0, len(whole), 150):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        try:
            found = LexicalIndex.load(path).scores("오류 서버 반품")
        except BrokenIndexError:
            refused += 1
        else:
            np.testing.assert_array_equal(found.bm25, wanted.bm25)
            np.testing.assert_array_equal(found.grams, wanted.grams)
    assert refused > 75


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("made_by", np.array("lexical-v0")),
        ("words_rows", np.array([99], dtype=np.int32)),
        ("grams_starts", np.array([0], dtype=np.int64)),
        ("lengths", np.zeros((2, 1), dtype=np.int32)),
        ("ids", np.array(5)),
        ("grams_counts", np.zeros((2, 2), dtype=np.uint16)),
    ],
)
def test_a_file_of_other_contents_is_refused(tmp_path: Path, name: str, value: np.ndarray) -> None:
    path = tmp_path / "1.npz"
    built(TEXTS[:3]).save(path)
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    np.savez(path, **(arrays | {name: value}))
    with pytest.raises(BrokenIndexError):
        LexicalIndex.load(path)
