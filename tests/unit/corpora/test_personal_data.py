"""Personal data and what only looks like it: every trap of a warehouse, and the rules that hold for any text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import InvalidInputError
from corpora.korean.personal_data import (
    DEFAULT_KINDS,
    KINDS,
    PLACEHOLDERS,
    PersonalDataAction,
    confident,
    find_personal_data,
    mask,
)
from tests.unit.corpora.personal_data_cases import CLEAR, FOUND, OLD, dashed, ean, person, wrong


@pytest.mark.parametrize(("text", "kind", "what", "confidence"), FOUND)
def test_found(text: str, kind: str, what: str, confidence: str) -> None:
    assert [(one.kind, one.text, one.confidence) for one in find_personal_data(text, KINDS)] == [
        (kind, what, confidence)
    ]


@pytest.mark.parametrize("text", CLEAR)
def test_goods_are_not_people(text: str) -> None:
    assert find_personal_data(text, KINDS) == []


@pytest.mark.parametrize(
    "text", [f"LOT {dashed(person('240115123456'))}", f"로트 번호: {dashed(person('900101234567'))}", "240115-1234567"]
)
def test_a_lot_is_never_more_than_low(text: str) -> None:
    assert confident(find_personal_data(text, KINDS)) == []


def test_evidence_tells_checksum_and_label() -> None:
    first, second, third = find_personal_data(f"주민번호 {dashed(OLD)}, {dashed(wrong(OLD))} / 010-2345-6789")
    assert first.evidence == {"checksum": "passed", "context": "주민번호"}
    assert second.evidence == {"checksum": "failed", "context": "주민번호"}
    assert third.evidence["checksum"] == "not_applicable"


def test_the_nearest_label_governs() -> None:
    text = f"주민등록번호가 아니라 바코드 {OLD}, 계좌 110-234-567890, 운송장 110-234-567891"
    assert [(one.kind, one.text) for one in find_personal_data(text)] == [("account", "110-234-567890")]


def test_several_in_order_with_offsets_of_the_given_text() -> None:
    text = "수령인 ０１０－２３４５－６７８９,\n서울 강남구 테헤란로 152, kim@malmoi.kr로 회신"
    found = find_personal_data(text)
    assert [(one.kind, one.start, one.end) for one in found] == [
        ("phone", 4, 17),
        ("address", 19, 34),
        ("email", 36, 49),
    ]
    assert mask(text, found) == "수령인 [전화번호 가림],\n[주소 가림], [이메일 가림]로 회신"


def test_companies_are_searched_for_by_name_only() -> None:
    text = "사업자등록번호 124-81-00998"
    assert find_personal_data(text) == []
    assert [one.kind for one in find_personal_data(text, ["business_number"])] == ["business_number"]
    assert {"business_number", "corporate_number"} == set(KINDS) - DEFAULT_KINDS


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="licence_plate"):
        find_personal_data("", ["licence_plate"])


def test_masking_another_text_is_refused() -> None:
    found = find_personal_data("연락처 010-2345-6789")
    with pytest.raises(InvalidInputError, match="does not belong"):
        mask("연락처는 010-2345-6789", found)
    with pytest.raises(InvalidInputError, match="does not belong"):
        mask("연락처 010-2345-6789", [*found, *found])


def test_low_confidence_stays_unless_asked_for() -> None:
    text = "콜센터 1588-1234, 기사 010-2345-6789"
    found = find_personal_data(text)
    assert mask(text, confident(found)) == "콜센터 1588-1234, 기사 [전화번호 가림]"
    assert mask(text, found) == "콜센터 [전화번호 가림], 기사 [전화번호 가림]"


def test_every_kind_has_a_recogniser_and_a_placeholder() -> None:
    assert set(KINDS) == set(PLACEHOLDERS)
    assert [str(action) for action in PersonalDataAction] == ["flag", "mask", "reject"]


PIECES = st.sampled_from(
    [text for text, *_ in FOUND]
    + [what for _, _, what, _ in FOUND]
    + CLEAR
    + list(PLACEHOLDERS.values())
    + [
        "계좌 ",
        "운송장 ",
        "LOT",
        "주민번호",
        "\n",
        "|",
        "-",
        "(",
        ")",
        ", ",
        " ",
        ".",
        ":",
        "1",
        "A",
        "로",
        "동",
        "\ue000",
        "=",
        "@",
    ]
)
JUMBLES = st.lists(PIECES | st.text(alphabet="0123456789-. 가로길동A@M", max_size=12), max_size=8).map("".join)


@settings(max_examples=400, deadline=None)
@given(JUMBLES)
def test_masked_text_holds_nothing_more(text: str) -> None:
    for kinds in (DEFAULT_KINDS, frozenset(KINDS)):
        found = find_personal_data(text, kinds)
        assert all(one.text == text[one.start : one.end] for one in found)
        assert all(one.end <= after.start for one, after in pairwise(found))
        masked = mask(text, found)
        assert find_personal_data(masked, kinds) == []
        assert mask(masked, find_personal_data(masked, kinds)) == masked


@settings(max_examples=200, deadline=None)
@given(JUMBLES)
def test_masking_what_is_certain_leaves_nothing_certain(text: str) -> None:
    masked = mask(text, confident(find_personal_data(text)))
    assert confident(find_personal_data(masked)) == []


@settings(deadline=None)
@given(st.text())
def test_any_text_is_searched(text: str) -> None:
    assert mask(text, find_personal_data(text)).count("\n") == text.count("\n")


@given(st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2})?)?", fullmatch=True))
def test_dates_and_times_are_nobody(text: str) -> None:
    assert find_personal_data(text, KINDS) == []


@given(st.integers(0, 10**9 - 1))
def test_no_korean_barcode_is_a_person_whatever_the_label(number: int) -> None:
    barcode = ean(f"880{number:09}")
    for label in ("", "바코드 ", "주민등록번호 ", "계좌번호 ", "법인등록번호 "):
        assert find_personal_data(label + barcode, KINDS) == []


@given(st.integers(0, 10**12 - 1))
def test_no_waybill_is_a_person(number: int) -> None:
    digits = f"{number:012}"
    for text in (f"운송장 {digits}", f"송장번호: {digits[:4]}-{digits[4:8]}-{digits[8:]}"):
        assert find_personal_data(text, KINDS) == []


@pytest.mark.parametrize(
    ("unit", "count"),
    [
        ("0123456789", 0),
        ("1-", 0),
        ("로1", 0),
        ("a@b.", 0),
        ("서울 강남구 ", 0),
        ("서울 강남구 창고로 1개 ", 0),
        ("kim.", 0),
        ("010-2345-6789 ", 1_000_000 // 14),
    ],
)
def test_a_megabyte_on_one_line_ends(unit: str, count: int) -> None:
    # A pattern that backtracks without bound would run into the time limit of the test.
    text = unit * (1_000_000 // len(unit))
    assert len(find_personal_data(text, KINDS)) == count
