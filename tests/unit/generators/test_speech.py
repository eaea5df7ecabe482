"""The speech contract: mixed by ratio and by seed, mended where safe, rejected where not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from corpora.records import Candidate, Message, Provenance
from generators.curation.curator import Curator
from generators.curation.settings import CurationSettings
from generators.planning import restore_plan, slot_seed
from generators.speech import EXEMPT, LEVEL, MENDED, SpeechContract, mend, user_level, with_level


def candidate(question: str, answer: str, **traits: object) -> Candidate:
    return Candidate(
        messages=(Message(role="user", content=question), Message(role="assistant", content=answer)),
        provenance=Provenance(generator="rag_qa", slot=0, traits=dict(traits)),
        grounded=True,
    )


def test_questions_are_mixed_by_ratio() -> None:
    contract = SpeechContract(user="mixed", plain_share="0.3")
    levels = [user_level(contract, slot_seed(7, slot)) for slot in range(4000)]
    assert set(levels) == {"plain", "polite"}
    # Four standard deviations of a binomial share: 0.3 +- 0.029.
    assert abs(levels.count("plain") / len(levels) - 0.3) < 0.03


@given(st.integers(0, 2**63 - 1), st.sampled_from(["any", "plain", "polite"]))
def test_a_fixed_level_is_every_slots(seed: int, level: str) -> None:
    assert user_level(SpeechContract(user=level), seed) == level  # type: ignore[arg-type]


@given(st.integers(0, 2**63 - 1))
def test_shares_of_nothing_and_of_all(seed: int) -> None:
    assert user_level(SpeechContract(user="mixed", plain_share="0"), seed) == "polite"
    assert user_level(SpeechContract(user="mixed", plain_share="1"), seed) == "plain"


def test_a_restored_plan_speaks_as_the_first_one_did() -> None:
    contract = SpeechContract(user="mixed")
    slots = [("rag_qa", False, None)] * 50
    assert restore_plan(slots, 7, contract) == restore_plan(slots, 7, contract)
    assert {planned.user_level for planned in restore_plan(slots, 7, contract)} == {"plain", "polite"}


def test_a_plain_answer_is_mended_and_what_it_said_is_kept() -> None:
    mended = mend(
        candidate("재고 실사는 언제 하나요?", "재고 실사는 매월 마지막 날에 한다. 차이는 관리자가 확인한다."), "polite"
    )
    assert mended.answer == "재고 실사는 매월 마지막 날에 합니다. 차이는 관리자가 확인합니다."
    kept = mended.provenance.traits[MENDED]
    assert kept == [{"turn": 1, "original": "재고 실사는 매월 마지막 날에 한다. 차이는 관리자가 확인한다."}]


def test_a_plain_question_is_made_where_the_slot_asks_for_one() -> None:
    asked = with_level(candidate("재고 실사는 언제 하나요?", "매월 마지막 날에 합니다."), "plain")
    mended = mend(asked, "polite")
    assert mended.question == "재고 실사는 언제 해?"
    assert mended.provenance.traits[LEVEL] == "plain"
    assert mend(mended, "polite") == mended


def test_what_can_not_be_mended_is_rejected() -> None:
    settings = CurationSettings()
    asked = mend(
        with_level(candidate("입고 수량이 다른데요?", "입고 담당자에게 수량을 확인하시면 됩니다."), "plain"), "polite"
    )
    verdict = Curator(settings, None).judge(asked)
    assert (verdict.stage, verdict.reason) == ("speech_level", "question_not_plain")


def test_the_slots_level_comes_before_the_settings() -> None:
    settings = CurationSettings(speech_level={"user": "polite", "assistant": "polite"})
    asked = with_level(candidate("재고 실사는 언제 해?", "재고 실사는 매월 마지막 날에 실시합니다."), "plain")
    assert Curator(settings, None).spoken(asked) is None
    plain = candidate("재고 실사는 언제 해?", "재고 실사는 매월 마지막 날에 실시합니다.")
    assert Curator(settings, None).spoken(plain) is not None


def test_an_exempt_answer_keeps_its_own_style() -> None:
    summary = candidate("다음 대화를 요약해 주세요.", "두 사람은 주말에 등산을 가기로 했다.", **{EXEMPT: True})
    assert mend(summary, "polite") == summary
    assert Curator(CurationSettings(), None).spoken(summary) is None
