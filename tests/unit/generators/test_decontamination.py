"""What a model will be tested on is kept out of training, with the place that matches."""

from __future__ import annotations

import pytest

from generators.curation.decontamination import Contamination

HELD = """# 위험물 보관

위험물은 지정된 방폭 구역에만 보관하며 소화기 두 대를 입구 양쪽에 비치해야 합니다.
보관 수량이 허가량의 팔 할을 넘으면 안전 담당자가 관할 소방서에 신고합니다.
"""


@pytest.fixture(scope="module")
def protected() -> Contamination:
    found = Contamination()
    found.protect_text("위험물 보관.md", HELD)
    found.protect_row("평가.jsonl:3", "냉동 창고의 적정 온도는 몇 도인가요?", "영하 18도 이하입니다.")
    return found


@pytest.mark.parametrize(
    ("question", "answer", "reason", "place"),
    [
        (
            "위험물은 어디에 두나요?",
            "위험물은 지정된 방폭 구역에만 보관하며 소화기 두 대를 입구 양쪽에 비치해야 합니다.",
            "contaminated_text",
            "위험물 보관.md",
        ),
        # Particles and endings changed, words kept.
        (
            "소화기는 어디에 두나요?",
            "위험물을 지정 방폭 구역에 보관하고 소화기 두 대는 입구 양쪽에 비치하세요.",
            "contaminated_text",
            "위험물 보관.md",
        ),
        ("냉동 창고 적정 온도가 몇 도입니까?", "영하 20도입니다.", "contaminated_question", "평가.jsonl:3"),
    ],
)
def test_found(protected: Contamination, question: str, answer: str, reason: str, place: str) -> None:
    verdict = protected.find(question, f"{question}\n{answer}")
    assert verdict is not None
    assert (verdict.stage, verdict.reason, verdict.evidence["of"]) == ("contamination", reason, place)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("냉장 창고의 적정 온도는 몇 도인가요?", "영상 5도 이하입니다."),
        ("위험물 담당자는 누구인가요?", "위험물 담당자는 안전팀의 반장입니다."),
        ("반품은 어떻게 등록하나요?", "반품 화면에서 송장 번호를 조회하고 사유를 고른 뒤 저장합니다."),
        # One stock phrase in a long answer of its own is no contamination.
        (
            "점검 항목을 알려 주세요.",
            "입구 양쪽에 소화기가 있는지 보고, 통로에 팔레트가 쌓이지 않았는지, 비상등이 켜지는지, "
            "지게차 열쇠가 빠져 있는지, 도크 문이 닫혔는지, 온도 기록지에 빠진 시각이 없는지, "
            "폐기물 보관함이 잠겼는지 차례로 확인합니다.",
        ),
        ("", ""),
    ],
)
def test_passes(protected: Contamination, question: str, answer: str) -> None:
    assert protected.find(question, f"{question}\n{answer}") is None


def test_the_text_that_shares_most_is_named() -> None:
    found = Contamination(ngram=3, coverage=0.3)
    found.protect_text("가", "입고 검수 담당자가 수량을 센다")
    found.protect_text("나", "입고 검수 담당자가 수량을 세고 라벨을 붙인 뒤 적치 지시를 낸다")
    verdict = found.find("", "입고 검수 담당자가 수량을 세고 라벨을 붙인 뒤 적치 지시를 낸다")
    assert verdict is not None
    assert verdict.evidence["of"] == "나"
    assert verdict.score == 1.0
