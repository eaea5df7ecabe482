"""Sentences whose answer would be half: what ``extractive_deeds`` and the rules around it refuse."""

from __future__ import annotations

import pytest

from corpora.records import Chunk
from generators.extractive_deeds import goes_further, leans_on, may_be_done, particles_fit, tells_a_deed
from generators.extractive_rules import drafts


def made(text: str, headings: tuple[str, ...] = ("반품 접수 관리",)) -> frozenset[str]:
    chunk = Chunk(id="chunk_0", document_id="doc_1", index=0, text=text, start=0, end=len(text), headings=headings)
    return frozenset(draft.rule for draft in drafts(chunk))


HOW = "반품 접수를 등록하려면 RT-120 화면에서 송장 번호를 조회하고 [등록]을 누릅니다."


@pytest.mark.parametrize(
    "text",
    [
        "반품 접수를 등록하려면 RT-120 등록 화면과 송장 번호를 사용합니다.",  # a means
        "반품 접수를 등록하려면 RT-120 화면에서 송장 번호 등록 창을 엽니다.",  # a first step
        "반품 접수를 등록하려면 RT-120 화면에서 송장 번호 아이콘을 클릭합니다.",  # one click
        "반품 접수를 등록하려면 RT-120 화면에서 송장 번호를 조회합니다.",  # a look, where no look was asked for
        "반품 접수를 등록하려면 화면의 송장 번호에서 재계산이 일어납니다.",  # an event
        "반품 접수를 등록하려면 단말기가 RT-120 화면에 송장 번호를 보내야 합니다.",  # a requirement on a thing
        "반품 접수를 등록하려면 먼저 RT-120 화면과 송장 인쇄기를 설치해야 합니다.",  # a prerequisite
        "반품 접수를 등록하려면 대신 RT-120 화면에 송장 번호를 입력합니다.",  # instead of what
        "반품 접수를 등록하려면 RT-120 화면에 송장 번호도 입력합니다.",  # beside what
        "반품 접수를 등록하려면 RT-120 화면에서 [등록 매뉴얼 홈페이지]를 확인하고 송장을 입력합니다.",
        "반품 접수 전에 실행하려면 RT-120 화면에 송장 번호를 입력합니다.",  # what is run
        "반품 접수을 등록하려면 RT-120 화면에 송장 번호를 입력합니다.",  # a slip of the manual
        f"{HOW} 사유를 골라 [저장]을 누릅니다.",  # a second step
        f"{HOW} 이 작업을 마치는 방법에는 두 가지가 있습니다.",
        f"{HOW}\n\n```\nreturn --all\n```",
        f"{HOW}\n\n- 사유를 고릅니다.\n- 수량을 적습니다.",
        "화면 왼쪽에 분홍 막대가 보입니다. 반품 접수를 등록하려면 분홍 막대를 송장 번호로 끕니다.",  # which bar
    ],
)
def test_half_answers_are_refused(text: str) -> None:
    assert made(HOW)
    assert "purpose" not in made(text)


@pytest.mark.parametrize(
    "text",
    [
        "반품 접수 기한이 지난 경우 상자를 스캔하면 경고음이 울리고 송장 출력이 막힙니다.",  # two conditions
        "반품 접수 화면을 다시 열면 송장 번호와 상자 수가 올바르게 표시됩니다.",  # what happened before
        "아이콘이 반품 접수 화면에서 켜져 있으면 송장 번호와 상자 수가 표시됩니다.",  # which icon
        "반품 접수 상자를 스캔하면 안 된다면 송장 번호를 입력하고 상자를 보낼 수 있습니다.",
        "반품 접수 권한을 늘 쥐고 있으면 중요한 송장을 실수로 삭제할 수 있습니다.",  # a harm is no offer
        "반품 접수 상자가 젖은 경우 송장의 문제이거나 포장의 문제일 수 있습니다.",
        "반품 접수 상자를 스캔하면 송장의 여러 속성을 편집할 수 있습니다.",  # says nothing
    ],
)
def test_half_conditions_are_refused(text: str) -> None:
    assert not {rule for rule in made(text) if rule.endswith("_if")}


def test_a_sentence_below_a_label_is_not_asked_without_it() -> None:
    text = "반품 접수 커서가 단어 안에 있으면 송장 번호 전체가 굵게 표시됩니다."
    assert made(text, ("반품 접수 관리", "반품 접수 커서"))
    assert not made(text, ("반품 접수 관리", "밑줄"))
    assert not made(HOW, ("반품 접수 관리", "macOS에서 주의할 점"))


def test_no_context_of_a_word_that_any_manual_may_use() -> None:
    text = "송장을 출력하려면 RT-130 화면에서 접수 번호와 상자 수를 입력합니다."
    assert made(text, ("반품 접수",))
    assert not made(text, ("개념",))
    assert not made(text, ("게임하기",))
    assert not made(text, ("반품을 접수할 때",))


@pytest.mark.parametrize(
    ("rest", "purpose", "whole"),
    [
        ("송장 번호를 입력합니다.", "접수를 등록하려면", True),
        ("송장을 고르고 [등록]을 누르면 됩니다.", "접수를 등록하려면", True),
        ("F9 키를 누르십시오.", "접수를 등록하려면", True),
        ("[등록]을 누르십시오.", "접수를 등록하려면", False),
        ("접수 화면에서 상태를 확인합니다.", "접수 상태를 조회하려면", True),
        ("접수 화면에서 상태를 확인합니다.", "접수를 등록하려면", False),
        ("접수 화면에서 상태를 확인하십시오.", None, True),
        ("접수 화면을 사용합니다.", "접수를 등록하려면", False),
        ("번호가 표시됩니다.", "접수를 등록하려면", False),
    ],
)
def test_what_is_a_deed(rest: str, purpose: str | None, whole: bool) -> None:
    assert tells_a_deed(rest, purpose) is whole


def test_what_may_be_done() -> None:
    assert may_be_done("송장 번호를 수정할 수 있습니다.")
    assert not may_be_done("송장이 발생할 수 있습니다.")
    assert not may_be_done("응답하지 않을 수 있습니다.")


def test_what_follows_and_what_stands_before() -> None:
    assert goes_further("그 뒤 사유를 고릅니다.")
    assert goes_further("번호가 맞는지 확인한 다음 **수정** 단추를 클릭합니다.")
    assert not goes_further("상자는 S5에 둡니다.")
    assert not goes_further("접수를 취소하려면 [취소]를 누릅니다.")
    assert leans_on("교차점을 더블 클릭합니다.", "두 자가 만나는 교차점이 보입니다.", "원점을 바꾸려면")
    assert not leans_on("송장 번호를 입력합니다.", "상자가 도착합니다.", "접수를 등록하려면")


@pytest.mark.parametrize(
    ("phrase", "fit"),
    [
        ("송장을 출력하려면", True),
        ("접수을 출력하려면", False),
        ("헤더와 URL을 넘기려면", True),
        ("headers을 넘기면", False),
        ("(선택) 번호가 다르면", True),
    ],
)
def test_particles_of_a_phrase(phrase: str, fit: bool) -> None:
    assert particles_fit(phrase) is fit
