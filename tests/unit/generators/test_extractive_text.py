"""What the rules read of a chunk: offsets through emphasis, list items, references that lead out, particles."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.extractive_text import Shown, anaphor, fault, items, opens_elsewhere, sentences_of, spoken_whole
from generators.particles import with_particle


def test_marks_are_dropped_and_found_again() -> None:
    source = "앞. **저장** 을 누르고 `A-1` 을 엽니다. 뒤."
    shown = Shown(source, 3, len(source))
    assert shown.text == "저장을 누르고 A-1을 엽니다. 뒤."
    low, high = shown.where(0, 2)
    assert source[low:high] == "**저장**"


@given(st.text(alphabet="가나다 *_`.\n을이", max_size=60))
def test_every_shown_character_is_one_of_the_source(source: str) -> None:
    shown = Shown(source, 0, len(source))
    for at, character in enumerate(shown.text):
        low, high = shown.where(at, at + 1)
        assert 0 <= low < high <= len(source)
        assert character in source[low:high].replace("\n", " ")


@settings(deadline=None)  # the first example loads the analyser
@given(st.lists(st.sampled_from(["**송장** 을 봅니다.", "상자를 엽니다.", "*S5* 로 갑니다."]), min_size=1, max_size=5))
def test_sentences_lie_in_the_source_in_order(parts: list[str]) -> None:
    source = " ".join(parts)
    found = sentences_of(source, 0, len(source))
    assert [source[s.start : s.end] for s in found] == parts
    assert [s.last for s in found] == [False] * (len(parts) - 1) + [True]


def test_items_keep_their_inner_lines() -> None:
    text = "1. 화면을 엽니다.\n\n    - **가** – 나\n\n1. 닫습니다.\n"
    found = items(text, 0, len(text))
    assert [text[i.start : i.end] for i in found] == ["화면을 엽니다.\n\n    - **가** – 나", "닫습니다."]
    assert [(i.number, i.nested) for i in found] == [(1, True), (1, False)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[안내](a.md)를 봅니다.", "link"),
        ("https://example.com 을 엽니다.", "link"),
        ("<td>값</td> 을 봅니다.", "markup"),
        ("![그림](a.png)", "link"),
        ("[!INCLUDE [banner](../a.md)]", "link"),
        ("값 &gt; 메뉴를 엽니다.", "markup"),
        ("이 토픽에서는 입고를 다룹니다.", "document"),
        ("자세한 내용은 담당자에게 묻습니다.", "document"),
        ("위의 표에서 고릅니다.", "document"),
        ("다음 그림처럼 놓습니다.", "shown_elsewhere"),
        ("휴지통에서 파일 복원을 살펴봅니다.", "document"),
        ("회사 홈페이지를 보거나 담당자를 찾습니다.", "document"),
        ("여기를 누릅니다.", "here"),
        ("카메라의 카메라의 카드를 뽑습니다.", "twice"),
        ("**입고****확정**을 누릅니다.", "marks"),
        ("If no title text exists, 제목을 누릅니다.", "foreign"),
        ("다음 값을 넣습니다.", "announces"),
        ("**저장을 누릅니다.", "unbalanced"),
    ],
)
def test_faults(text: str, reason: str) -> None:
    assert fault(text) == reason


@pytest.mark.parametrize(
    "text",
    [
        "상자를 연 다음 송장을 붙입니다.",
        "다음 날 다시 셉니다.",
        "그런 다음에 저장합니다.",
        "빈 곳이 없는지 살펴봅니다.",
    ],
)
def test_what_only_looks_like_a_fault(text: str) -> None:
    assert fault(text) is None


def test_a_list_may_be_announced_where_it_follows() -> None:
    assert fault("다음 순서대로 진행합니다.", listed=True) is None


def test_words_that_take_up_what_was_said() -> None:
    assert opens_elsewhere("이 상자를 엽니다.")
    assert opens_elsewhere("따라서 다시 셉니다.")
    assert not opens_elsewhere("이월된 주문을 셉니다.")
    assert not opens_elsewhere("그룹을 만듭니다.")
    assert anaphor("그 상자를 엽니다.") is not None
    assert anaphor("새 상자를 고르고 그 상자를 엽니다.") is None
    assert anaphor("이 필드를 비웁니다.", "필드") is None
    assert anaphor("상자를 봅니다. 이를 엽니다.") is None


def test_whole_sentences() -> None:
    assert spoken_whole("상자를 봅니다. 문을 닫으세요.")
    assert spoken_whole("상자를 본다.")
    assert not spoken_whole("상자를 보고 나서")
    assert not spoken_whole("도착한 상자의 수")
    assert not spoken_whole("| 가 | 상자를 봅니다.")


@pytest.mark.parametrize(
    ("word", "pair", "whole"),
    [
        ("입고", "을/를", "입고를"),
        ("검수 절차서", "은/는", "검수 절차서는"),
        ("로케이션", "이/가", "로케이션이"),
        ("피킹", "이란/란", "피킹이란"),
        ("입고 예정(ASN)", "을/를", "입고 예정(ASN)을"),
        ("ASN", "을/를", "ASN을"),
        ("LPN", "이란/란", "LPN이란"),
        ("ERP", "은/는", "ERP는"),
        ("WMS", "이/가", "WMS가"),
        ("RT-120", "을/를", "RT-120을"),
        ("OB-5", "을/를", "OB-5를"),
        ("'새 송장'", "은/는", "'새 송장'은"),
        ("Power Apps", "을/를", "Power Apps를"),
        ("label", "을/를", "label을"),
        ("Management", "은/는", "Management는"),
        ("필터", "으로/로", "필터로"),
        ("기능", "으로/로", "기능으로"),
        ("메일", "으로/로", "메일로"),
        ("관리", "과/와", "관리와"),
        ("작업", "과/와", "작업과"),
        ("", "을/를", "를"),
    ],
)
def test_particles(word: str, pair: str, whole: str) -> None:
    assert with_particle(word, pair) == whole
