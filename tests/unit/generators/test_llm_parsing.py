"""What a reply gives: recorded replies for every form, nothing strict ever changed, nothing invented."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from generators.llm.parsing import Malformed, MalformedReplyError, ParsedItem, parse_json, read_reply, reply_schema
from generators.ports import Reply

RECORDED = Path(__file__).parents[2] / "data" / "replies"
READABLE = ("strict", "fenced", "repaired")


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


def recorded(*kinds: str) -> list[Any]:
    paths = [path for path in sorted(RECORDED.glob("*.json")) if path.stem.split("_")[0] in kinds]
    assert len(paths) >= len(kinds)
    return [pytest.param(json.loads(path.read_text(encoding="utf-8")), id=path.stem) for path in paths]


GOOD = '{"pairs": [{"question": "피킹이란 무엇인가요?", "answer": "꺼내는 작업입니다.", "extra": 1}]}'


@pytest.mark.parametrize("case", recorded(*READABLE))
def test_a_recorded_reply_gives_exactly_what_the_model_wrote(case: dict[str, Any]) -> None:
    read = read_reply(reply(case["text"], case["finish_reason"]), "pairs", Pair)
    assert [item.value.model_dump() for item in read.items if isinstance(item, ParsedItem)] == case["items"]
    assert (read.form, read.mendable, read.fault) == (case["form"], False, "")


@pytest.mark.parametrize("case", recorded("again", "final"))
def test_a_recorded_reply_that_needs_guessing_is_refused(case: dict[str, Any]) -> None:
    read = read_reply(reply(case["text"], case["finish_reason"]), "pairs", Pair)
    assert read.fault.startswith(case["reason"])
    assert not any(isinstance(item, ParsedItem) for item in read.items)


@pytest.mark.parametrize(("kind", "mendable"), [("again", True), ("final", False)])
def test_what_was_cut_off_or_is_empty_is_not_asked_for_again(kind: str, mendable: bool) -> None:
    for param in recorded(kind):
        case = param.values[0]
        assert read_reply(reply(case["text"], case["finish_reason"]), "pairs", Pair).mendable is mendable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty_reply"),
        ("네, 질문: 입고란? 답: 들어오는 것입니다.", "not_json"),
        (f"```json\n{GOOD}\n```\n```json\n{GOOD}\n```", "several_code_blocks"),
        ('{"pairs": [], "pairs": []}', "duplicate_key"),
        ("{'pairs': [], 'pairs': []}", "not_json"),
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
    assert read_reply(reply(GOOD, finish), "pairs", Pair).items == [Malformed(reason=expected, raw=GOOD)]


@pytest.mark.parametrize("text", ["[]", "3", '{"items": []}', '{"pairs": {"question": "a"}}', '{"pairs": null}'])
def test_a_wrong_top_level_is_one_malformed_reply(text: str) -> None:
    (item,) = read_reply(reply(text), "pairs", Pair).items
    assert isinstance(item, Malformed)
    assert item.reason.startswith("wrong_shape")
    assert item.raw == text


def test_a_single_bare_item_is_taken_in_and_marked() -> None:
    read = read_reply(reply('{"question": "가", "answer": "나"}'), "pairs", Pair)
    assert (read.form, [type(item) for item in read.items]) == ("repaired", [ParsedItem])


def test_a_wrong_item_does_not_spoil_its_neighbours() -> None:
    entries: list[Any] = [
        {"question": "가", "answer": "나"},
        {"question": "가", "answer": 3},
        "문자열",
        {"question": "다", "answer": "라"},
    ]
    read = read_reply(reply(json.dumps({"pairs": entries})), "pairs", Pair)
    assert [isinstance(item, ParsedItem) for item in read.items] == [True, False, False, True]
    assert isinstance(read.items[1], Malformed)
    assert read.items[1].reason.startswith("wrong_shape: answer:")
    assert json.loads(read.items[1].raw) == entries[1]
    assert not read.mendable


def test_an_empty_list_proposes_nothing() -> None:
    read = read_reply(reply('{"pairs": []}'), "pairs", Pair)
    assert (read.items, read.form, read.mendable) == ([], "strict", False)


def test_strings_come_out_composed_and_stripped() -> None:
    text = json.dumps({"pairs": [{"question": unicodedata.normalize("NFD", " 재고는? "), "answer": "네\r\n예"}]})
    (item,) = read_reply(reply(text), "pairs", Pair).items
    assert isinstance(item, ParsedItem)
    assert item.value == Pair(question="재고는?", answer="네\n예")


@given(st.text(max_size=300), st.sampled_from(["stop", "length", "content_filter", "tool_calls"]))
def test_no_text_whatever_breaks_the_reader(text: str, finish: str) -> None:
    for item in read_reply(reply(text, finish), "pairs", Pair).items:
        assert isinstance(item, Malformed)
        assert item.raw == text


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(_JSON)
def test_what_parses_strictly_is_never_changed(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=2)):
        found, form = parse_json(reply(text))
        assert form == "strict"
        assert found == _cleaned(value)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value).strip()
    if isinstance(value, list):
        return [_cleaned(entry) for entry in value]
    return {key: _cleaned(entry) for key, entry in value.items()} if isinstance(value, dict) else value


def test_the_schema_describes_the_whole_reply() -> None:
    class Citation(BaseModel):
        passage: int

    class Grounded(BaseModel):
        question: str = Field(min_length=1)
        citations: list[Citation]

    schema = reply_schema("pairs", Grounded)
    item = schema["properties"]["pairs"]["items"]
    assert (schema["required"], item["required"]) == (["pairs"], ["question", "citations"])
    # References start at the root, so that is where definitions must stand.
    assert item["properties"]["citations"]["items"] == {"$ref": "#/$defs/Citation"}
    assert schema["$defs"]["Citation"]["required"] == ["passage"]
    assert "$defs" not in reply_schema("pairs", Pair)
