"""The training file's schema: what is refused, on which line, in which words."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest

from corpora.errors import InvalidTrainingFileError
from corpora.messages import MAX_DEPTH, TrainingLineError, message_line, training_rows, validate_training_file

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
        ({"messages": [turn("user"), turn("assistant", weight=True)]}, "has a weight"),
        ({"messages": [turn("user"), turn("assistant", weight=1.0)]}, "has a weight"),
        ({"messages": [turn("user", 30), turn("assistant")]}, "messages[0] has no content; it must be a string"),
        ({"messages": [turn("user"), turn("assistant", ["말"])]}, "messages[1] has no content; it must be a string"),
        ({"messages": [turn("user", colour="red"), turn("assistant")]}, "unknown key 'colour'"),
    ],
)
def test_a_wrong_line_is_named(row: Any, said: str) -> None:
    with pytest.raises(InvalidTrainingFileError) as caught:
        validate_training_file(lines(row))
    assert caught.value.message.startswith("line 17: ")
    assert said in caught.value.message
    assert caught.value.param == "training_file"


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ([turn("user")], "data_type"),
        ("말", "data_type"),
        ({"messages": ["말"]}, "data_type"),
        ({"prompt": "물음", "completion": "답"}, "missing_messages_list"),
        ({"messages": {}}, "missing_messages_list"),
        ({"messages": [{"content": "말"}, turn("assistant")]}, "message_missing_key"),
        ({"messages": [{"role": "user"}, turn("assistant")]}, "message_missing_key"),
        ({"messages": [turn("user", tool_calls=[]), turn("assistant")]}, "message_unrecognized_key"),
        ({"messages": [turn("tool"), turn("assistant")]}, "unrecognized_role"),
        ({"messages": [turn("User"), turn("assistant")]}, "unrecognized_role"),
        ({"messages": [turn("user"), turn("assistant", "")]}, "missing_content"),
        ({"messages": [turn("user"), turn("assistant", None)]}, "missing_content"),
        ({"messages": [turn("system"), turn("user")]}, "example_missing_assistant_message"),
        ({"messages": [turn("user"), turn("user"), turn("assistant")]}, "role_order"),
        ({"messages": [turn("user", weight=0), turn("assistant")]}, "invalid_weight"),
        (b'{"messages": [\n', "invalid_json"),
        (b"\xff\n", "not_utf8"),
    ],
)
def test_a_fault_has_the_cookbooks_name(row: Any, fault: str) -> None:
    with pytest.raises(TrainingLineError) as caught:
        validate_training_file(lines(row))
    assert (caught.value.line, caught.value.fault, caught.value.code) == (17, fault, "invalid_training_file")
    assert caught.value.message.endswith(f"[{fault}]")


@pytest.mark.parametrize(
    ("data", "fault", "hint"),
    [
        ("질문,답변\n3번 도크는?,3층\n".encode("cp949"), "not_utf8", "reads CP949"),
        ("질문,답변\n3번 도크는?,3층\n".encode(), "invalid_json", "looks like a table"),
        ('"질문"\t"답변"\n'.encode(), "invalid_json", "looks like a table"),
        (b'[\n{"messages": []}]', "invalid_json", "Write one object a line"),
        (b'[{"messages": []}]', "data_type", "Write one object a line"),
        (b'{"messages":\n[]}', "invalid_json", "on that line alone"),
        (b'{"input": {"messages": []}, "preferred_output": []}', "missing_messages_list", '"dpo"'),
        (b'{"prompt": "a", "completion": "b"}', "missing_messages_list", "'malmoi import'"),
    ],
)
def test_a_file_of_another_kind_says_what_to_do(data: bytes, fault: str, hint: str) -> None:
    with pytest.raises(TrainingLineError) as caught:
        validate_training_file(data.splitlines(keepends=True))
    assert (caught.value.line, caught.value.fault) == (1, fault)
    assert hint in caught.value.hint


def raw(content: str, rest: str = "") -> bytes:
    """A line whose user content stands there as JSON spells it."""
    return (
        f'{{"messages": [{{"role": "user", "content": {content}}}, {{"role": "assistant", "content": "네."}}]{rest}}}\n'
    ).encode()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        # Half a surrogate pair: JSON can spell it, UTF-8 and every tokenizer refuse it.
        (raw('"재고\\ud800 조회"'), "messages[0].content holds \\ud800, half of a surrogate pair"),
        (raw('"\\uDFFF"'), "messages[0].content holds \\udfff, half of a surrogate pair"),
        (raw('"재고"', ', "metadata": {"출처": "\\ud83d"}'), "metadata.출처 holds \\ud83d"),
        (raw('"재고"', ', "\\udc00": 1'), "a key of the line holds \\udc00"),
        (raw('"재고", "\\udc00": 1'), "a key of messages[0] holds \\udc00"),
        (raw('"재고\\u0000조회"'), "messages[0].content holds a NUL character"),
        (raw('"재고\0조회"'), "not valid JSON (Invalid control character"),
        (raw("NaN"), "holds NaN, which is no JSON value"),
        (raw('"재고"', ', "score": -Infinity'), "holds -Infinity"),
        (raw('"재고"', ', "score": 1e999'), "score is a number out of range"),
        (raw('"재고"', ', "count": ' + "9" * 5000), "a number with too many digits"),
        (raw('"재고", "content": "출고"'), "holds the key 'content' 2 times"),
        (raw('"재고"', ', "messages": []'), "holds the key 'messages' 2 times"),
        (b"[" * 100_000 + b"]" * 100_000 + b"\n", "is nested too deeply"),
        (raw('"재고"', ', "metadata": ' + "[" * MAX_DEPTH + "]" * MAX_DEPTH), "is nested too deeply"),
        (b"\xef\xbb\xbf" + raw('"재고"'), "not valid JSON (Unexpected UTF-8 BOM"),
    ],
)
def test_what_json_can_spell_and_no_reader_should_take(row: bytes, said: str) -> None:
    with pytest.raises(InvalidTrainingFileError) as caught:
        validate_training_file(lines(row))
    assert caught.value.message.startswith("line 17: ")
    assert said in caught.value.message
    # The message goes out over HTTP: it must be text that UTF-8 can hold, and no novel.
    assert len(caught.value.message.encode()) < 300


def test_escapes_and_depths_that_are_fine() -> None:
    nested = "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    fine = [raw('"\\ud83d\\udce6 상자 \\uac00"'), raw('"재고"', f', "metadata": {nested}, "score": 0.5')]
    assert validate_training_file(lines(*fine)).examples == 20
    assert next(iter(training_rows(fine)))[1][0]["content"] == "📦 상자 가"


def test_long_faults_are_told_shortly() -> None:
    long = "가" * 100_000
    for row in (
        {"messages": [turn(long)]},
        {"messages": [turn("user", **{long: 1})]},
        raw('"재고"', f', "{long}": 1, "{long}": 2'),
        raw('"재고"', f', "{long}": "\\u0000"'),
    ):
        with pytest.raises(InvalidTrainingFileError) as caught:
            validate_training_file(lines(row))
        assert len(caught.value.message) < 300


def test_a_file_of_another_encoding() -> None:
    text = b"".join(lines()).decode()
    for encoding in ("utf-16", "cp949"):
        with pytest.raises(InvalidTrainingFileError, match="line 1: not UTF-8"):
            validate_training_file(text.encode(encoding).splitlines(keepends=True))


def test_the_trainer_reads_the_lines_that_were_checked() -> None:
    """Line numbers count blank lines; a carriage return between two tokens ends no line."""
    folded = raw('"재고"').replace(b'", "content"', b'",\r"content"')
    rows = list(training_rows([b"\xef\xbb\xbf\n", lines()[0], b"\r\n", folded]))
    assert [number for number, _ in rows] == [2, 4]
    assert rows[0][1] == GOOD["messages"]
    assert rows[1][1][0] == {"role": "user", "content": "재고"}
    with pytest.raises(InvalidTrainingFileError, match="line 2: needs a list"):
        list(training_rows([lines()[0], b"{}"]))


def test_the_field_that_named_the_file_is_told() -> None:
    for wrong in ([b"{}"], [b"\xff"], []):
        with pytest.raises(InvalidTrainingFileError) as caught:
            validate_training_file(wrong, minimum=1, param="validation_file")
        assert caught.value.param == "validation_file"


def test_fewer_than_ten_examples_in_openais_words() -> None:
    with pytest.raises(InvalidTrainingFileError) as caught:
        validate_training_file(lines(count=9, at=1)[:9])
    assert caught.value.code == "invalid_n_examples"
    assert caught.value.message == "Training file has 9 example(s), but must have at least 10 examples"
    assert "add 1 or more" in caught.value.hint


def test_what_is_allowed() -> None:
    system = {"messages": [turn("system"), turn("user"), turn("assistant", weight=0), turn("user"), turn("assistant")]}
    report = validate_training_file([b"\xef\xbb\xbf" + lines()[0], *lines(system, b"\n")])
    assert report.examples == 20
    assert "repeat" in report.warnings[0]


def test_words_are_read_in_nfc_and_it_is_told() -> None:
    apart = unicodedata.normalize("NFD", "출고는 어떻게 하나요?")
    row = {"messages": [turn("developer", "짧게."), turn("user", apart), turn("assistant", "지시서를 만듭니다.")]}
    changed: list[int] = []
    rows = list(training_rows(lines(row), decomposed=changed))
    assert changed == [17]
    assert rows[16][1] == [
        turn("system", "짧게."),
        turn("user", "출고는 어떻게 하나요?"),
        turn("assistant", "지시서를 만듭니다."),
    ]
    told = validate_training_file(lines(row)).warnings
    assert [warning for warning in told if "NFC" in warning] == [
        "1 rows were not in NFC (files made on a Mac often are in NFD) and are read in NFC."
    ]
    assert not any("NFC" in warning for warning in validate_training_file(lines()).warnings)


def test_lines_that_offer_tools_are_told() -> None:
    offered = json.loads(lines()[0]) | {"tools": [{"type": "function", "function": {"name": "재고"}}]}
    older = json.loads(lines()[0]) | {"functions": [{"name": "재고"}]}
    spoken = {"messages": [turn("user", '"tools"가 뭔가요?'), turn("assistant", "도구입니다.")], "tools": []}
    found = validate_training_file([*lines(), *(json.dumps(row).encode() for row in (offered, spoken, older))])
    told = [warning for warning in found.warnings if "tools" in warning]
    first = len(lines()) + 1
    assert len(told) == 1
    assert told[0].startswith("2 lines offer tools")
    assert told[0].endswith(f"Lines {first}, {first + 2}.")


@pytest.mark.parametrize(
    "wrong",
    [
        {"role": "assistant", "tool_calls": [{"id": "1"}]},
        {"role": "assistant", "content": None, "function_call": {"name": "재고"}},
        {"role": "tool", "content": "3", "tool_call_id": "1"},
        {"role": "function", "content": "3"},
    ],
)
def test_tools_are_refused_by_their_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(TrainingLineError, match="tools are not supported here"):
        validate_training_file(lines({"messages": [turn("user"), wrong]}))


def test_an_export_line_is_plain_korean_and_nothing_else() -> None:
    line = message_line([turn("user", "피킹은?", name="x"), turn("assistant", "꺼내는 일입니다.")])
    assert line == (
        '{"messages": [{"role": "user", "content": "피킹은?"}, {"role": "assistant", "content": "꺼내는 일입니다."}]}'
    )
    assert json.loads(message_line([turn("user")], {"split": "train"}))["metadata"] == {"split": "train"}
