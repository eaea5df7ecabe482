"""Questions by rule: what each rule asks, and what it refuses."""

from __future__ import annotations

import pytest

from corpora.records import Chunk
from generators.extractive_forms import FORMS, filled
from generators.extractive_lists import interrogative
from generators.extractive_rules import Draft, drafts

TITLE = "# 반품 접수 관리\n\n"


def chunk(text: str, headings: tuple[str, ...] = ("반품 접수 관리",), index: int = 0) -> Chunk:
    return Chunk(
        id=f"chunk_{index}",
        document_id="doc_1",
        index=index,
        text=text,
        start=100,
        end=100 + len(text),
        headings=headings,
    )


def made(text: str, headings: tuple[str, ...] = ("반품 접수 관리",), after: str | None = None) -> dict[str, Draft]:
    following = None if after is None else chunk(after, headings, 1)
    return {draft.rule: draft for draft in drafts(chunk(text, headings), following)}


def asked(text: str, headings: tuple[str, ...] = ("반품 접수 관리",)) -> dict[str, str]:
    return {rule: filled(f"{rule}.0", draft.phrases) for rule, draft in made(text, headings).items()}


def answers(text: str, headings: tuple[str, ...] = ("반품 접수 관리",)) -> dict[str, str]:
    return {rule: text[draft.start : draft.end] for rule, draft in made(text, headings).items()}


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("로트란 같은 조건에서 함께 만든 상품의 묶음을 말합니다.", "로트란 무엇인가요?"),
        ("피킹이란 주문받은 상품을 꺼내 모으는 작업입니다.", "피킹이란 무엇인가요?"),
        (
            "유통기한 우선 할당(FEFO)이란 기한이 빠른 재고부터 내보내는 규칙을 뜻합니다.",
            "유통기한 우선 할당(FEFO)이란 무엇인가요?",
        ),
        ("반품 접수는 돌아올 상품을 회수 전에 기록하는 작업입니다.", "반품 접수란 무엇인가요?"),
        ("*회수 지시문* 은 상자를 가져올 순서를 정하는 규칙입니다.", "회수 지시문이란 무엇인가요?"),
        ("로트란 같은 조건에서 함께 만든 상품의 묶음을 말한다.", "로트란 무엇인가요?"),
    ],
)
def test_definitions(text: str, question: str) -> None:
    assert asked(text) == {"definition": question}
    assert answers(text)["definition"] == text


@pytest.mark.parametrize(
    "text",
    [
        "그것이란 앞에서 본 작업을 하는 사람을 말합니다.",
        "적치 로케이션은 상품을 올려 두는 가장 가까운 자리입니다.",  # not what the heading is about
        "반품 접수는 다음 단계를 모두 마친 뒤에 하는 작업입니다.",  # announces what does not follow
        "반품 접수의 기본값은 사용자가 저장한 10입니다.",
        "반품 접수는 송장 번호를 그대로 쓰는 것이 원칙입니다.",
    ],
)
def test_what_is_no_definition(text: str) -> None:
    assert "definition" not in made(text)


def test_use_aim_and_capability() -> None:
    use = "검수 단말기는 도착한 상품의 상태와 수량을 기록하는 데 사용됩니다."
    assert asked(use) == {"use": "검수 단말기는 어디에 사용되나요?"}
    aim = "반품 접수의 목적은 돌아올 상품의 수량을 미리 알리는 것입니다."
    assert asked(aim) == {"purpose_of": "반품 접수의 목적은 무엇인가요?"}
    can = "**반품 접수 현황** 페이지를 사용하면 회수되지 않은 상자의 위치를 조회할 수 있습니다."
    assert asked(can) == {"capability": "'반품 접수 현황' 페이지를 사용하면 무엇을 할 수 있나요?"}
    names = "**수량** 및 **부분 회수 허용** 값을 설정하려면 RT-160 화면에서 접수 번호를 조회하고 두 값을 입력합니다."
    assert "'수량' 및 '부분 회수 허용' 값을 설정하려면" in asked(names)["purpose"]
    assert not made("단말기를 사용하여 다시 처리할 수 있습니다.")
    assert not made("이 단말기를 사용하면 상자의 위치를 조회할 수 있습니다.")


def test_purpose_takes_along_what_belongs_to_it() -> None:
    first = "반품 접수를 등록하려면 RT-120 화면에서 송장 번호를 조회하고 [등록]을 누릅니다."
    text = f"{first} 그런 다음 사유를 고릅니다. 상자는 S5에 둡니다."
    assert asked(text) == {"purpose": "반품 접수를 등록하려면 어떻게 해야 하나요?"}
    assert answers(text) == {"purpose": f"{first} 그런 다음 사유를 고릅니다."}


@pytest.mark.parametrize(
    "text",
    [
        "이를 등록하려면 RT-120 화면에서 송장 번호를 조회합니다.",
        "해당 상품을 출고하려면 센터장의 승인과 서명을 받습니다.",
        "반품 접수를 등록하려면 두 가지 방법이 있습니다.",
        "반품 접수를 등록하려면 현황 화면과 송장 목록을 사용할 수 있습니다.",
        "반품 접수를 등록하려면 [등록 안내](register.md)의 화면에서 송장 번호를 조회합니다.",
        "반품 접수를 등록하려면 다음 그림의 화면에서 송장 번호를 조회합니다.",
        "반품 접수를 등록하려면 이 필드에 송장 번호를 입력합니다.",
        "반품 접수를 등록하려면 저장합니다.",
        "요금이 필요하지만 반품 접수를 지원하려면 다른 화면과 송장이 있어야 합니다.",
        "하려면 합니다.",
    ],
)
def test_purposes_that_are_refused(text: str) -> None:
    assert not made(text)


def test_context_where_a_clause_does_not_stand_alone() -> None:
    text = "송장을 출력하려면 RT-130 화면에서 접수 번호와 상자 수를 입력합니다."
    assert asked(text) == {"purpose": "반품 접수 관리에서 송장을 출력하려면 어떻게 해야 하나요?"}
    assert asked(text, ("반품 접수하기",)) == {
        "purpose": "반품 접수하기와 관련하여 송장을 출력하려면 어떻게 해야 하나요?"
    }
    assert not made(text, ())


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("반품 접수 번호가 없는 상자가 도착하면 송장 사진을 찍어 화주에게 보내십시오.", "must_if"),
        ("반품 접수 기한이 지난 상자를 스캔하면 경고음이 울리고 송장 출력이 막힙니다.", "happens_if"),
        ("반품 접수 기한이 7일을 넘는 경우 조장이 화주에게 전화로 사유를 확인합니다.", "handled_if"),
        ("반품 접수 수량이 다른 경우 RT-150 화면에서 차이 사유와 수량을 고칠 수 있습니다.", "may_if"),
    ],
)
def test_conditions(text: str, rule: str) -> None:
    assert set(made(text)) == {rule}
    assert answers(text)[rule] == text


@pytest.mark.parametrize(
    "text",
    [
        "반품 접수 번호가 없으면 송장이 막히므로 상자를 화주에게 보내십시오.",  # what follows 면 is the reason
        "반품 접수 수량이 다른 경우 및 사유가 빈 경우 송장 출력이 막힙니다.",  # a second condition
        "반품 접수 수량이 다른 경우에도 상자와 송장을 보낼 수 있습니다.",
        "반품 접수 수량이 같으면 오적치일 가능성이 높습니다.",
        "반품 접수 수량이 같고 이 상자가 비면 경고음이 울리고 송장 출력이 막힙니다.",
        "반품 접수 수량이 다르면 필요하지 않습니다.",
    ],
)
def test_conditions_that_are_refused(text: str) -> None:
    assert not {rule for rule in made(text) if rule.endswith("_if")}


STEPS = "1. RT-120 화면에서 송장 번호를 조회합니다.\n2. 반품 수량을 입력합니다.\n3. [저장]을 누릅니다."


def test_a_procedure_is_its_clause_with_all_its_steps() -> None:
    text = f"반품 접수를 확정하려면 다음 순서대로 진행합니다.\n\n{STEPS}\n\n끝으로 문을 닫습니다."
    assert asked(text) == {"procedure": "반품 접수를 확정하려면 어떤 단계를 거쳐야 하나요?"}
    assert answers(text) == {"procedure": text.removesuffix("\n\n끝으로 문을 닫습니다.")}


@pytest.mark.parametrize(
    "text",
    [
        f"{STEPS}\n\n![화면](a.png)\n\n4. 확인합니다.",
        STEPS.replace("1. ", "4. "),
        STEPS.replace("[저장]", "[저장](b.md)"),
        STEPS.replace("송장 번호를", "**창고:** *62* 의 송장 번호를"),
        STEPS.replace("송장 번호를", "이전에 생성한 송장 번호를"),
        "1. 페이지를 닫고 처음으로 돌아갑니다.\n2. 반품 수량을 입력합니다.",
        "1. 송장 번호와 상자 번호\n2. 반품 수량",
    ],
)
def test_lists_that_are_not_whole_procedures(text: str) -> None:
    assert not made(f"반품 접수를 확정하려면 다음 순서대로 진행합니다.\n\n{text}")


def test_a_list_that_goes_on_in_the_next_chunk_is_refused() -> None:
    text = f"반품 접수를 확정하려면 다음 순서대로 진행합니다.\n\n{STEPS}"
    assert made(text, after="## 다른 절\n\n글입니다.")
    assert not made(text, after="4. 서명합니다.")


def test_headings_that_name_an_action() -> None:
    headings = ("반품 접수 관리", "반품 송장 등록")
    text = f"## 반품 송장 등록\n\n{STEPS}"
    assert asked(text, headings) == {"heading_작업": "반품 접수 관리에서 반품 송장 등록 절차를 단계별로 알려 주세요."}
    linked = f"## 반품 송장을 새 접수와 연결\n\n{STEPS}"
    assert asked(linked, headings) == {"heading_방법": "반품 송장을 새 접수와 연결하는 방법을 알려 주세요."}
    assert not made(text, headings, after="### 마무리\n\n글입니다."), "it goes on under a deeper heading"
    assert not made(f"## 반품 송장의 목록\n\n{STEPS}", headings)
    assert not made(text, ("반품 접수 관리", "예제 시나리오", "반품 송장 등록")), "an exercise"


def test_a_section_is_asked_for_only_as_a_whole() -> None:
    body = "반품 상자의 보관 기준은 도착한 날부터 셉니다. 냉장 상자는 3일, 상온 상자는 7일 동안 S5 구역에 보관합니다."
    text = f"## 반품 상자의 보관 기준\n\n{body}"
    assert answers(text) == {"told": body}
    assert not made(text, after="보관이 끝나면 폐기합니다."), "the section goes on"
    assert not made(text.replace("냉장 상자는", "위 표의 상자는"))
    assert not made("## 개요\n\n" + body)
    assert not made(text.replace("반품 상자의 보관 기준은", "이 기준은"))
    thing = (
        "## 반품 접수 라벨\n\n"
        + "반품 접수 라벨에는 상자 번호와 도착 날짜가 적혀 있습니다. 라벨은 상자의 윗면에 붙입니다. 젖은 것은 버립니다."
    )
    assert asked(thing) == {"section": "반품 접수 라벨에 대해 설명해 주세요."}
    assert not made(thing.replace("반품 접수 라벨에는", "반품 상자에는").replace("라벨은", "종이는"))


def test_an_announced_list() -> None:
    text = "반품 접수 화면에는 다음 정보가 표시됩니다.\n\n- 접수 번호\n- 송장 번호\n"
    assert asked(text) == {"list": "반품 접수 화면에는 어떤 정보가 표시되나요?"}
    assert answers(text)["list"] == text.rstrip()
    assert not made(text.replace("다음 정보가", "다음 정보 중 하나가"))
    assert not made(text.replace("- 송장 번호", "- [송장 번호](a.md)"))


@pytest.mark.parametrize(
    ("statement", "question"),
    [
        ("포함됩니다.", "포함되나요?"),
        ("제공합니다:", "제공하나요?"),
        ("있습니다.", "있나요?"),
        ("설정해야 합니다.", "설정해야 하나요?"),
        ("작업입니다.", None),
        ("높습니다.", None),
        ("확인하십시오.", None),
    ],
)
def test_interrogatives(statement: str, question: str | None) -> None:
    assert interrogative(statement) == question


def test_fields_and_options() -> None:
    text = (
        "- **예정일** – 상자가 도착할 것으로 예상되는 날짜를 입력합니다.\n"
        "- **급송** – 상자를 당일에 돌려보내야 하는 경우 이 확인란을 선택합니다.\n"
        "- **자동 출력** – 이 옵션을 *예* 로 설정하면 저장할 때 송장이 출력됩니다.\n"
    )
    assert asked(text) == {
        "field": "반품 접수 관리에서 '예정일' 항목에는 무엇을 입력하나요?",
        "field_when": "반품 접수 관리에서 '급송' 항목은 언제 선택하나요?",
        "option": "반품 접수 관리에서 '자동 출력' 옵션을 예로 설정하면 어떻게 되나요?",
    }
    assert answers(text)["field"] == "상자가 도착할 것으로 예상되는 날짜를 입력합니다."


@pytest.mark.parametrize(
    "item",
    [
        "- **배송사** – 반품 접수에 대한 배송사를 선택합니다.",  # says nothing that the label does not
        "- **예정일** – 상자가 도착할 것으로 예상되는 날짜",
        "- **대지** – 창고를 결정할 수 있어야 하므로 이 필드는 필수입니다.",
        "- **예정일** 상자가 도착할 것으로 예상되는 날짜를 입력합니다.",
        "- **예정일** – 상자가 도착할 것으로 예상되는 날짜를 입력합니다.\n    - 달력에서 고릅니다.",
    ],
)
def test_labels_that_are_refused(item: str) -> None:
    assert not made(item)


def test_cells_of_a_table() -> None:
    text = (
        "| 등급 | 상태 | 처리 내용 |\n| --- | --- | --- |\n"
        "| G1 | 새것 | 검수한 날에 다시 적치 구역으로 옮깁니다. |\n| G2 | 포장 손상 | 짧습니다. |\n"
    )
    assert asked(text) == {"cell": "반품 접수 관리에서 'G1'의 처리 내용을 알려 주세요."}
    assert answers(text) == {"cell": "검수한 날에 다시 적치 구역으로 옮깁니다."}
    assert not made(text.replace("| G2 |", "| G1 |")), "two rows of one name"


@pytest.mark.parametrize(
    "heading", ["6.3. 반품 접수", "2장 반품 접수", "제2장. 반품 접수", "부록 B. 반품 접수", "3) 반품 접수"]
)
def test_numbers_of_headings_are_no_part_of_a_question(heading: str) -> None:
    text = "송장을 출력하려면 RT-130 화면에서 접수 번호와 상자 수를 입력합니다."
    assert asked(text, (heading,)) == {"purpose": "반품 접수에서 송장을 출력하려면 어떻게 해야 하나요?"}


@pytest.mark.parametrize(
    "text",
    [
        "반품 접수를 취소하려면 처음 화면과 송장 목록에서만 가능합니다.",
        "반품 접수를 취소하려면 승인 도장과 서명이 필요했습니다.",
        "반품 접수 화면을 쓰려면 회수 화면과 송장 목록도 켜야 합니다.",
        "반품 접수 송장은 회수 상자에 붙이는 데 사용했습니다.",
        "반품 접수 조건이 갖추어져 있고(즉 회수 상자가 도착하면), 송장 출력이 막힙니다.",
        "반품 접수 상자가 여러 개 있는 경우[8] 송장 출력이 막힙니다.",
    ],
)
def test_sentences_that_do_not_tell_how(text: str) -> None:
    assert not made(text)


def test_nobody_is_asked_yes_or_no() -> None:
    assert not any(
        form.endswith(("인가요?", "맞나요?")) and "무엇" not in form for forms in FORMS.values() for form in forms
    )
