"""What limits a number, what a time of day means, what a sentence denies, and what is a whole sentence."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.korean.limits import limits_agree, limits_at
from corpora.korean.negation import predicates
from corpora.korean.quantities import quantities
from corpora.korean.sentence import whole_sentence


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("24시간 이내에 끝낸다.", {"<="}),
        ("24시간 안에 끝낸다.", {"<="}),
        ("24시간 이후에 한다.", {"after"}),
        ("24시간 전까지 예약한다.", {"before"}),
        ("10개 미만이면 받는다.", {"<"}),
        ("10개 초과는 반려한다.", {">"}),
        ("10개를 초과하지 않는다.", {"<="}),
        ("최대 적재 높이는 10m이다.", {"<="}),
        ("적어도 10개를 둔다.", {">="}),
        ("9시부터 연다.", {">="}),
        ("10개를 둔다.", set()),
        ("10개 전체를 둔다.", set()),
    ],
)
def test_the_words_beside_a_number_limit_it(text: str, marks: set[str]) -> None:
    assert quantities(text)[0].limits == marks


@given(st.text(alphabet="0123456789 이내상하전후까지부터최대소않개시간를.,", max_size=40), st.data())
def test_limits_of_any_text_agree_with_themselves(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    found = limits_at(text, start, data.draw(st.integers(start, len(text))))
    assert limits_agree(found, found)
    assert limits_agree(found, frozenset())


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("오전 2시", {120}),
        ("오후 2시", {840}),
        ("14시", {840}),
        ("2시", {120, 840}),
        ("밤 12시", {0}),
        ("밤 9시", {1260}),
        ("낮 12시", {720}),
        ("02:00", {120}),
    ],
)
def test_an_hour_means_what_is_said_before_it(text: str, minutes: set[int]) -> None:
    assert {amount for _, amount in quantities(text)[0].readings} == {Fraction(one) for one in minutes}


@pytest.mark.parametrize(
    ("sentence", "last", "denied"),
    [
        ("문을 열지 않습니다.", "열", True),
        ("문을 안 엽니다.", "열", True),
        ("문을 열 수 없습니다.", "열", True),
        ("문을 열 수 있습니다.", "열", False),
        ("문을 열면 안 됩니다.", "열", True),
        ("문을 열지 마십시오.", "열", True),
        ("문을 열지 않을 수 없습니다.", "열", False),
        ("출고를 하지 않습니다.", "출고", True),
        ("출고합니다.", "출고", False),
    ],
)
def test_a_predicate_is_denied_or_not(sentence: str, last: str, *, denied: bool) -> None:
    found = predicates(sentence)[-1]
    assert (found.stem, found.denied) == (last, denied)


@given(st.text(max_size=40))
def test_no_text_is_too_strange(text: str) -> None:
    assert whole_sentence(text) in (True, False)
