"""Repairs change structure, never words: any value in any of the known dressings, and what must be left alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generators.llm.repair import rewrite

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["재고", '그는 "재고"라고 했다', "it's", '", "', "'}]", "{", "```", "\\", "줄\n바꿈", "“따옴표”", "True", ",}"]
)
_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


def _write(value: Any, string: Callable[[str], str], words: dict[Any, str], trailing: str) -> str:
    """JSON with other strings, other words for constants, and something behind each last member."""
    if isinstance(value, str):
        return string(value)
    if value is None or isinstance(value, bool):
        return words[value]
    if isinstance(value, list):
        members = [_write(entry, string, words, trailing) for entry in value]
        return f"[{', '.join(members)}{trailing if members else ''}]"
    if isinstance(value, dict):
        members = [f"{string(key)}: {_write(entry, string, words, trailing)}" for key, entry in value.items()]
        return f"{{{', '.join(members)}{trailing if members else ''}}}"
    return json.dumps(value)


def _double(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _raw(text: str) -> str:
    """Line breaks and controls as they are."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _single(text: str) -> str:
    return "'" + json.dumps(text, ensure_ascii=False)[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"


_JSON_WORDS = {None: "null", True: "true", False: "false"}
_PYTHON_WORDS = {None: "None", True: "True", False: "False"}
_DRESSINGS: dict[str, Callable[[Any], str]] = {
    "bare": lambda v: json.dumps(v, ensure_ascii=False),
    "ascii": json.dumps,
    "pretty": lambda v: json.dumps(v, ensure_ascii=False, indent=2),
    "prose": lambda v: f"네, [참고] 결과는 다음과 같습니다.\n{json.dumps(v, ensure_ascii=False)}\n도움이 되셨나요?",
    "trailing_commas": lambda v: _write(v, _double, _JSON_WORDS, ","),
    "raw_breaks": lambda v: _write(v, _raw, _JSON_WORDS, ""),
    "single_quotes": lambda v: _write(v, _single, _JSON_WORDS, ""),
    "python": lambda v: _write(v, _single, _PYTHON_WORDS, ","),
    "missing_end": lambda v: json.dumps(v, ensure_ascii=False).rstrip("]}"),
    "unclosed_fence": lambda v: "```json\n" + json.dumps(v, ensure_ascii=False)[:-1],
    "end_before_prose": lambda v: json.dumps(v, ensure_ascii=False)[:-1] + "\n```\n이상입니다.",
}


@pytest.mark.parametrize("dressing", _DRESSINGS)
@given(value=_VALUE)
def test_any_value_comes_out_of_any_dressing_as_it_went_in(dressing: str, value: Any) -> None:
    whole = {"pairs": [value, "끝"]}
    written = rewrite(_DRESSINGS[dressing](whole))
    assert written is not None
    assert json.loads(written) == whole


@given(_VALUE, st.integers(1, 200))
def test_a_cut_never_makes_a_string_that_was_not_there(value: Any, place: int) -> None:
    text = json.dumps({"pairs": [value, "끝"]}, ensure_ascii=False)
    written = rewrite(text[:place])
    if written is None:
        return
    try:
        found = json.loads(written)
    except ValueError:
        return
    assert set(_strings(found)) <= set(_strings({"pairs": [value, "끝"]}))


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for entry in value for text in _strings(entry)]
    if isinstance(value, dict):
        return [text for key, entry in value.items() for text in (key, *_strings(entry))]
    return []


@given(st.text(alphabet="{}[]\"',:가나 \n\\1t`“”", max_size=60))
def test_no_text_whatever_breaks_it(text: str) -> None:
    written = rewrite(text)
    assert written is None or written[0] in "{["


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"가": "그는 "재고"라고 했다. "창고"도 있다."}', {"가": '그는 "재고"라고 했다. "창고"도 있다.'}),
        ('{"가": ""재고"란 무엇인가요?"}', {"가": '"재고"란 무엇인가요?'}),
        ('{"가": "그는 "재고""}', {"가": '그는 "재고"'}),
        ('{"가": [{"나": "다"} {"나": "라"}]}', {"가": [{"나": "다"}, {"나": "라"}]}),
        ('{"가": [{"나": "다"}}', {"가": [{"나": "다"}]}),
        ("{“가”: “나”}", {"가": "나"}),
        ("{'가': '첫 줄\n둘째 줄', '나': [1, True, None,],}", {"가": "첫 줄\n둘째 줄", "나": [1, True, None]}),
    ],
)
def test_what_can_be_read_in_one_way_is_mended(text: str, found: Any) -> None:
    written = rewrite(text)
    assert written is not None
    assert json.loads(written) == found


@pytest.mark.parametrize(
    "text",
    [
        '{"가": "물건이 들어오는 것',
        '{"가": "나", "다": 12',
        '{"가": [{"나": "다"}, {',
        '["가" "나"]',
        '["가""나"]',
        '{"가": "나" "다": "라"}',
        '{"가": "나\n"다": "라"}',
        '{"가": "상태는 "완료", "보류" 가운데 하나"}',
        "{'가': 'it's 재고'}",
        '{"가": 재고}',
        '{"가": "3\\% 할인"}',
        '{"가": 1} 그리고 {"나": 2}',
        '{"가": 1, // 설명\n "나": 2}',
        '{"가": 01}',
        "재고란 무엇인가요?",
        "[참고] 재고는 창고에 있다",
    ],
)
def test_what_could_be_read_in_two_ways_is_left_alone(text: str) -> None:
    assert rewrite(text) is None


def test_a_hostile_reply_costs_linear_time() -> None:
    for text in ("[" * 200_000, '{"' * 100_000, '["' + '" ' * 100_000, "{'a': " * 50_000 + "}" * 50_000):
        rewrite(text)
