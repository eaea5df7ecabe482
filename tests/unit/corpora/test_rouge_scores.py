"""ROUGE-1, ROUGE-2 and ROUGE-L of Korean sentences in morphemes, by hand."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.korean.rouge import ROUGE_TYPES, rouge, rouge_l


def test_by_hand_on_words_without_endings() -> None:
    # Target 입고 확인 등록, prediction 입고 등록: two of two, two of three; no bigram in common.
    found = rouge("입고 확인 등록", "입고 등록", "whitespace")
    assert (found["rouge1"].precision, found["rouge1"].recall) == pytest.approx((1.0, 2 / 3))
    assert found["rouge1"].f1 == pytest.approx(0.8)
    assert found["rouge2"].f1 == 0.0
    assert found["rougeL"].f1 == pytest.approx(0.8)


def test_order_counts_for_the_longest_common_subsequence_only() -> None:
    found = rouge("입고 확인 등록", "등록 확인 입고", "whitespace")
    assert found["rouge1"].f1 == 1.0
    assert found["rougeL"].f1 == pytest.approx(1 / 3)
    assert found["rouge2"].f1 == 0.0


def test_particles_and_endings_are_units() -> None:
    # 입고/를/등록/하/ᆸ니다 against 입고/를/등록/하/ᆫ다: four of five morphemes; the full stops do not count.
    found = rouge("입고를 등록합니다.", "입고를 등록한다.")
    assert found["rouge1"].f1 == pytest.approx(4 / 5)
    assert found["rouge2"].f1 == pytest.approx(3 / 4)


@pytest.mark.parametrize("nothing", [".", "…", "?!", "- - -", "。", "()"])
def test_an_answer_without_letter_or_digit_scores_nothing(nothing: str) -> None:
    for target in ("입고는 3번 도크에서 합니다. (단, 냉장은 제외)…", nothing):
        assert all((one.precision, one.recall, one.f1) == (0, 0, 0) for one in rouge(target, nothing).values())
    assert rouge("3번", "3번!")["rouge1"].f1 == rouge("WMS", "WMS.")["rouge1"].f1 == 1.0


def test_decomposed_syllables_and_nothing() -> None:
    text = "온도 이탈 경보를 해제합니다."
    assert rouge(text, unicodedata.normalize("NFD", text))["rougeL"].f1 == 1.0
    assert {name: one.f1 for name, one in rouge(text, "").items()} == dict.fromkeys(ROUGE_TYPES, 0.0)


WORDS = st.lists(st.sampled_from(["입고", "출고", "확인", "등록", "실사"]), max_size=8).map(" ".join)


@settings(deadline=None)
@given(WORDS, WORDS)
def test_bounds_and_symmetry(first: str, second: str) -> None:
    there, back = rouge(first, second, "whitespace"), rouge(second, first, "whitespace")
    for kind in ROUGE_TYPES:
        assert 0.0 <= there[kind].f1 <= 1.0
        assert there[kind].f1 == pytest.approx(back[kind].f1)
        assert there[kind].precision == pytest.approx(back[kind].recall)
    assert there["rougeL"].f1 <= there["rouge1"].f1 + 1e-9
    assert there["rougeL"].f1 == pytest.approx(rouge_l(first, second, "whitespace"))
