"""Numbers of an answer against its passages: one fact in many spellings passes, another fact does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generators.rag_gates import unsupported_number

SAME = [
    # units by symbol, word and loan word, in both directions
    ("허용 오차는 3퍼센트입니다.", "오차는 3%까지 허용합니다."),
    ("허용 오차는 3%를 넘지 않습니다.", "오차 한도는 3퍼센트이다."),
    ("적재율은 85프로입니다.", "적재율 85% 이하"),
    ("한 상자는 25kg까지 담습니다.", "상자당 25킬로그램 이내"),
    ("무게는 25킬로그램을 넘지 않습니다.", "25㎏ 한도"),
    ("높이는 180cm까지 쌓습니다.", "적재 높이 180센티미터"),
    ("높이는 180센티미터입니다.", "180㎝ 이하로 쌓는다."),
    ("통로는 3미터를 비웁니다.", "통로 폭 3m"),
    ("통로는 3m를 비웁니다.", "통로 폭은 3 미터로 한다."),
    ("40상자를 싣습니다.", "박스 40박스 적재"),
    ("40박스까지 싣습니다.", "한 번에 40 상자"),
    ("12파렛트를 보관합니다.", "보관량은 12팔레트"),
    ("보관 기한은 6개월입니다.", "기한은 6달로 한다."),
    ("보관 기한은 6달입니다.", "6개월 보관"),
    ("냉장 구역은 5℃입니다.", "냉장 온도 5도"),
    ("냉장 구역은 5도로 맞춥니다.", "5°C 유지"),
    ("24h 안에 끝냅니다.", "24시간 이내"),
    ("2주일 안에 처리합니다.", "처리 기간은 2주"),
    ("라벨 3매를 붙입니다.", "라벨은 3장"),
    # one amount in other units
    ("작업은 90분 걸립니다.", "소요 시간 1시간 30분"),
    ("작업은 1시간 30분 걸립니다.", "소요 시간 90분"),
    ("포장재는 0.5kg입니다.", "포장재 무게 500g"),
    ("48시간 안에 회신합니다.", "이틀 안에 회신한다."),
    ("1년 보관합니다.", "보관 기간 12개월"),
    # thousands
    ("최대 12,000개입니다.", "최대 1만 2천 개"),
    ("최대 1만 2천 개를 둡니다.", "정원 12,000개"),
    ("최대 1만2천 개입니다.", "정원 12000개"),
    ("3천 개를 보충합니다.", "보충 단위 3,000개"),
    ("3,000개를 보충합니다.", "보충 단위는 3천 개이다."),
    ("3천여 개가 남습니다.", "잔량 3,000개"),
    ("보험 한도는 2억 원입니다.", "한도 200,000,000원"),
    ("보험 한도는 3억 5천만 원입니다.", "한도: 350,000,000원"),
    ("2.5만 건을 처리합니다.", "월 25,000건"),
    ("만 이천 개까지 가능합니다.", "12,000개"),
    ("벌금은 오만 원입니다.", "벌금 50,000원"),
    # native numerals
    ("하루에 세 번 실사합니다.", "실사는 1일 3회"),
    ("3회 시도합니다.", "세 번 시도한다."),
    ("3번 시도합니다.", "3회까지 시도"),
    ("세번 틀리면 잠깁니다.", "비밀번호 3회 오류 시 잠김"),
    ("두 시간 안에 올립니다.", "2시간 이내 등록"),
    ("2시간 안에 올립니다.", "두 시간 이내"),
    ("스물네 시간 안에 끝냅니다.", "24시간 이내"),
    ("열두 명이 일합니다.", "12명 근무"),
    ("다섯 상자를 넘기지 않습니다.", "최대 5박스"),
    ("석 달 동안 보관합니다.", "3개월 보관"),
    ("한 달 뒤에 폐기합니다.", "1개월 경과 시 폐기"),
    # days by name
    ("하루 안에 처리합니다.", "1일 이내 처리"),
    ("1일 안에 처리합니다.", "하루 안에 처리한다."),
    ("이틀 전에 예약합니다.", "2일 전 예약"),
    ("사흘 이내에 회신합니다.", "회신 기한 3일"),
    ("3일 안에 회신합니다.", "사흘 안에 회신"),
    ("보름 동안 격리합니다.", "격리 기간은 15일"),
    ("열흘 이상 지나면 폐기합니다.", "10일 이상 경과"),
    ("1일 2회 점검합니다.", "매일 두 번 점검한다."),
    ("1개월에 1회 실사합니다.", "월 1회 실사"),
    # Sino-Korean numerals
    ("이십사 시간 안에 끝냅니다.", "24시간"),
    ("24시간 안에 끝냅니다.", "이십사 시간 이내"),
    ("육 개월 보관합니다.", "6개월 보관"),
    ("오 분 기다립니다.", "5분 대기"),
    ("삼십 일 안에 반품합니다.", "30일 이내 반품"),
    ("이십 퍼센트를 넘지 않습니다.", "20% 이하"),
    ("백오십 개를 둡니다.", "150개"),
    # time of day
    ("마감은 오후 2시입니다.", "마감 14:00"),
    ("마감은 14시입니다.", "오후 2시 마감"),
    ("마감은 오후 2시 30분입니다.", "출고 마감 14:30"),
    ("14:30에 마감합니다.", "오후 2시 30분 마감"),
    ("점심은 12시입니다.", "정오부터 점심"),
    # dates, ranges, cells of a table
    ("2024년 1월 15일에 시행합니다.", "시행일 2024-01-15"),
    ("2024년 1월 15일에 시행합니다.", "시행일 2024.01.15"),
    ("2일에서 3일 걸립니다.", "2~3일 소요"),
    ("5도로 둡니다.", "| 냉장 | 5 | 30 |"),
    ("기준은 7.0입니다.", "기준 7"),
    ("30을 초과하면 알립니다.", "30 초과 시 알림"),
    ("30 초과이면 알립니다.", "30분 초과 시 알림"),
    # numerals in words that claim nothing, and words that are no numerals
    ("다음 두 가지를 확인합니다. 수량과 유통기한입니다.", "수량과 유통기한을 확인한다."),
    ("한 번 더 스캔합니다.", "다시 스캔한다."),
    ("하루에 여러 차례 확인합니다.", "수시로 확인한다."),
    ("이 경우 오류를 지우고 일반 상품으로 사용합니다.", "오류를 지운다."),
    ("이 단계에서 이 건을 보류하고 이 시간을 적습니다.", "보류한다."),
    ("사회 공헌 물품은 구분하여 오일 구역에 둡니다.", "구분 보관"),
    ("삼성 제품은 육안으로 검사하고 천장에 닿지 않게 쌓습니다.", "육안 검사"),
    ("만일 회사가 쉬면 이사 업체가 옮깁니다.", "휴무 시 이동"),
    ("할 일 초과분과 일 회의록을 남깁니다.", "기록을 남긴다."),
    ("출고하기로 한 시간을 지킵니다.", "시간을 지킨다."),
    ("네 번호와 세 번호판을 확인합니다.", "번호를 확인한다."),
    ("지침은 십분 활용하고 세대 교체를 준비합니다.", "활용한다."),
    ("2도크에서 3주문을 처리합니다.", "도크 2, 주문 3"),
    # signs
    ("영하 18도로 둡니다.", "-18℃ 이하로 보관한다."),
    ("-18℃로 둡니다.", "영하 18도 이하로 보관한다."),
    ("−18도로 둡니다.", "-18℃로 보관한다."),
    ("영상 5도로 둡니다.", "5℃로 보관한다."),
    ("영하 25도에서 18도 사이입니다.", "-25~-18℃"),
    ("24시간 안에 끝냅니다.", "-24시간 이내에 끝낸다."),
    # the same limit in other words
    ("24시간 안에 끝냅니다.", "24시간 이내에 끝낸다."),
    ("24시간을 넘기지 않습니다.", "24시간 이내에 끝낸다."),
    ("최대 10개를 둡니다.", "10개 이하로 둔다."),
    ("10개까지 둡니다.", "10개를 초과하지 않는다."),
    ("10도 이상으로 둡니다.", "10도 이하로 내려가지 않게 한다."),
    ("3일이 지나면 폐기합니다.", "3일 이상 지나면 폐기한다."),
    ("3일 뒤에 폐기합니다.", "3일 후 폐기한다."),
    ("9시부터 18시까지 엽니다.", "9시에서 18시 사이에 연다."),
    ("24시간 걸립니다.", "24시간 이내에 끝낸다."),
    ("24시간 이내에 끝냅니다.", "처리 시간은 24시간이다."),
    # counters in another order
    ("파렛트 10개를 씁니다.", "10파렛트를 쓴다."),
    ("1파렛트에 12박스를 쌓습니다.", "박스 12개를 파렛트 1개에 쌓는다."),
    # lists of exactly as many
    ("담당자는 두 명이며 반장과 조장입니다.", "반장과 조장이 담당한다."),
    ("세 단계로 합니다. 스캔하고, 세고, 저장합니다.", "스캔하고 센 뒤 저장한다."),
    ("두 명이 합니다.", "2인이 한다."),
    ("한 곳에 모읍니다.", "3곳의 재고를 모은다."),
    ("한 번 더 스캔합니다.", "3회까지 스캔한다."),
    ("1단계: 스캔합니다.\n2단계: 저장합니다.", "스캔한 뒤 저장한다."),
]

OTHER = [
    ("24일 안에 끝냅니다.", "24시간 이내", "number_with_other_unit"),
    ("24일간 보관합니다.", "24시간 보관", "number_with_other_unit"),
    ("3개월마다 실사합니다.", "3년마다 실사", "number_with_other_unit"),
    ("3%를 넘지 않습니다.", "3℃ 이하", "number_with_other_unit"),
    ("25g까지 담습니다.", "25kg 이내", "number_with_other_unit"),
    ("180m까지 쌓습니다.", "180cm 이하", "number_with_other_unit"),
    ("네 번 시도합니다.", "3회까지 시도", "number_not_in_context"),
    ("세 번 시도합니다.", "세 명이 시도한다.", "number_with_other_unit"),
    ("두 달 보관합니다.", "2일 보관", "number_with_other_unit"),
    ("두 시간 안에 올립니다.", "3시간 이내 등록", "number_not_in_context"),
    ("이틀 안에 회신합니다.", "3일 안에 회신", "number_not_in_context"),
    ("보름 동안 격리합니다.", "14일 격리", "number_not_in_context"),
    ("한 달 뒤에 폐기합니다.", "2개월 뒤 폐기", "number_not_in_context"),
    ("1만 2천 개입니다.", "1,200개", "number_not_in_context"),
    ("3천 개입니다.", "300개", "number_not_in_context"),
    ("3만 개입니다.", "3천 개", "number_not_in_context"),
    ("2억 원입니다.", "2만 원", "number_not_in_context"),
    ("이십사 시간 안에 끝냅니다.", "48시간 이내", "number_not_in_context"),
    ("육 개월 보관합니다.", "6일 보관", "number_with_other_unit"),
    ("다섯 상자까지 싣습니다.", "6상자까지", "number_not_in_context"),
    ("스물네 시간입니다.", "스물두 시간", "number_not_in_context"),
    ("1시간 40분 걸립니다.", "1시간 30분", "number_not_in_context"),
    ("100분 걸립니다.", "1시간 30분", "number_not_in_context"),
    ("오전 2시에 마감합니다.", "14:00 마감", "number_not_in_context"),
    ("18:30에 마감합니다.", "09:30~18:00", "number_not_in_context"),
    ("85프로입니다.", "85도", "number_with_other_unit"),
    ("12% 할인입니다.", "버전 12.1", "number_not_in_context"),
    ("10.0.26 버전입니다.", "10.0.25 버전", "number_not_in_context"),
    ("18도로 둡니다.", "-18℃로 보관한다.", "number_not_in_context"),
    ("영하 18도로 둡니다.", "18℃로 보관한다.", "number_not_in_context"),
    ("섭씨 18도 이하로 둡니다.", "영하 18도 이하로 둔다.", "number_not_in_context"),
    ("오후 2시에 합니다.", "오전 2시에 한다.", "number_not_in_context"),
    ("밤 2시에 합니다.", "오후 2시에 한다.", "number_not_in_context"),
    ("두 명이 합니다.", "3명이 한다.", "number_not_in_context"),
    ("다섯 명이 합니다.", "3명이 한다.", "number_not_in_context"),
    ("한 명이 합니다.", "3명이 한다.", "number_not_in_context"),
    ("세 개를 둡니다.", "5개를 둔다.", "number_not_in_context"),
    ("다섯 곳에 둡니다.", "3곳에 둔다.", "number_not_in_context"),
    ("스무 개를 둡니다.", "12개를 둔다.", "number_not_in_context"),
    ("24시간 이후에 합니다.", "24시간 이내에 한다.", "number_with_other_limit"),
    ("10도 이상으로 둡니다.", "10도 이하로 둔다.", "number_with_other_limit"),
    ("10개 초과이면 반려합니다.", "10개 미만이면 반려한다.", "number_with_other_limit"),
    ("10개 이상이면 반려합니다.", "10개 초과이면 반려한다.", "number_with_other_limit"),
    ("최소 10개를 둡니다.", "최대 10개를 둔다.", "number_with_other_limit"),
    ("90분 뒤에 합니다.", "1시간 30분 이내에 한다.", "number_with_other_limit"),
    ("3일 후에 예약합니다.", "3일 전에 예약한다.", "number_with_other_limit"),
]


@pytest.mark.parametrize(("answer", "context"), SAME)
def test_one_fact_in_another_spelling_is_supported(answer: str, context: str) -> None:
    assert unsupported_number(answer, "", [context]) is None


@pytest.mark.parametrize(("answer", "context", "reason"), OTHER)
def test_another_number_or_unit_is_refused(answer: str, context: str, reason: str) -> None:
    verdict = unsupported_number(answer, "", [context])
    assert verdict is not None
    assert verdict.reason == reason
    if reason == "number_with_other_unit":
        assert verdict.evidence["context_units"]


@given(st.text(alphabet="0123456789.,:~ 시간일개월한두세열이십만천억오후분%㎏kg\n-", max_size=40))
def test_a_text_supports_itself(text: str) -> None:
    assert unsupported_number(text, "", [text]) is None


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_is_too_strange(answer: str, context: str) -> None:
    unsupported_number(answer, "", [context])


@given(st.integers(1, 99_999_999))
def test_scales_and_separators_are_the_same_number(value: int) -> None:
    high, low = divmod(value, 10_000)
    written = " ".join(part for part in (f"{high}만" if high else "", str(low) if low else "") if part)
    assert unsupported_number(f"총 {written} 개입니다.", "", [f"합계 {value:,}개"]) is None
    assert unsupported_number(f"총 {value:,}개입니다.", "", [f"합계 {written} 개"]) is None
    other = unsupported_number(f"총 {value + 1:,}개입니다.", "", [f"합계 {written} 개"])
    assert other is not None
