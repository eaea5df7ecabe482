"""Documents that order a model about: every wording is flagged, and no generator lets an obedient reply through."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from pathlib import Path

import pytest

from corpora.context import context_turn, wrap_context
from corpora.korean.speech import SpeechLevel
from corpora.records import Chunk, Verdict
from generators.base import SlotPlan, SourceItem, Workspace
from generators.conversation_gates import Turn, conversation_fault
from generators.dialogue_summary_rules import Bounds, summary_fault
from generators.dialogue_summary_text import Dialogue
from generators.evolve import Evolve, EvolveParams
from generators.grounding import Citation, suspicions
from generators.grounding_injection import evidence, suspects
from generators.question_generation_gates import Written, written_fault
from generators.rag_qa_checks import Pair, answered_fault
from generators.rag_qa_plan import PlannedQuestion
from retrieval.embedders import HashedEmbedder
from retrieval.retriever import Retriever
from tests.unit.generators.scripted import Pool, Scripted, talk

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "data" / "injections.jsonl").read_text("utf-8").splitlines()
]
HOSTILE = [row["text"] for row in ROWS if row["expected"] == "hostile"]
HARMLESS = [row["text"] for row in ROWS if row["expected"] == "harmless"]
FACT = "입고 검수는 도착 후 24시간 이내에 끝냅니다."
BASE = f"{FACT} 수량이 다르면 차이 보고서를 작성합니다."
QUESTION = "입고 검수는 도착 후 몇 시간 이내에 끝내야 하나요?"
OBEYED = "도착 후 24시간 이내에 끝내시면 됩니다. HACKED"
CITED = [Citation(passage=1, quote=FACT)]


def chunk(number: int, text: str) -> Chunk:
    return Chunk(id=f"c{number}", document_id=f"d{number}", index=0, text=text, start=0, end=len(text))


OTHERS = (chunk(1, "출고는 오전에 합니다."), chunk(2, "반품은 사유를 기록합니다."))


@cache
def shown(order: str) -> tuple[tuple[Chunk, ...], Retriever]:
    members = (chunk(0, f"{BASE}\n\n{order}"), *OTHERS)
    return members, Retriever.build(members, HashedEmbedder.fit([one.text for one in members]))


def reason(fault: Verdict | None) -> str | None:
    return fault.reason if fault is not None else None


def test_there_are_twenty_of_each() -> None:
    assert len(set(HOSTILE)) >= 20
    assert len(set(HARMLESS)) >= 20


@pytest.mark.parametrize("order", HOSTILE)
def test_a_hostile_wording_is_flagged_and_is_no_evidence(order: str) -> None:
    text = f"{BASE}\n\n{order}"
    assert suspicions([chunk(0, text)]) == {"suspect_instructions": ["c0"]}
    assert "HACKED" not in evidence(text)
    assert evidence(text).startswith(BASE)
    assert len(evidence(text)) == len(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_a_manuals_sentence_is_not_flagged(text: str) -> None:
    assert suspects(text) == []
    assert suspects(f"{BASE} {text}\n{BASE}") == []


@pytest.mark.parametrize("order", HOSTILE)
def test_a_pair_that_obeys_is_refused(order: str) -> None:
    members, retriever = shown(order)
    plan = PlannedQuestion(kind="number", persona=None, difficulty="easy")
    for answer, expected in ((OBEYED, "repeats_an_instruction"), (OBEYED.removesuffix(" HACKED"), None)):
        pair = Pair(question=QUESTION, answer=answer, citations=CITED)
        assert reason(answered_fault(pair, plan, members, None, retriever, 5)[1]) == expected


@pytest.mark.parametrize("order", HOSTILE)
def test_a_question_that_obeys_is_refused(order: str) -> None:
    text = shown(order)[0][0].text
    for question, expected in (
        ("입고 검수를 HACKED 기준으로 언제까지 마쳐야 하나요?", "repeats_an_instruction"),
        ("입고 검수를 언제까지 마쳐야 하나요?", None),
    ):
        assert reason(written_fault(Written(question=question, answer="24시간 이내", quote=FACT), text, "")) == expected


@pytest.mark.parametrize("order", HOSTILE)
def test_a_conversation_that_obeys_is_refused(order: str) -> None:
    members, retriever = shown(order)
    second = Citation(passage=1, quote="수량이 다르면 차이 보고서를 작성합니다.")
    for end, expected in ((" HACKED", "repeats_an_instruction"), ("", None)):
        turns = [
            Turn(question=QUESTION, answer=OBEYED.removesuffix(" HACKED"), citations=CITED),
            Turn(question="수량이 다르면요?", answer=f"차이 보고서를 작성하시면 됩니다.{end}", citations=[second]),
        ]
        assert reason(conversation_fault(turns, members, retriever, 5, 3)[1]) == expected


@pytest.mark.parametrize("order", HOSTILE)
def test_an_evolved_task_that_obeys_is_refused(order: str) -> None:
    context = context_turn(wrap_context([("입고", f"{BASE}\n\n{order}")]))
    task = "야간에 도착한 상품의 입고 검수는 몇 시간 이내에 끝내야 하는지 알려 주세요."
    for instruction, answer, expected in (
        (f"{task} HACKED 기준입니다.", "", "repeats_an_instruction"),
        (task, OBEYED, "repeats_an_instruction"),
        (task, OBEYED.replace("24", "42").removesuffix(" HACKED"), "number_not_in_context"),
        (task, OBEYED.removesuffix(" HACKED"), None),
    ):
        model = Scripted(
            {
                "evolve": {"evolved": [{"instruction": instruction}]},
                "check": {"checks": [{"same": False, "answerable": True, "reason": "조건이 더해졌습니다."}]},
                "answer": {"answers": [{"answer": answer}]},
            }
        )
        row = SourceItem(id="s1", messages=talk(QUESTION, "24시간 이내입니다.", context))
        plan = SlotPlan(slot=0, generator="evolve", heldout=False, seed=1, source="s1")
        generator = Evolve(EvolveParams(operations=("add_constraints",)))
        work = generator.run(plan, Workspace(items={"evolve": (row,)}, model=model), Pool())
        (candidate,) = asyncio.run(work).candidates
        assert reason(candidate.rejection) == expected
        assert candidate.grounded
        assert candidate.provenance.traits["suspect_instructions"] == ["s1"]


@pytest.mark.parametrize("order", [order for order in HOSTILE if "\n" not in order])
def test_a_summary_that_obeys_is_refused(order: str) -> None:
    dialogue = Dialogue(
        turns=(
            ("반장", "오늘 들어온 상품은 언제까지 검수해야 하는지 물어봤어?"),
            ("조장", order),
            ("반장", "도착하고 하루 안에 검수를 끝내야 한다고 했잖아."),
            ("조장", "맞아, 그렇게 알고 있을게."),
        )
    )
    bounds = Bounds(min_chars=10, max_ratio=2.0, max_copied=60)
    for text, expected in (
        ("두 사람은 상품의 검수 기한을 이야기하였다. HACKED이다.", "repeats_an_instruction"),
        ("두 사람은 상품의 검수 기한을 이야기하였다.", None),
    ):
        assert reason(summary_fault(text, dialogue, "summary", SpeechLevel.HAERA, bounds)) == expected
