"""Filters and the curator: a reason and evidence for every rejection."""

from __future__ import annotations

from typing import Any

import pytest

from corpora.bundled.loader import SeedTask
from corpora.records import Candidate, Message, Provenance, Sample, Verdict
from generators.curation.curator import ACCEPTED, Curator
from generators.curation.settings import CurationSettings
from retrieval.embedders import HashedEmbedder

QUESTION = "입고 예정을 등록하려면 어떻게 하나요?"
ANSWER = "입고 예정 화면에서 차량 번호와 도착 시각을 입력하고 저장합니다."
EMBEDDER = HashedEmbedder.fit([QUESTION, ANSWER, "반품 검수를 시작하는 방법은 무엇인가요?"])


def candidate(question: str = QUESTION, answer: str = ANSWER, *, grounded: bool = True, **more: Any) -> Candidate:
    return Candidate(
        messages=(Message(role="user", content=question), Message(role="assistant", content=answer)),
        provenance=Provenance(generator="extractive_qa", slot=0),
        grounded=grounded,
        **more,
    )


def judge(made: Candidate, **settings: Any) -> Verdict:
    return Curator(CurationSettings(**settings), EMBEDDER).judge(made)


def test_a_good_row_is_accepted() -> None:
    assert judge(candidate()) == ACCEPTED
    assert judge(candidate(grounded=False)) == ACCEPTED


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("입고는?", ANSWER, "question_too_short"),
        ("입고 예정은 언제 " * 60, ANSWER, "question_too_long"),
        (QUESTION, "저장합니다.", "answer_too_short"),
        (QUESTION, "차량 번호를 입력하고 저장 버튼을 누릅니다. " * 300, "answer_too_long"),
        (QUESTION * 2, QUESTION * 2, "answer_repeats_question"),
        (QUESTION, ANSWER + " \ufffd", "broken_characters"),
        (QUESTION, ANSWER + " ㅁㄴㅇ", "broken_characters"),
        (QUESTION, ANSWER + "\x07", "broken_characters"),
        ("How do I register an inbound shipment?", ANSWER, "question_not_korean"),
        (QUESTION, "Please open the inbound screen and save it.", "answer_not_korean"),
        (QUESTION, ANSWER + " 入庫豫定을 등록합니다.", "answer_foreign_script"),
        (QUESTION, ANSWER + " ★☆★☆★☆★☆★☆★☆★☆", "answer_special_characters"),
        ("입고 ★☆★ 예정을 등록하나요?", ANSWER, "question_special_characters"),
        (QUESTION, "창고에 상품을 넣고 다시 확인합니다. " * 6, "answer_repetitive"),
    ],
)
def test_filters(question: str, answer: str, reason: str) -> None:
    verdict = judge(candidate(question, answer))
    assert (verdict.stage, verdict.reason) == ("filter", reason)
    assert verdict.score is not None


@pytest.mark.parametrize(
    "answer",
    [
        "재고가 24h 이상 10.0.25 버전의 FIFO 규칙에 맞지 않으면 경보가 울립니다.",
        "| 항목 | 값 |\n| --- | --- |\n| 시간 | 30분 |\n\n위 표의 값을 따라 입력합니다.",
        "`SELECT * FROM stock WHERE qty > 0` 문을 실행하여 재고를 조회합니다.",
        "https://wms.example.com/inbound?id=1 주소를 열어 예정을 등록합니다.",
        "온도가 −18℃보다 높으면 ‘보류’를 누르고 품질 담당자에게 알립니다.",
    ],
)
def test_ordinary_answers_of_manuals_pass(answer: str) -> None:
    assert judge(candidate(answer=answer)) == ACCEPTED


def test_speech_level() -> None:
    plain = "입고 예정 화면에서 차량 번호와 도착 시각을 입력하고 저장한다."
    verdict = judge(candidate(answer=plain))
    assert (verdict.stage, verdict.reason) == ("speech_level", "answer_not_polite")
    assert verdict.evidence == {"level": "haera"}
    assert judge(candidate(answer=plain), speech_level={"user": "any", "assistant": "any"}) == ACCEPTED
    assert judge(candidate(), speech_level={"user": "plain"}).reason == "question_not_plain"
    # A label answers a free task and has no speech level; as the answer of a grounded row it is no sentence.
    assert judge(candidate("다음 문의의 유형을 고르세요.\n\n배송이 늦어요", "배송 문의", grounded=False)) == ACCEPTED


def test_what_a_generator_or_a_parser_found_comes_first() -> None:
    gate = Verdict(stage="grounding", reason="does_not_retrieve_source")
    assert judge(candidate(question="?", rejection=gate)) is gate
    malformed = Candidate(
        messages=(), provenance=Provenance(generator="rag_qa", slot=0), malformed="no JSON object", raw="죄송"
    )
    verdict = judge(malformed)
    assert (verdict.stage, verdict.reason) == ("parse", "malformed_reply")
    assert verdict.evidence == {"why": "no JSON object"}


def remembered(kept: Candidate) -> Curator:
    curator = Curator(CurationSettings(), EMBEDDER)
    curator.remember(Sample(id="sample_1", candidate=kept, accepted=True, verdict=ACCEPTED))
    return curator


def test_a_near_duplicate_shows_what_it_repeats() -> None:
    verdict = remembered(candidate()).judge(candidate("입고 예정을 등록하려면 어떻게 하나요"))
    assert (verdict.stage, verdict.score) == ("near_duplicate", 1.0)
    assert verdict.evidence == {"of": "sample_1", "question": QUESTION, "threshold": "0.7", "answer_score": 1.0}


def test_the_same_question_with_another_answer_is_kept_where_grounded() -> None:
    other = "냉동 창고는 온도 기록지를 함께 올리고 담당자의 승인을 받아야 등록할 수 있습니다."
    assert remembered(candidate()).judge(candidate(answer=other)) == ACCEPTED
    free = remembered(candidate(grounded=False)).judge(candidate(answer=other, grounded=False))
    assert free.stage == "near_duplicate"


def test_a_semantic_duplicate_shows_its_cosine() -> None:
    kept = candidate("등록 방법과 입고 예정 화면과 차량 번호가 궁금합니다.", grounded=False)
    other = candidate("차량 번호와 입고 예정 화면과 등록 방법이 궁금합니다.", grounded=False)
    verdict = remembered(kept).judge(other)
    assert verdict.stage == "semantic_duplicate"
    assert verdict.score is not None
    assert verdict.score > 0.9


def test_a_repeated_seed_task_is_a_duplicate() -> None:
    curator = Curator(CurationSettings(), EMBEDDER)
    curator.remember_seed(
        SeedTask(
            id="seed_1",
            name="a",
            instruction="재고 차이의 원인을 세 가지 알려 주세요.",
            instances=(("", "분실"),),
            is_classification=False,
        )
    )
    made = candidate("재고 차이의 원인을 세 가지만 알려 주세요.", grounded=False)
    assert curator.judge(made).evidence["of"] == "seed_1"
