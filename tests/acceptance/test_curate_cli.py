"""``malmoi curate`` and ``malmoi import`` as a user runs them: files in, files out, an exit code."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Row = dict[str, Any]


def row(question: str, answer: str = "재고 조정 화면에서 사유를 고르고 저장합니다.") -> Row:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def malmoi(*arguments: str | Path, limit: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, preexec_fn=limit)


def lines(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def dump(*rows: Row | bytes) -> bytes:
    return b"\n".join(r if isinstance(r, bytes) else json.dumps(r, ensure_ascii=False).encode() for r in rows) + b"\n"


TOPICS = ("입고 검수", "출고 확정", "반품 접수", "재고 실사", "로트 추적", "도크 배정", "파손 처리", "웨이브 편성")
GOOD = [row(f"{topic} 업무는 누가 맡나요?", f"{topic} 업무는 {topic} 담당자가 맡습니다.") for topic in TOPICS]


def test_curate(tmp_path: Path) -> None:
    source, out, left = tmp_path / "모음.jsonl", tmp_path / "out.jsonl", tmp_path / "rejected.jsonl"
    repeat = row("입고 검수 업무를 누가 맡습니까?", "담당자가 맡습니다.")
    source.write_bytes(dump(*GOOD, repeat, row("??"), b'{"messages": ['))
    ended = malmoi("curate", source, "-o", out, "--rejected", left, "--report", tmp_path / "report.json")
    assert ended.returncode == 0, ended.stderr
    assert lines(out) == GOOD
    reasons = [r["verdict"]["reason"] for r in lines(left)]
    assert reasons == ["near_duplicate", "question_wordless", "malformed_reply"]
    assert lines(left)[0]["verdict"]["evidence"]["question"] == GOOD[0]["messages"][0]["content"]
    assert "11행 = 채택 8 + 거절 3" in ended.stdout
    assert "line 11" in ended.stderr
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["counts"]["candidates"] == 11
    assert ended.stdout.isprintable() or "\r" not in ended.stdout


def test_the_same_rows_in_any_dress_give_the_same_result(tmp_path: Path) -> None:
    alpaca = [
        {"instruction": r["messages"][0]["content"], "input": "", "output": r["messages"][1]["content"]} for r in GOOD
    ]
    sharegpt = [
        {
            "conversations": [
                {"from": who, "value": m["content"]} for who, m in zip(("human", "gpt"), r["messages"], strict=True)
            ]
        }
        for r in GOOD
    ]
    csv = "질문,답변\n" + "\n".join(f"{r['messages'][0]['content']},{r['messages'][1]['content']}" for r in GOOD)
    dresses = {
        "plain.jsonl": dump(*GOOD),
        "bom.jsonl": b"\xef\xbb\xbf" + dump(*GOOD),
        "windows.jsonl": dump(*GOOD).replace(b"\n", b"\r\n"),
        "cp949.jsonl": dump(*GOOD).decode().encode("cp949"),
        "alpaca.json": json.dumps(alpaca, ensure_ascii=False).encode(),
        "sharegpt.jsonl": dump(*sharegpt),
        "table.csv": csv.encode(),
        "cp949.csv": csv.encode("cp949"),
    }
    for name, data in dresses.items():
        (tmp_path / name).write_bytes(data)
        ended = malmoi("import", tmp_path / name, "-o", tmp_path / "out.jsonl")
        assert ended.returncode == 0, (name, ended.stderr)
        assert lines(tmp_path / "out.jsonl") == GOOD, name


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"messages": [{"role": "user"', "broken_json"),
        (b'{"messages": [{"role": "user", "content": "\\ud800"}, {"role": "assistant", "content": "x"}]}', "surrogate"),
        (b'{"messages": [{"role": "user", "content": "a\\u0000b"}, {"role": "assistant", "content": "x"}]}', "nul"),
        (dump(row("", "답입니다.")).strip(), "empty_content"),
        (dump({"messages": [{"role": "assistant", "content": "먼저"}]}).strip(), "line 3"),
        (b"[" * 100_000, "line 3"),
    ],
)
def test_a_bad_line_is_shown_and_the_rest_goes_on(tmp_path: Path, bad: bytes, reason: str) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(dump(*GOOD[:2], bad, *GOOD[2:]))
    ended = malmoi("import", source, "-o", out)
    assert ended.returncode == 0, ended.stderr
    assert lines(out) == GOOD
    assert "line 3" in ended.stderr
    assert reason in ended.stderr


@pytest.mark.parametrize("data", [b"", b"\n\n", b"no json at all\n", b"\x00" * 64, dump({"a": 1}, {"b": 2})])
def test_nothing_that_fits(tmp_path: Path, data: bytes) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(data)
    out.write_text("earlier\n", encoding="utf-8")
    for command in ("import", "curate"):
        ended = malmoi(command, source, "-o", out)
        assert ended.returncode == 2, ended.stderr
        assert ended.stderr.startswith("malmoi: ")
        assert "Traceback" not in ended.stderr
    assert out.read_text(encoding="utf-8") == "earlier\n"


def test_a_full_disk_leaves_the_earlier_output(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk: writing fails in the middle, as on a full one."""
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    many = [row(f"{n}번 구역의 {topic} 기준은 무엇인가요?") for n in range(300) for topic in TOPICS]
    source.write_bytes(dump(*many))
    out.write_text("earlier\n", encoding="utf-8")

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    ended = malmoi("import", source, "-o", out, limit=small)
    assert ended.returncode == 1
    assert "cannot be written" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert out.read_text(encoding="utf-8") == "earlier\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_a_file_may_be_curated_in_place(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(dump(*GOOD, GOOD[0]))
    assert malmoi("curate", source, "-o", source).returncode == 0
    assert lines(source) == GOOD


def test_against_and_test(tmp_path: Path) -> None:
    source, held = tmp_path / "in.jsonl", tmp_path / "시험.jsonl"
    source.write_bytes(dump(*GOOD, *(row(f"{t} 화면의 이름은 무엇입니까?", f"{t} 화면입니다.") for t in TOPICS)))
    held.write_bytes(dump(row("재고 실사 업무는 누가 맡나요?", "실사 담당자입니다.")))
    ended = malmoi(
        "curate", source, "-o", tmp_path / "train.jsonl", "--against", held, "--rejected", tmp_path / "r.jsonl",
        "--test", tmp_path / "test.jsonl", "--test-fraction", "0.2",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    contaminated = [r for r in lines(tmp_path / "r.jsonl") if r["verdict"]["stage"] == "contamination"]
    assert [r["verdict"]["evidence"]["of"] for r in contaminated] == ["시험.jsonl:1"]
    train, test = lines(tmp_path / "train.jsonl"), lines(tmp_path / "test.jsonl")
    assert len(train) + len(test) == 15
    assert 2 <= len(test) <= 4
    again = tmp_path / "again"
    malmoi(
        "curate",
        source,
        "-o",
        again / "train.jsonl",
        "--against",
        held,
        "--test",
        again / "test.jsonl",
        "--test-fraction",
        "0.2",
    )
    assert (again / "test.jsonl").read_bytes() == (tmp_path / "test.jsonl").read_bytes()


def test_one_file_among_several_that_cannot_be_read(tmp_path: Path) -> None:
    for folder, data in (("a", dump(*GOOD[:4])), ("b", dump(*GOOD[4:])), ("c", b"no json at all\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.jsonl").write_bytes(data)
    inputs = [tmp_path / folder / "x.jsonl" for folder in "abc"]
    ended = malmoi("curate", *inputs, "-o", tmp_path / "out.jsonl", "--metadata")
    assert ended.returncode == 0, ended.stderr
    assert [r["messages"] for r in lines(tmp_path / "out.jsonl")] == [r["messages"] for r in GOOD]
    assert len({r["metadata"]["id"] for r in lines(tmp_path / "out.jsonl")}) == len(GOOD)
    assert "unknown_format" in ended.stderr


def test_the_test_does_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    found = []
    for name, rows in (("a", GOOD), ("b", GOOD[::-1])):
        (tmp_path / f"{name}.jsonl").write_bytes(dump(*rows))
        test = tmp_path / f"{name}.test.jsonl"
        options = ("-o", tmp_path / "o.jsonl", "--test", test, "--test-fraction", "0.4")
        assert malmoi("curate", tmp_path / f"{name}.jsonl", *options).returncode == 0
        found.append(sorted(r["messages"][0]["content"] for r in lines(test)))
    assert found[0] == found[1]
    assert len(found[0]) == 3


def test_guards_are_a_choice(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    twins = [
        row("냉장 창고 입고 마감 시각을 확인하는 절차는 무엇인가요?"),
        row("냉동 창고 입고 마감 시각을 확인하는 절차는 무엇인가요?"),
    ]
    source.write_bytes(dump(*twins))
    for arguments, kept in (((), 2), (("--guards", "negation"), 1), (("--guards",), 1)):
        out = tmp_path / "out.jsonl"
        assert malmoi("curate", source, "-o", out, "--no-semantic", *arguments).returncode == 0
        assert len(lines(out)) == kept, arguments


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--near-duplicate-threshold", "1.5"], "near_duplicate_threshold"),
        (["--near-duplicate-threshold", "sieben"], "near_duplicate_threshold"),
        (["--tokenizer", "mecab"], "content_morphemes"),
        (["--format", "xml"], "koalpaca"),
        (["--semantic-threshold", "nan"], "semantic_threshold"),
        (["--test", "test.jsonl", "--test-fraction", "0.9"], "test_fraction"),
        (["--domain-nouns", "none.txt"], "none.txt"),
        (["--rejected", "{out}"], "same name"),
    ],
)
def test_wrong_settings(tmp_path: Path, arguments: list[str], words: str) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(dump(*GOOD))
    wanted = [argument.replace("{out}", str(tmp_path / "out.jsonl")) for argument in arguments]
    ended = malmoi("curate", source, "-o", tmp_path / "out.jsonl", *wanted)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert words in ended.stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_no_such_file(tmp_path: Path) -> None:
    ended = malmoi("curate", tmp_path / "none.jsonl", "-o", tmp_path / "out.jsonl")
    assert ended.returncode == 2
    assert "none.jsonl" in ended.stderr
