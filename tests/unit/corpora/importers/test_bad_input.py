"""Bad input: each row gets its line and its reason, the rest is read, and memory stays bounded."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from corpora.errors import InvalidInputError, UnreadableDocumentError
from corpora.importers import BadRow, ImportedRow, detect, read_rows

GOOD = '{"instruction": "적치 순서는?", "output": "검수 뒤 적치합니다."}'


def outcome(path: Path, **options: int) -> list[tuple[int, str]]:
    """Line and ``ok`` or the reason, of every row."""
    return [(row.line, row.reason if isinstance(row, BadRow) else "ok") for row in read_rows(path, "alpaca", **options)]


def file_of(tmp_path: Path, *lines: bytes | str) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines) + b"\n")
    return path


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"instruction": "재고는?", "output": ', "broken_json"),
        ('{"instruction": "재고는?", "output": "ok"} 끝', "broken_json"),
        ('["재고"]', "not_an_object"),
        ('{"instruction": "재고는?", "output": ""}', "empty_content"),
        ('{"instruction": " \\n", "output": "네."}', "empty_content"),
        ('{"instruction": "재고는?"}', "missing_field"),
        ('{"instruction": "재고는?", "output": 3}', "not_text"),
        ('{"instruction": "재고는?", "output": "\\ud83d"}', "lone_surrogate"),
        ('{"instruction": "재고는?", "output": "네.", "id": "\\udc00"}', "lone_surrogate"),
        ('{"instruction": "재고는?", "output": "\\u0000네."}', "nul_byte"),
        (b'{"instruction": "a\x00", "output": "b"}', "nul_byte"),
        (b'{"instruction": "a\xff\xfe", "output": "b"}', "undecodable_bytes"),
        ('{"instruction": "재고는?", "output": "네.", "x": ' + "[" * 100_000 + "]" * 100_000 + "}", "too_deep"),
        ('{"instruction": "재고는?", "output": "네.", "x": ' + "9" * 5000 + "}", "broken_json"),
        ('{"instruction": "재고는?", "output": "네.", "history": ["한 번"]}', "broken_history"),
    ],
)
def test_a_bad_line_costs_itself_only(tmp_path: Path, line: bytes | str, reason: str) -> None:
    path = file_of(tmp_path, GOOD, "", line, GOOD)
    assert outcome(path) == [(1, "ok"), (3, reason), (4, "ok")]
    (bad,) = [row for row in read_rows(path, "alpaca") if isinstance(row, BadRow)]
    assert len(bad.excerpt) <= 120
    json.dumps(bad.excerpt, ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "empty_conversation"),
        ([{"role": "system", "content": "상담원"}], "empty_conversation"),
        ([{"role": "user", "content": "입고?"}], "no_answer"),
        ([{"role": "assistant", "content": "네."}], "wrong_order"),
        ([{"role": "user", "content": "입고?"}, {"role": "user", "content": "출고?"}], "wrong_order"),
        ([{"role": "user", "content": "입고?"}, {"role": "tool", "content": "3"}], "unsupported_role"),
        ([{"role": "user", "content": [{"type": "text", "text": "입고?"}]}], "unsupported_content"),
        (
            [{"role": "user", "content": "?"}, {"role": "assistant", "content": None, "tool_calls": [1]}],
            "unsupported_content",
        ),
        (["입고?"], "not_an_object"),
        ("입고?", "missing_field"),
    ],
)
def test_conversations_that_are_none(tmp_path: Path, messages: object, reason: str) -> None:
    path = file_of(tmp_path, json.dumps({"messages": messages}, ensure_ascii=False))
    (bad,) = read_rows(path, "messages")
    assert isinstance(bad, BadRow)
    assert bad.reason == reason


def test_tool_turns_of_sharegpt_are_refused(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "재고?"}, {"from": "function_call", "value": "{}"}]
    path = file_of(tmp_path, json.dumps({"conversations": turns}, ensure_ascii=False))
    (bad,) = read_rows(path)
    assert isinstance(bad, BadRow)
    assert bad.reason == "unsupported_role"
    assert "function_call" in bad.message


def test_ten_thousand_turns_are_kept_whole(tmp_path: Path) -> None:
    messages = [{"role": ("user", "assistant")[n % 2], "content": f"{n}번 랙"} for n in range(10_000)]
    (row,) = read_rows(file_of(tmp_path, json.dumps({"messages": messages}, ensure_ascii=False)))
    assert isinstance(row, ImportedRow)
    assert [m.content for m in row.messages] == [f"{n}번 랙" for n in range(10_000)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp949"])
def test_encodings_and_mixed_line_ends(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes((GOOD + "\r\n" + GOOD + "\r" + GOOD + "\n\n" + GOOD).encode(encoding))
    rows = list(read_rows(path))
    assert [row.messages[0].content for row in rows if isinstance(row, ImportedRow)] == ["적치 순서는?"] * 4
    assert [row.line for row in rows] == [1, 2, 3, 5]


def test_one_cp949_line_among_utf8_lines_is_bad(tmp_path: Path) -> None:
    assert outcome(file_of(tmp_path, GOOD, GOOD.encode("cp949"), GOOD)) == [
        (1, "ok"),
        (2, "undecodable_bytes"),
        (3, "ok"),
    ]


def test_truncated_utf16_is_bad_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes((GOOD + "\n" + GOOD).encode("utf-16")[:-1])
    assert outcome(path) == [(1, "ok"), (2, "unfinished_line")]


def test_decomposed_hangul_is_composed(tmp_path: Path) -> None:
    (row,) = read_rows(
        file_of(tmp_path, '{"instruction": "\u110b\u1175\u11b8\u1100\u1169?", "output": "\u1102\u1166"}')
    )
    assert isinstance(row, ImportedRow)
    assert [m.content for m in row.messages] == ["입고?", "네"]


def test_a_line_of_fifty_megabytes_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with path.open("wb") as file:
        file.write(GOOD.encode() + b"\n" + b'{"instruction": "')
        for _ in range(50):
            file.write(b"x" * (1 << 20))
        file.write(b'", "output": "b"}\n' + GOOD.encode() + b"\n")
    tracemalloc.start()
    rows = outcome(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == [(1, "ok"), (2, "line_too_long"), (3, "ok")]
    assert peak < 40 << 20
    assert outcome(path, max_line_bytes=64 << 20) == [(1, "ok"), (2, "ok"), (3, "ok")]


@pytest.mark.parametrize("listed", [False, True])
def test_sixty_megabytes_in_bounded_memory(tmp_path: Path, listed: bool) -> None:
    row = json.dumps({"instruction": "입고 절차는? " + "가" * 2000, "output": "나" * 2000}, ensure_ascii=False)
    number = (60 << 20) // len(row.encode()) + 1
    path = tmp_path / "rows.json"
    with path.open("w", encoding="utf-8") as file:
        file.write("[\n" if listed else "")
        file.writelines(row + (",\n" if listed and n < number - 1 else "\n") for n in range(number))
        file.write("]\n" if listed else "")
    assert path.stat().st_size > 60 << 20
    tracemalloc.start()
    count = sum(isinstance(row, ImportedRow) for row in read_rows(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == number
    assert peak < 40 << 20


def test_a_file_that_grows_is_read_as_it_was(tmp_path: Path) -> None:
    path = file_of(tmp_path, *[GOOD] * 3)
    rows = read_rows(path)
    next(rows)
    with path.open("ab") as file:
        file.write(GOOD.encode() + b"\n")
    assert len(list(rows)) == 2
    path.write_bytes(path.read_bytes() + GOOD.encode()[:30])
    assert outcome(path)[-1] == (5, "unfinished_line")


def test_a_file_that_shrinks_is_an_error(tmp_path: Path) -> None:
    path = file_of(tmp_path, *[GOOD] * 60_000)
    rows = read_rows(path)
    next(rows)
    with path.open("r+b") as file:
        file.truncate(1 << 21)
    with pytest.raises(InvalidInputError) as caught:
        list(rows)
    assert caught.value.code == "file_changed"


def test_broken_rows_of_a_json_list(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(
        "[\n" + GOOD + ",\n" + '{"instruction": "대괄호 ]}, \\" {[", "output": "쉼표, 따옴표"},\n'
        '{"instruction": 없음},\n'
        + GOOD
        + ",\n,\n"
        + '{"instruction": "열린 [1, 2", "x": [1, "output": "b"},\n'
        + GOOD
        + "]",
        encoding="utf-8",
    )
    assert outcome(path) == [
        (2, "ok"),
        (3, "ok"),
        (4, "broken_json"),
        (5, "ok"),
        (6, "broken_json"),
        (7, "broken_json"),
        (8, "ok"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[" + GOOD + ",\n" + GOOD[:-5], [(1, "ok"), (2, "unfinished_document")]),
        ("[" + GOOD + "\n", [(1, "unfinished_document")]),
        ("[" + GOOD + "]\n[" + GOOD + "]", [(1, "ok"), (2, "extra_data")]),
        ('{"train": [' + GOOD + '],\n"test": [' + GOOD + "]}", [(1, "ok"), (2, "ok")]),
        (GOOD, [(1, "ok")]),
        (json.dumps(json.loads(GOOD), indent=1), [(1, "ok")]),
        ("[]", []),
    ],
)
def test_ends_of_json_documents(tmp_path: Path, text: str, expected: list[tuple[int, str]]) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text, encoding="utf-8")
    assert outcome(path)[: len(expected)] == expected


def test_first_line_broken_and_the_others_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('{"instruction": \n' + GOOD + "\n" + GOOD + "\n", encoding="utf-8")
    assert detect(path) == "alpaca"
    assert outcome(path) == [(1, "broken_json"), (2, "ok"), (3, "ok")]


def test_csv_faults(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        "질문,답변\n입고?,네.\n하나\n셋,넷,다섯\n,빈 질문\n".encode()
        + b"\xff,\xfe\n"
        + '"닫히지 않은,따옴표\n출고?,네.\n'.encode()
    )
    rows = [(row.line, row.reason if isinstance(row, BadRow) else "ok") for row in read_rows(path)]
    assert rows == [
        (2, "ok"),
        (3, "wrong_columns"),
        (4, "wrong_columns"),
        (5, "empty_content"),
        (6, "undecodable_bytes"),
        (7, "broken_csv"),
        (8, "ok"),
    ]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty_file"),
        (b"\n \n", "empty_file"),
        (b"PK\x03\x04....", "packed_file"),
        (b"\x1f\x8b......", "packed_file"),
        (b"PAR1....PAR1", "broken_parquet"),
    ],
)
def test_files_that_cannot_be_read_at_all(tmp_path: Path, data: bytes, code: str) -> None:
    path = tmp_path / "rows.bin"
    path.write_bytes(data)
    with pytest.raises((InvalidInputError, UnreadableDocumentError)) as caught:
        list(read_rows(path, "alpaca"))
    assert caught.value.code == code


def test_a_parquet_file_that_unpacks_to_gigabytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.setattr("corpora.importers.tables.MAX_GROUP_BYTES", 1 << 20)
    path = tmp_path / "bomb.parquet"
    table = pa.table({"question": ["무엇인가요?"] * 40, "answer": ["가" * (1 << 15)] * 40})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    assert path.stat().st_size < 1 << 18
    with pytest.raises(UnreadableDocumentError) as caught:
        list(read_rows(path))
    assert caught.value.code == "row_group_too_large"
