from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from generators.llm.parsing import Malformed, MalformedReplyError, ParsedItem, parse_items, parse_json
from generators.ports import Reply


class Pair(BaseModel):
    model_config = ConfigDict(strict=True)
    question: str
    answer: str


def reply(text: str, finish_reason: str = "stop") -> Reply:
    return Reply(text=text, finish_reason=finish_reason, model="m", prompt_tokens=1, completion_tokens=1)


def reason(text: str, finish_reason: str = "stop") -> str:
    with pytest.raises(MalformedReplyError) as caught:
        parse_json(reply(text, finish_reason))
    return caught.value.reason


GOOD = '{"pairs": [{"question": "피킹이란 무엇인가요?", "answer": "꺼내는 작업입니다.", "extra": 1}]}'


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"  \n{GOOD}\n",
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}\n```",
        f"요청하신 결과입니다.\n\n```JSON\n{GOOD}\n```\n도움이 되셨나요?",
    ],
)
def test_strict_json_and_one_fenced_block_are_read(text: str) -> None:
    (item,) = parse_items(reply(text), "pairs", Pair)
    assert isinstance(item, ParsedItem)
    assert item.value == Pair(question="피킹이란 무엇인가요?", answer="꺼내는 작업입니다.")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty_reply"),
        (" \n ", "empty_reply"),
        ("네, 질문: 입고란? 답: 들어오는 것입니다.", "not_json"),
        (GOOD[:-1], "not_json"),
        (f"결과: {GOOD}", "not_json"),
        (GOOD.replace('"', "'"), "not_json"),
        (GOOD.replace("}]}", "},]}"), "not_json"),
        (f"```json\n{GOOD}\n```\n```json\n{GOOD}\n```", "several_code_blocks"),
        (f"```json\n{GOOD}", "not_json"),
        (f"```python\n{GOOD}\n```", "not_json"),
        ('{"pairs": [], "pairs": []}', "duplicate_key"),
        ('{"pairs": NaN}', "not_json"),
        ('{"pairs": ["\\ud800"]}', "broken_text"),
        ('{"pairs": ["a\\u0000b"]}', "broken_text"),
        ("[" * 100_000, "not_json"),
        ("9" * 10_000, "not_json"),
    ],
)
def test_everything_else_is_malformed_with_its_reason(text: str, expected: str) -> None:
    assert reason(text) == expected


@pytest.mark.parametrize(("finish", "expected"), [("length", "truncated_reply"), ("content_filter", "content_filter")])
def test_a_cut_reply_is_refused_even_when_it_reads_as_json(finish: str, expected: str) -> None:
    assert reason(GOOD, finish) == expected
    (item,) = parse_items(reply(GOOD, finish), "pairs", Pair)
    assert item == Malformed(reason=expected, raw=GOOD)


@pytest.mark.parametrize("text", ["[]", "3", '{"items": []}', '{"pairs": {"question": "a"}}', '{"pairs": null}'])
def test_a_wrong_top_level_is_one_malformed_reply(text: str) -> None:
    (item,) = parse_items(reply(text), "pairs", Pair)
    assert isinstance(item, Malformed)
    assert item.reason.startswith("wrong_shape")
    assert item.raw == text


def test_a_wrong_item_does_not_spoil_its_neighbours() -> None:
    entries: list[Any] = [
        {"question": "가", "answer": "나"},
        {"question": "가", "answer": 3},
        "문자열",
        {"question": "다", "answer": "라"},
    ]
    items = parse_items(reply(json.dumps({"pairs": entries})), "pairs", Pair)
    assert [isinstance(item, ParsedItem) for item in items] == [True, False, False, True]
    assert isinstance(items[1], Malformed)
    assert items[1].reason.startswith("wrong_shape: answer:")
    assert json.loads(items[1].raw) == entries[1]


def test_an_empty_list_proposes_nothing() -> None:
    assert parse_items(reply('{"pairs": []}'), "pairs", Pair) == []


def test_strings_come_out_composed_and_stripped() -> None:
    text = json.dumps({"pairs": [{"question": unicodedata.normalize("NFD", " 재고는? "), "answer": "네\r\n예"}]})
    (item,) = parse_items(reply(text), "pairs", Pair)
    assert isinstance(item, ParsedItem)
    assert item.value == Pair(question="재고는?", answer="네\n예")


@given(st.text(max_size=300), st.sampled_from(["stop", "length", "content_filter", "tool_calls"]))
def test_no_text_whatever_breaks_the_reader(text: str, finish: str) -> None:
    for item in parse_items(reply(text, finish), "pairs", Pair):
        assert isinstance(item, Malformed)
        assert item.raw == text


@given(st.lists(st.fixed_dictionaries({"question": st.text(), "answer": st.text()}), max_size=4))
def test_fenced_and_bare_json_read_the_same(pairs: list[dict[str, str]]) -> None:
    for ascii_only in (True, False):
        text = json.dumps({"pairs": pairs}, ensure_ascii=ascii_only)
        assert parse_items(reply(f"```json\n{text}\n```"), "pairs", Pair) == [
            item if isinstance(item, ParsedItem) else Malformed(reason=item.reason, raw=f"```json\n{text}\n```")
            for item in parse_items(reply(text), "pairs", Pair)
        ]
