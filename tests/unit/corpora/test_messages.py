"""The training file's schema: what is refused, on which line, in which words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from corpora.errors import InvalidTrainingFileError
from corpora.messages import message_line, validate_training_file

GOOD = {"messages": [{"role": "user", "content": "입고란?"}, {"role": "assistant", "content": "들어오는 일입니다."}]}


def lines(*rows: Any, count: int = 20, at: int = 17) -> list[bytes]:
    """Twenty good lines with ``rows`` from line ``at`` on."""
    result = [json.dumps(GOOD, ensure_ascii=False).encode() + b"\n"] * count
    for offset, row in enumerate(rows):
        raw = row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode() + b"\n"
        result[at - 1 + offset] = raw
    return result


def turn(role: str, content: Any = "말", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (b'{"messages": [\n', "not valid JSON"),
        (b"\xff\xfe\n", "not UTF-8"),
        ([1], 'a list "messages"'),
        ({"messages": []}, "at least one message"),
        ({"messages": ["말"]}, "messages[0] is no object"),
        ({"messages": [turn("assistant"), turn("user")]}, "messages[0] is of 'assistant' where 'user'"),
        ({"messages": [turn("user"), turn("user"), turn("assistant")]}, "messages[1] is of 'user'"),
        ({"messages": [turn("user"), turn("system"), turn("assistant")]}, "messages[1] is of 'system'"),
        ({"messages": [turn("user")]}, "no assistant message"),
        ({"messages": [turn("system")]}, "no assistant message"),
        ({"messages": [turn("user"), turn("assistant"), turn("user")]}, "ends with a user message"),
        ({"messages": [turn("user", " "), turn("assistant")]}, "has no content"),
        ({"messages": [turn("user", None), turn("assistant")]}, "has no content"),
        ({"messages": [turn("robot"), turn("assistant")]}, "has the role 'robot'"),
        ({"messages": [turn("user", weight=1), turn("assistant")]}, "has a weight"),
        ({"messages": [turn("user"), turn("assistant", weight=2)]}, "has a weight"),
        ({"messages": [turn("user", colour="red"), turn("assistant")]}, "unknown key 'colour'"),
    ],
)
def test_a_wrong_line_is_named(row: Any, said: str) -> None:
    with pytest.raises(InvalidTrainingFileError) as caught:
        validate_training_file(lines(row))
    assert caught.value.message.startswith("line 17: ")
    assert said in caught.value.message
    assert caught.value.param == "training_file"


def test_fewer_than_ten_examples_in_openais_words() -> None:
    with pytest.raises(InvalidTrainingFileError) as caught:
        validate_training_file(lines(count=9, at=1)[:9])
    assert caught.value.code == "invalid_n_examples"
    assert caught.value.message == "Training file has 9 example(s), but must have at least 10 examples"


def test_what_is_allowed() -> None:
    system = {"messages": [turn("system"), turn("user"), turn("assistant", weight=0), turn("user"), turn("assistant")]}
    report = validate_training_file([b"\xef\xbb\xbf" + lines()[0], *lines(system, b"\n")])
    assert report.examples == 20
    assert "repeat" in report.warnings[0]


def test_an_export_line_is_plain_korean_and_nothing_else() -> None:
    line = message_line([turn("user", "피킹은?", name="x"), turn("assistant", "꺼내는 일입니다.")])
    assert line == (
        '{"messages": [{"role": "user", "content": "피킹은?"}, {"role": "assistant", "content": "꺼내는 일입니다."}]}'
    )
    assert json.loads(message_line([turn("user")], {"split": "train"}))["metadata"] == {"split": "train"}
