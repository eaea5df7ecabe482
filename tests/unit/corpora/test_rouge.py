"""ROUGE that sees Hangul, and tokens that keep negation."""

from __future__ import annotations

import unicodedata

import pytest
from rouge_score import rouge_scorer

from corpora.korean.analyse import content_morphemes, sentences
from corpora.korean.rouge import TOKENIZERS, rouge_l, tokenize


def test_the_library_alone_is_blind_to_hangul() -> None:
    """The reason for this module; should the library mend it, we want to know."""
    scorer = rouge_scorer.RougeScorer(["rougeL"])
    assert scorer.score("피킹 방법은?", "피킹 방법은?")["rougeL"].fmeasure == 0
    assert scorer.score("WMS 입고 방법은?", "WMS 반품은 언제 하나요?")["rougeL"].fmeasure == 1


def test_ours_is_not() -> None:
    assert rouge_l("피킹 방법은?", "피킹 방법은?") == 1
    assert rouge_l("WMS에서 입고 예정은 어떻게 등록하나요?", "WMS 로그인 비밀번호를 잊었을 때 누구에게 묻나요?") < 0.3


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("재고가 맞지 않으면 다시 셉니다.", "않"),
        ("출고하지 못한 주문을 조회합니다.", "못"),
        ("스캔을 건너뛰지 말고 진행합니다.", "말"),
        ("검수를 안 하면 오류가 납니다.", "안"),
        ("불량이 아니면 적치합니다.", "아니"),
        ("등록하지 아니한 경우 접수합니다.", "않"),
        ("출고가 불가능한 상품입니다.", "불"),
    ],
)
def test_negation_stays(text: str, word: str) -> None:
    assert word in content_morphemes(text)


def test_domain_nouns_stay_whole() -> None:
    assert content_morphemes("멀티 오더 피킹은 로케이션 순서로 합니다.")[:4] == ("멀티", "오더", "피킹", "로케이션")


def test_particles_spacing_of_unicode_and_normalisation_do_not_matter() -> None:
    text = "입고 예정을 등록하려면 어떻게 하나요?"
    assert content_morphemes(text) == content_morphemes(unicodedata.normalize("NFD", text))
    assert content_morphemes("재고를 실사한다") == content_morphemes("재고는 실사한다")


@pytest.mark.parametrize("name", TOKENIZERS)
def test_every_tokenizer_gives_tokens(name: str) -> None:
    assert tokenize(name, "WMS 입고 1건을 등록합니다")


def test_sentences_have_offsets() -> None:
    text = "수량을 셉니다. 맞지 않으면 다시 셉니다."
    assert [text[a:b] for a, b in sentences(text)] == ["수량을 셉니다.", "맞지 않으면 다시 셉니다."]
