"""What one answer is worth: KorQuAD's EM and character F1 by hand, speech level, script, numbers."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.services.evaluation_text import (
    character_f1,
    exact_match,
    grounded_numbers,
    has_foreign_script,
    is_empty,
    normalize_answer,
    speaks_as_wanted,
    wanted_levels,
)
from corpora.korean.speech import PLAIN, POLITE

TEXTS = st.text(alphabet=st.sampled_from("가나다각한글 ABab12.,'\"()《》‘’〈〉\n"), max_size=30)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("《난중일기》", "난중일기"),
        ("'1592년' (임진년)", "1592년 임진년"),
        ("WMS, 3.5", "wms 35"),  # the official script drops the point inside a number too
        ("〈훈민정음〉  해례본\n", "훈민정음 해례본"),
        ("‘가’와 ’나’", "가 와 나"),
        ("“가”", "“가”"),  # double curly marks are not on the official list
        ("!!", ""),
    ],
)
def test_normal_form_is_korquads(text: str, normal: str) -> None:
    assert normalize_answer(text) == normal


def test_exact_match() -> None:
    assert exact_match("《난중일기》", ["난중일기"])
    assert exact_match("Wms.", ["틀린 답", "WMS"])
    assert not exact_match("난중일기를", ["난중일기"])
    assert not exact_match("난중 일기", ["난중일기"])  # a blank counts for EM, not for F1


@pytest.mark.parametrize(
    ("prediction", "reference", "f1"),
    [
        ("난중일기를", "난중일기", 2 * (4 / 5) * 1 / (4 / 5 + 1)),  # a particle too many: 8/9
        ("난중 일기", "난중일기", 1.0),
        ("1592년 4월", "1592년", 2 * (5 / 7) * 1 / (5 / 7 + 1)),  # 1592년 of 1592년4월: 5/6
        ("가나", "다라", 0.0),
        ("", "가", 0.0),
        ("", "", 0.0),  # the official script has no share of nothing
        ("가가가", "가", 2 * (1 / 3) * 1 / (1 / 3 + 1)),  # each character as often as it stands: 1/2
    ],
)
def test_character_f1(prediction: str, reference: str, f1: float) -> None:
    assert character_f1(prediction, [reference]) == pytest.approx(f1)


def test_the_best_reference_counts() -> None:
    assert character_f1("입고", ["출고", "입고"]) == 1.0
    assert character_f1("입고", []) == 0.0
    assert not exact_match("입고", [])


def test_decomposed_syllables_are_the_same_text() -> None:
    composed = "12,000개를 입고했습니다."
    decomposed = unicodedata.normalize("NFD", composed)
    assert decomposed != composed
    assert exact_match(decomposed, [composed])
    assert character_f1(decomposed, [composed]) == 1.0
    assert grounded_numbers(unicodedata.normalize("NFD", "세 번 확인합니다."), ["3회 확인"]) == (1, 1)


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_f1_is_bounded_and_symmetric(first: str, second: str) -> None:
    found = character_f1(first, [second])
    assert 0.0 <= found <= 1.0
    assert found == pytest.approx(character_f1(second, [first]))
    if exact_match(first, [second]) and normalize_answer(first):
        assert found == 1.0


@settings(deadline=None)
@given(TEXTS)
def test_normal_form_is_stable(text: str) -> None:
    once = normalize_answer(text)
    assert normalize_answer(once) == once


def test_empty_answers() -> None:
    assert is_empty(" \n…!?")
    assert not is_empty("네")
    assert not is_empty("3")


def test_speech_level_follows_the_reference_or_the_request() -> None:
    assert wanted_levels("reference", "입고를 등록합니다.") == POLITE
    assert wanted_levels("reference", "입고를 등록한다.") == PLAIN
    assert wanted_levels("reference", "입고 등록") is None
    assert wanted_levels("reference", "먼저 확인한다. 그다음 등록합니다.") is None
    assert wanted_levels("plain", "입고를 등록합니다.") == PLAIN
    assert speaks_as_wanted("바코드를 스캔해 주세요.", POLITE)
    assert not speaks_as_wanted("바코드를 스캔해라.", POLITE)
    assert not speaks_as_wanted("먼저 스캔합니다. 그다음 등록한다.", POLITE)
    assert not speaks_as_wanted("", POLITE)


def test_foreign_script() -> None:
    assert has_foreign_script("재고를 確認합니다.", ["재고를 어떻게 하나요?"])
    assert not has_foreign_script("재고를 確認합니다.", ["確認은 무슨 뜻인가요?"])
    assert not has_foreign_script("재고(在庫)를 확인합니다.", [])
    assert not has_foreign_script("WMS에서 확인합니다.", [])


@pytest.mark.parametrize(
    ("answer", "known", "counts"),
    [
        ("3회 확인합니다.", ["세 번 확인"], (1, 1)),
        ("24일 안에 처리합니다.", ["24시간 안에 처리"], (0, 1)),
        ("12,000개 가운데 5개입니다.", ["1만 2천 개"], (1, 2)),
        ("1. 스캔합니다.\n2. 등록합니다.", [], (0, 0)),  # line numbers are layout
        ("잘 모르겠습니다.", ["30분"], (0, 0)),
    ],
)
def test_numbers_stand_in_context_or_reference(answer: str, known: list[str], counts: tuple[int, int]) -> None:
    assert grounded_numbers(answer, known) == counts
