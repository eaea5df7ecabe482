"""What the exporters write, the importers read back as the same messages, whatever text they hold."""

from __future__ import annotations

import io
import tempfile
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import InvalidInputError
from corpora.exporters import EXPORTS, ExportRow, NotExportableError, export_line, write_export
from corpora.importers import ImportedRow, detect, read_rows
from corpora.records import Message, Role

TEXT = (
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60)
    .map(lambda text: unicodedata.normalize("NFC", text))
    .filter(lambda text: bool(text.strip()))
) | st.sampled_from(
    ["=1+1", '"따옴표"', "줄\r\n바꿈\r끝\n", "가,나;다\t라", "랙\u2028\x85\x0b토트", '{"a": [1]}', "\ufeff입고"]
)
DETECTED = {
    "messages": "messages",
    "sharegpt": "sharegpt",
    "alpaca": "alpaca",
    "prompt_completion": "prompt_completion",
    "csv": "question_answer",
    "parquet": "messages",
}


def chat(*contents: str, system: str | None = None) -> tuple[Message, ...]:
    roles: tuple[Role, Role] = ("user", "assistant")
    turns = [Message(role=roles[n % 2], content=content) for n, content in enumerate(contents)]
    return (*([Message(role="system", content=system)] if system is not None else []), *turns)


def there_and_back(rows: list[ExportRow], name: str) -> list[ImportedRow]:
    stream = io.BytesIO()
    report = write_export(rows, stream, name)
    assert report.written == len(rows)
    assert report.refused == {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"rows.{name if name in ('csv', 'parquet') else 'jsonl'}"
        path.write_bytes(stream.getvalue())
        assert detect(path) == DETECTED[name]
        back = list(read_rows(path))
    assert all(isinstance(row, ImportedRow) for row in back), back
    return [row for row in back if isinstance(row, ImportedRow)]


@pytest.mark.parametrize("name", EXPORTS)
@settings(max_examples=60, deadline=None)
@given(pairs=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4))
def test_single_turns(name: str, pairs: list[tuple[str, str]]) -> None:
    rows: list[ExportRow] = [(chat(*pair), None) for pair in pairs]
    assert [row.messages for row in there_and_back(rows, name)] == [row[0] for row in rows]


@pytest.mark.parametrize("name", ["messages", "sharegpt", "parquet"])
@settings(max_examples=40, deadline=None)
@given(turns=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5), system=st.none() | TEXT)
def test_several_turns(name: str, turns: list[tuple[str, str]], system: str | None) -> None:
    messages = chat(*(content for pair in turns for content in pair), system=system)
    assert [row.messages for row in there_and_back([(messages, None)], name)] == [messages]


@pytest.mark.parametrize("name", ["messages", "sharegpt", "alpaca", "prompt_completion", "parquet"])
def test_metadata_comes_back(name: str) -> None:
    told = {"id": 7, "group_id": "group_1", "group": "문서", "split": "test"}
    row, other = there_and_back([(chat("입고?", "네."), told), (chat("출고?", "네."), {"group_id": "group_1"})], name)
    assert row.metadata == told
    assert (row.variant_id, row.group_id, row.split) == ("group_1", "문서", "test")
    assert (other.variant_id, other.group_id, other.split) == ("group_1", "group_1", None)


def weighted(*weights: int | None) -> tuple[Message, ...]:
    turns = chat(*(f"{number}번?" for number in range(2 * len(weights))))
    told = [None if n % 2 == 0 else weights[n // 2] for n in range(len(turns))]
    return tuple(replace(turn, weight=weight) for turn, weight in zip(turns, told, strict=True))


@pytest.mark.parametrize("name", ["messages", "sharegpt", "parquet"])
@given(weights=st.lists(st.sampled_from([0, 1, None]), min_size=1, max_size=4), metadata=st.none() | st.just({"id": 7}))
def test_weights_come_back(name: str, weights: list[int | None], metadata: dict[str, int] | None) -> None:
    rows: list[ExportRow] = [(weighted(*weights), metadata), (chat("입고?", "네."), metadata)]
    assert [row.messages for row in there_and_back(rows, name)] == [row[0] for row in rows]


@pytest.mark.parametrize("name", ["alpaca", "prompt_completion", "csv"])
def test_an_answer_that_is_not_trained_on_needs_a_format_that_says_so(name: str) -> None:
    stream = io.BytesIO()
    report = write_export([(weighted(0), None), (weighted(1), None)], stream, name)
    assert (report.written, report.refused) == (1, {"untrained_turn": 1})


@pytest.mark.parametrize("name", ["alpaca", "prompt_completion", "csv"])
def test_what_a_format_cannot_carry_is_refused_and_counted(name: str) -> None:
    rows: list[ExportRow] = [
        (chat("입고?", "네."), None),
        (chat("입고?", "네.", "출고?", "네."), None),
        (chat("입고?", "네.", system="상담원"), None),
        (chat("입고?"), None),
    ]
    stream = io.BytesIO()
    report = write_export(rows, stream, name)
    assert report.written == 1
    assert report.refused == {"multi_turn": 1, "system_turn": 1, "no_answer": 1}
    assert stream.getvalue().decode().count("입고?") == 1


def test_a_refused_line_says_why() -> None:
    with pytest.raises(NotExportableError) as caught:
        export_line(chat("입고?", "네.", "출고?", "네."), "alpaca")
    assert caught.value.code == "multi_turn"
    with pytest.raises(InvalidInputError, match=r"known are messages, sharegpt, alpaca, prompt_completion\.$"):
        export_line(chat("입고?", "네."), "csv")
    with pytest.raises(InvalidInputError):
        write_export([], io.BytesIO(), "xml")


def test_hangul_is_not_escaped() -> None:
    assert export_line(chat("입고?", "네."), "sharegpt") == (
        '{"conversations": [{"from": "human", "value": "입고?"}, {"from": "gpt", "value": "네."}]}'
    )


@pytest.mark.parametrize("name", EXPORTS)
def test_same_rows_same_bytes(name: str) -> None:
    first, second = io.BytesIO(), io.BytesIO()
    for stream in (first, second):
        write_export([(chat("입고?", "네."), None)] * 3, stream, name)
    assert first.getvalue() == second.getvalue()
