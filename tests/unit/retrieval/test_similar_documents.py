"""Versions of one manual are found, other manuals are not, whatever boilerplate they share."""

from __future__ import annotations

import random
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.records import Document
from retrieval.chunking import chunk_document
from retrieval.similar_documents import SAME_MANUAL, UnitIndex, packed, same_manual, similar_documents, unpacked

PLACES = ("입고장", "출고장", "보관 구역", "반품 창구", "냉동 창고", "분류기 앞", "하역장", "포장대")
THINGS = ("팔레트", "송장", "상자", "라벨", "지게차", "토트", "봉인", "명세서", "바코드", "단말기")
DEEDS = ("확인합니다", "옮깁니다", "기록합니다", "닫습니다", "비웁니다", "점검합니다", "다시 셉니다", "돌려보냅니다")


def sentence(rng: random.Random) -> str:
    number = rng.randrange(10_000)
    return f"{rng.choice(PLACES)}에서 {number}번 {rng.choice(THINGS)} {rng.choice(THINGS)} 순으로 {rng.choice(DEEDS)}."


def manual(seed: int, length: int = 100) -> list[str]:
    rng = random.Random(seed)
    return [sentence(rng) for _ in range(length)]


def text_of(sentences: list[str]) -> str:
    return "# 안내서\n\n" + "\n\n".join(" ".join(sentences[i : i + 5]) for i in range(0, len(sentences), 5))


def edited(sentences: list[str], share: float) -> list[str]:
    rng = random.Random(777)
    places = set(rng.sample(range(len(sentences)), round(share * len(sentences))))
    return [sentence(rng) if i in places else s for i, s in enumerate(sentences)]


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_the_share_is_what_was_left(share: float) -> None:
    old = manual(1)
    known = {f"doc_{seed}": text_of(manual(seed)) for seed in range(1, 20)}
    pairs = similar_documents({"new": text_of(edited(old, share))}, known, threshold=0.3)
    assert [pair.other_id for pair in pairs] == ["doc_1"]
    assert pairs[0].share == pytest.approx(1 - share, abs=0.03)
    assert same_manual(text_of(old), text_of(edited(old, share))) > SAME_MANUAL


def test_an_excerpt_is_found_from_both_sides() -> None:
    whole = manual(3)
    (pair,) = similar_documents({"part": text_of(whole[:30])}, {"whole": text_of(whole)})
    assert pair.share > 0.95
    assert 0.25 < pair.other_share < 0.4
    (pair,) = similar_documents({"whole": text_of(whole)}, {"part": text_of(whole[:30])})
    assert pair.other_share > 0.95


def test_boilerplate_makes_nobody_alike() -> None:
    form = manual(999, 60)
    texts = {f"doc_{seed}": text_of(form + manual(seed, 30)) for seed in range(100)}
    assert similar_documents(texts, {}, threshold=0.3) == []


def test_many_versions_of_one_manual_are_all_alike() -> None:
    old = manual(5)
    texts = {f"doc_{n}": text_of([*old[:-1], f"판 번호는 {n}입니다."]) for n in range(30)}
    pairs = similar_documents(texts, {})
    assert len(pairs) == 30 * 29 // 2
    assert min(pair.share for pair in pairs) > 0.8


def test_new_documents_are_compared_with_each_other_once() -> None:
    text = text_of(manual(1))
    pairs = similar_documents({"a": text, "b": text}, {})
    assert [(pair.document_id, pair.other_id, pair.share, pair.jaccard) for pair in pairs] == [("b", "a", 1.0, 1.0)]


def test_marks_and_normal_forms_do_not_matter() -> None:
    (pair,) = similar_documents(
        {"a": "## **입고** 절차\n\n- 수량을 `확인`합니다."},
        {"b": unicodedata.normalize("NFD", "입고 절차\n수량을 확인합니다.")},
    )
    assert pair.share == pair.other_share == 1.0


def test_stored_chunks_fill_the_index_as_texts_do() -> None:
    text = text_of(manual(4))
    chunks = chunk_document(Document(id="doc_a", title="안내서", text=text, media_type="text/markdown"))
    index = UnitIndex()
    index.add_passages("doc_a", [chunk.text for chunk in chunks])
    (pair,) = index.similar("new", text)
    assert pair.share == 1.0
    assert "new" not in index
    assert len(index) == 1


@given(st.dictionaries(st.integers(0, 2**64 - 1), st.integers(1, 2**32 - 1), max_size=20))
def test_units_come_back_from_bytes(units: dict[int, int]) -> None:
    assert unpacked(packed(units)) == units
    assert len(packed(units)) == 12 * len(units)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 3), st.booleans()), max_size=25))
def test_removal_leaves_what_a_fresh_index_holds(steps: list[tuple[str, int, bool]]) -> None:
    index = UnitIndex()
    texts: dict[str, str] = {}
    for document_id, version, remove in steps:
        if remove:
            assert index.remove(document_id) == (texts.pop(document_id, None) is not None)
        else:
            texts[document_id] = f"공통 문장입니다.\n{version}판 문장입니다.\n{document_id} 문장입니다."
            index.add(document_id, texts[document_id])
    fresh = UnitIndex()
    for document_id, text in texts.items():
        fresh.add(document_id, text)
    probe = "공통 문장입니다.\n1판 문장입니다."
    assert index.similar("probe", probe, 0.01) == fresh.similar("probe", probe, 0.01)


def test_documents_without_words_are_like_nobody() -> None:
    assert similar_documents({"a": "", "b": "---\n\n***"}, {"c": "", "d": "글입니다."}) == []
    assert same_manual("", "") == 1.0
    assert same_manual("", "글입니다.") == 0.0


def test_same_manual_looks_through_small_changes_in_every_sentence() -> None:
    old = text_of(manual(8))
    assert same_manual(old, old.replace("팔레트", "파렛트").replace("합니다.", "하십시오.")) > 0.6
    assert same_manual(old, text_of(manual(9))) < SAME_MANUAL


def test_cost_grows_with_the_documents() -> None:
    form = manual(999, 20)

    def cost(count: int) -> float:
        texts = {f"doc_{seed}": text_of(form + manual(seed, 20)) for seed in range(count)}
        began = time.process_time()
        similar_documents(texts, {})
        return time.process_time() - began

    assert cost(400) < 10 * cost(100) + 0.05
