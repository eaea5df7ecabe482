"""Every known dataset: found by looking, and turned into the conversations it holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from corpora.errors import InvalidInputError, NotFoundError
from corpora.importers import FORMATS, BadRow, ImportedRow, detect, read_rows
from corpora.importers.html import html_text

Q, A = "피킹 오더는 언제 생성되나요?", "웨이브를 릴리스하면 생성됩니다."
Q2, A2 = "부분 피킹도 되나요?", "예, 남은 수량은 새 작업으로 나뉩니다."
CONTEXT = "웨이브를 릴리스하면 피킹 오더가 생성된다. 부분 피킹한 수량은 새 작업으로 나뉜다."
CHAT = [{"role": "user", "content": Q}, {"role": "assistant", "content": A}]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def imported(path: Path, name: str | None = None) -> list[ImportedRow]:
    rows = list(read_rows(path, name))
    assert [row for row in rows if isinstance(row, BadRow)] == []
    return [row for row in rows if isinstance(row, ImportedRow)]


def turns(row: ImportedRow) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in row.messages]


PAIR = [("user", Q), ("assistant", A)]


@pytest.mark.parametrize(
    ("row", "name", "expected"),
    [
        ({"messages": CHAT}, "messages", PAIR),
        ({"custom_id": "st-1", "messages": CHAT}, "smol_koreantalk", PAIR),
        ({"instruction": Q, "input": "", "output": A}, "alpaca", PAIR),
        ({"instruction": Q, "output": A}, "alpaca", PAIR),
        ({"instruction": Q, "output": A, "url": "https://example.org/1"}, "koalpaca_v1.1", PAIR),
        ({"instruction": Q, "input": "", "output": A, "id": "alpaca_0"}, "kullm_v2", PAIR),
        ({"prompt": Q, "completion": A}, "prompt_completion", PAIR),
        ({"prompt": Q, "response": A}, "prompt_completion", PAIR),
        ({"prompt": CHAT[:1], "completion": CHAT[1:]}, "prompt_completion", PAIR),
        ({"질문": Q, "답변": A}, "question_answer", PAIR),
        ({"conversations": [{"from": "human", "value": Q}, {"from": "gpt", "value": A}]}, "sharegpt", PAIR),
        ({"conversations": [{"role": "user", "content": Q}, {"role": "assistant", "content": A}]}, "sharegpt", PAIR),
        ({"context": CONTEXT, "question": Q, "answer": A}, "korean_wiki_qa", PAIR),
        ({"instruction": Q, "instances": [{"input": "", "output": A}]}, "self_instruct", PAIR),
        (
            {"instruction": "다음을 요약해 주세요.", "input": CONTEXT, "output": A},
            "alpaca",
            [("user", f"다음을 요약해 주세요.\n\n{CONTEXT}"), ("assistant", A)],
        ),
        (
            {"instruction": Q2, "output": A2, "system": "창고 상담원입니다.", "history": [[Q, A]]},
            "alpaca",
            [("system", "창고 상담원입니다."), *PAIR, ("user", Q2), ("assistant", A2)],
        ),
        (
            {
                "system": "창고 상담원입니다.",
                "conversations": [
                    {"from": "human", "value": Q},
                    {"from": "gpt", "value": A},
                    {"from": "human", "value": Q2},
                    {"from": "gpt", "value": A2},
                ],
            },
            "sharegpt",
            [("system", "창고 상담원입니다."), *PAIR, ("user", Q2), ("assistant", A2)],
        ),
    ],
)
def test_a_row_of_each_format(tmp_path: Path, row: dict[str, Any], name: str, expected: list[tuple[str, str]]) -> None:
    path = write(tmp_path / "rows.jsonl", [row, row])
    assert detect(path) == name
    first, second = imported(path)
    assert turns(first) == expected
    assert (first.line, second.line) == (1, 2)
    # As an indented list of JSON too, and there the line of a row is the one it begins in.
    listed = tmp_path / "rows.json"
    listed.write_text(json.dumps([row, row], ensure_ascii=False, indent=1), encoding="utf-8")
    assert detect(listed) == name
    again = imported(listed)
    assert [turns(r) for r in again] == [expected, expected]
    lines = listed.read_text(encoding="utf-8").split("\n")
    assert [n for n, line in enumerate(lines, start=1) if line == " {"] == [r.line for r in again]


def test_koalpaca_1_0_is_alpaca_and_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "ko_alpaca.jsonl", [{"instruction": Q, "input": "", "output": A}])
    assert turns(imported(path, "koalpaca_v1.0")[0]) == PAIR


def test_fields_beside_the_text_become_metadata(tmp_path: Path) -> None:
    row = {"instruction": Q, "input": "", "output": A, "id": "dolly_7", "category": "wms", "tags": ["x"]}
    assert imported(write(tmp_path / "a.jsonl", [row]))[0].metadata == {"id": "dolly_7", "category": "wms"}


def test_weights_of_turns_are_kept(tmp_path: Path) -> None:
    row = {"messages": [CHAT[0], {**CHAT[1], "weight": 0}]}
    (read,) = imported(write(tmp_path / "a.jsonl", [row]))
    assert [message.weight for message in read.messages] == [None, 0]
    assert read.metadata == {}


KORQUAD_1 = {
    "version": "KorQuAD_v1.0_dev",
    "data": [
        {
            "title": "피킹",
            "paragraphs": [
                {
                    "context": CONTEXT,
                    "qas": [{"id": "1-0", "question": Q, "answers": [{"text": "웨이브", "answer_start": 0}]}],
                },
                {
                    "context": "토트는 상자다.",
                    "qas": [
                        {"id": "2-0", "question": "토트는?", "answers": [{"text": "상자"}, {"text": "상자다"}]},
                        {"id": "2-1", "question": "랙은?", "answers": []},
                    ],
                },
            ],
        },
        {
            "title": "출고",
            "paragraphs": [
                {"context": "상차 뒤 출고된다.", "qas": [{"question": "언제?", "answers": [{"text": "상차 뒤"}]}]}
            ],
        },
    ],
}


@pytest.mark.parametrize("indent", [None, 2])
def test_korquad_1(tmp_path: Path, indent: int | None) -> None:
    path = tmp_path / "korquad.json"
    path.write_text(json.dumps(KORQUAD_1, ensure_ascii=indent is None, indent=indent), encoding="utf-8")
    assert detect(path) == "korquad_1"
    rows = list(read_rows(path))
    good = [row for row in rows if isinstance(row, ImportedRow)]
    assert [turns(row) for row in good] == [
        [("user", Q), ("assistant", "웨이브")],
        [("user", "토트는?"), ("assistant", "상자")],
        [("user", "언제?"), ("assistant", "상차 뒤")],
    ]
    assert all(row.grounded for row in good)
    assert [row.context for row in good] == [CONTEXT, "토트는 상자다.", "상차 뒤 출고된다."]
    assert good[0].group_id == good[1].group_id != good[2].group_id
    assert good[1].metadata == {"id": "2-0", "title": "피킹", "other_answers": ["상자다"]}
    (bad,) = [row for row in rows if isinstance(row, BadRow)]
    assert (bad.reason, bad.where) == ("no_answer", "data[0].paragraphs[1].qas[1]")


def test_korquad_1_flat_as_on_hugging_face(tmp_path: Path) -> None:
    row = {
        "id": "1",
        "title": "피킹",
        "context": CONTEXT,
        "question": Q,
        "answers": {"text": ["웨이브"], "answer_start": [0]},
    }
    path = write(tmp_path / "a.jsonl", [row])
    assert detect(path) == "korquad_1"
    assert turns(imported(path)[0]) == [("user", Q), ("assistant", "웨이브")]


def test_korquad_2_html_becomes_text(tmp_path: Path) -> None:
    html = (
        "<html><head><title>피킹</title><style>p{}</style></head><body><h1>피킹</h1><p>웨이브를 <b>릴리스</b>한다.</p>"
        "<table><tr><th>구역</th><th>수량</th></tr><tr><td>A</td><td>3&nbsp;개</td></tr></table>"
        "<ul><li>토트</li><li>팔레트</li></ul></body></html>"
    )
    article = {
        "title": "피킹",
        "url": "https://example.org/wiki/피킹",
        "context": html,
        "qas": [{"id": "9", "question": "A 구역 수량은?", "answer": {"text": "<td>3 개</td>", "answer_start": 1}}],
    }
    path = tmp_path / "korquad2.json"
    path.write_text(json.dumps({"version": "KorQuAD_2.0", "data": [article]}, ensure_ascii=False), encoding="utf-8")
    assert detect(path) == "korquad_2"
    (row,) = imported(path)
    assert turns(row) == [("user", "A 구역 수량은?"), ("assistant", "3 개")]
    assert row.context == "피킹\n웨이브를 릴리스한다.\n구역 | 수량\nA | 3 개\n- 토트\n- 팔레트"
    assert row.grounded


def test_html_that_is_broken_is_read_as_far_as_it_goes() -> None:
    assert html_text("<p>입고 &lt;검수&gt;<td>a<td><p>b") == "입고 <검수>a | b"


DIALOGUE = [("A1", "피킹이"), ("A1", "늦어요."), ("B2", "토트가 없어요."), ("A1", ""), ("A1", "채울게요.")]
ASKED = "다음 대화를 읽고 핵심 내용을 요약해 주세요.\n\nA1: 피킹이 늦어요.\nB2: 토트가 없어요.\nA1: 채울게요."
SUMMARY = "A1은 토트를 채우기로 했다."


@pytest.mark.parametrize(
    ("document", "name"),
    [
        (
            [
                {
                    "id": "d1",
                    "input": {"conversation": [{"speaker": s, "utterance": t} for s, t in DIALOGUE]},
                    "output": SUMMARY,
                }
            ],
            "nikl_dialogue",
        ),
        (
            {
                "id": "SDRW1",
                "document": [
                    {
                        "id": "d1",
                        "utterance": [{"speaker_id": s, "form": t} for s, t in DIALOGUE],
                        "annotation": {"summary": SUMMARY},
                    }
                ],
            },
            "nikl_dialogue",
        ),
        (
            {
                "numberOfItems": 1,
                "data": [
                    {
                        "header": {"dialogueInfo": {"dialogueID": "d1", "topic": "물류"}},
                        "body": {
                            "dialogue": [{"participantID": s, "utterance": t} for s, t in DIALOGUE],
                            "summary": SUMMARY,
                        },
                    }
                ],
            },
            "aihub_dialogue",
        ),
    ],
)
def test_dialogue_summaries_merge_turns(tmp_path: Path, document: object, name: str) -> None:
    path = tmp_path / "dialogue.json"
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    assert detect(path) == name
    (row,) = imported(path)
    assert turns(row) == [("user", ASKED), ("assistant", SUMMARY)]
    assert row.metadata["prompt"] == "dialogue_summary@1"
    assert row.group_id is not None


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [("Q,A", ","), ("질문;답변", ";"), ("question\tanswer", "\t"), ("Instruction,Output", ","), ('"질문","답변"', ",")],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
def test_csv(tmp_path: Path, header: str, delimiter: str, encoding: str) -> None:
    cells = [f'"첫 줄{delimiter}\n둘째 ""줄"""{delimiter}{A}', f"=1+1{delimiter}둘입니다."]
    path = tmp_path / "문답.csv"
    path.write_text("\r\n".join([header, *cells]), encoding=encoding, newline="")
    first, second = imported(path)
    assert turns(first) == [("user", f'첫 줄{delimiter}\n둘째 "줄"'), ("assistant", A)]
    assert turns(second) == [("user", "=1+1"), ("assistant", "둘입니다.")]
    assert (first.line, second.line) == (2, 4)


def test_csv_without_header_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{Q},{A}\n{Q2},{A2}\n", encoding="utf-8")
    with pytest.raises(InvalidInputError) as caught:
        detect(path)
    assert caught.value.code == "unknown_format"
    assert "질문,답변" in caught.value.hint


def test_unknown_rows_say_what_was_seen_and_what_is_known(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"품번": "A-1", "수량": 3}])
    with pytest.raises(InvalidInputError, match=r"수량, 품번.*koalpaca_v1\.1"):
        read_rows(path)
    with pytest.raises(InvalidInputError, match="no format 'korquad'"):
        read_rows(path, "korquad")
    with pytest.raises(NotFoundError):
        read_rows(tmp_path / "none.jsonl")
    assert set(FORMATS) >= {"messages", "sharegpt", "korquad_2"}


def test_hugging_face_folder_of_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n", encoding="utf-8")
    (tmp_path / "dataset_info.json").write_text("{}", encoding="utf-8")
    for split, name in (("train", "train-00000-of-00001"), ("validation", "validation-00000-of-00001")):
        pq.write_table(
            pa.Table.from_pylist([{"messages": CHAT, "id": split}] * 2), tmp_path / "data" / f"{name}.parquet"
        )
    rows = imported(tmp_path)
    assert [turns(row) for row in rows] == [PAIR] * 4
    assert [(row.metadata["split"], row.line) for row in rows] == [
        ("train", 1),
        ("train", 2),
        ("validation", 1),
        ("validation", 2),
    ]
    assert rows[0].file == "data/train-00000-of-00001.parquet"


def test_saved_dataset_reads_the_files_of_its_state_only(tmp_path: Path) -> None:
    import pyarrow as pa

    for name in ("data-00000-of-00001.arrow", "cache-1.arrow"):
        table = pa.Table.from_pylist([{"instruction": Q, "input": "", "output": A}])
        with pa.OSFile(str(tmp_path / name), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}
    (tmp_path / "state.json").write_text(json.dumps(state), encoding="utf-8")
    assert [turns(row) for row in imported(tmp_path)] == [PAIR]
    (tmp_path / "state.json").write_text(json.dumps({**state, "_indices_data_files": [{"filename": "i"}]}))
    with pytest.raises(InvalidInputError) as caught:
        read_rows(tmp_path)
    assert caught.value.code == "unsupported_dataset"
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "../x.arrow"}]}))
    with pytest.raises(InvalidInputError) as caught:
        read_rows(tmp_path)
    assert caught.value.code == "broken_dataset"


@pytest.mark.parametrize("turn", [{**CHAT[1], "weight": 0.5}, {**CHAT[1], "weight": True}, {**CHAT[1], "weight": "0"}])
def test_a_weight_that_says_something_else_is_a_bad_row(tmp_path: Path, turn: dict[str, Any]) -> None:
    path = write(tmp_path / "a.jsonl", [{"messages": [CHAT[0], turn]}, {"messages": [{**CHAT[0], "weight": 1}, turn]}])
    assert [row.reason for row in read_rows(path) if isinstance(row, BadRow)] == ["unsupported_weight"] * 2


def test_a_weight_of_0_on_a_question_says_what_is_so_anyway(tmp_path: Path) -> None:
    (row,) = imported(
        write(tmp_path / "a.jsonl", [{"messages": [{**CHAT[0], "weight": 0}, {**CHAT[1], "weight": 1.0}]}])
    )
    assert [(type(m.weight), m.weight) for m in row.messages] == [(type(None), None), (int, 1)]


def test_a_folder_of_both_sides_tells_each_row_its_own(tmp_path: Path) -> None:
    for name in ("train.jsonl", "dev.jsonl", "test.jsonl"):
        write(tmp_path / name, [{"messages": CHAT}])
    sides = {row.file: (row.split, row.metadata["split"]) for row in imported(tmp_path)}
    assert sides == {
        "train.jsonl": ("train", "train"),
        "dev.jsonl": ("test", "validation"),
        "test.jsonl": ("test", "test"),
    }
    # Tests alone are a dataset like any other.
    (tmp_path / "train.jsonl").unlink()
    assert [row.split for row in imported(tmp_path)] == [None, None]


def test_a_column_tells_the_side_and_a_foreign_group_makes_no_variants(tmp_path: Path) -> None:
    rows = [{"messages": CHAT, "split": split, "group_id": "상품"} for split in ("train", "Validation", "가을", None)]
    found = imported(write(tmp_path / "a.jsonl", rows))
    assert [row.split for row in found] == ["train", "test", None, None]
    assert {(row.group_id, row.variant_id) for row in found} == {("상품", None)}
