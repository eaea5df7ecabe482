"""``malmoi curate`` and ``malmoi import`` as a user runs them: files in, files out, an exit code."""

from __future__ import annotations

import json
import os
import resource
import stat
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
    assert reasons == ["near_duplicate", "question_wordless", "broken_json"]
    assert lines(left)[0]["verdict"]["evidence"]["question"] == GOOD[0]["messages"][0]["content"]
    assert "11행 = 채택 8 + 거절 3" in ended.stdout
    assert "broken_json: 모음.jsonl, line 11: " in ended.stderr
    assert "broken_json" in ended.stdout
    assert "malformed_reply" not in ended.stdout
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["counts"]["candidates"] == 11
    assert "broken_json" in json.dumps(report)
    assert ended.stdout.isprintable() or "\r" not in ended.stdout


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.mark.long
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


def twins(group: str | None) -> list[Row]:
    """One question in two speech levels."""
    rows = [
        row("재고 실사 일정은 누가 정하나요?", "담당자가 정합니다."),
        row("재고 실사 일정은 누가 정해?", "담당자가 정해."),
    ]
    return [r if group is None else {**r, "metadata": {"group_id": group}} for r in rows]


@pytest.mark.long
def test_variants_survive_export_and_import(tmp_path: Path) -> None:
    source, first, second = tmp_path / "in.jsonl", tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    for group, kept in ((None, 1), ("group_1", 2)):
        source.write_bytes(dump(*twins(group)))
        assert malmoi("curate", source, "-o", first, "--metadata").returncode == 0
        assert len(lines(first)) == kept
    for command in ("import", "curate"):
        ended = malmoi(command, first, "-o", second, "--metadata")
        assert ended.returncode == 0, ended.stderr
        told = [r["metadata"] for r in lines(second)]
        assert len(told) == 2
        assert told[0]["group_id"] == told[1]["group_id"]
        assert told[0]["group"] == told[1]["group"]


PASSAGE = "웨이브를 릴리스하면 피킹 오더가 생성되고, 취소하면 오더도 사라진다."
KORQUAD = {
    "version": "KorQuAD_v1.0_dev",
    "data": [
        {
            "title": "피킹",
            "paragraphs": [
                {
                    "context": PASSAGE,
                    "qas": [
                        {"id": "1", "question": "피킹 오더는 언제 생기나요?", "answers": [{"text": "릴리스하면"}]},
                        {
                            "id": "2",
                            "question": "웨이브를 취소하면 무엇이 사라지나요?",
                            "answers": [{"text": "오더"}, {"text": "피킹 오더"}],
                        },
                    ],
                }
            ],
        }
    ],
}


@pytest.mark.parametrize("command", ["import", "curate"])
def test_a_passage_is_kept_or_dropped_and_told(tmp_path: Path, command: str) -> None:
    source, out = tmp_path / "KorQuAD.json", tmp_path / "out.jsonl"
    source.write_text(json.dumps(KORQUAD, ensure_ascii=False), encoding="utf-8")
    ended = malmoi(command, source, "-o", out, "--metadata")
    assert ended.returncode == 0, ended.stderr
    first, second = lines(out)
    assert [m["role"] for m in first["messages"]] == ["system", "user", "assistant"]
    assert first["messages"][0]["content"].endswith(f"[1] 피킹\n{PASSAGE}")
    assert second["metadata"]["other_answers"] == ["피킹 오더"]
    assert first["metadata"]["title"] == "피킹"
    # Questions about one article are no variants of one another.
    assert "group_id" not in first["metadata"]
    assert first["metadata"]["group"] == second["metadata"]["group"]
    ended = malmoi(command, source, "-o", out, "--context", "drop")
    assert [m["role"] for m in lines(out)[0]["messages"]] == ["user", "assistant"]
    assert "지문을 뺐습니다" in ended.stdout
    assert "다른 정답" in ended.stdout


def test_weights_go_through(tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rows = [{"messages": [GOOD[0]["messages"][0], {**GOOD[0]["messages"][1], "weight": 0}]}, GOOD[1]]
    source.write_bytes(dump(*rows))
    for command in ("import", "curate"):
        ended = malmoi(command, source, "-o", out)
        assert lines(out) == rows, ended.stderr
        assert "weight 0" in ended.stdout


def own(tmp_path: Path) -> Path:
    folder = tmp_path / "모음"
    folder.mkdir()
    parts = {"train": GOOD[:4], "validation": GOOD[4:6], "test": GOOD[6:]}
    for name, rows in parts.items():
        (folder / f"{name}.jsonl").write_bytes(dump(*rows))
    return folder


def test_a_dataset_keeps_its_own_test(tmp_path: Path) -> None:
    folder, out, test = own(tmp_path), tmp_path / "out.jsonl", tmp_path / "test.jsonl"
    more = tmp_path / "more.jsonl"
    more.write_bytes(dump(*(row(f"{t} 화면의 이름은 무엇입니까?", f"{t} 화면입니다.") for t in TOPICS)))
    ended = malmoi("curate", folder, more, "-o", out, "--test", test, "--test-fraction", "0.25", "--metadata")
    assert ended.returncode == 0, ended.stderr
    sources = [r["metadata"]["source"] for r in lines(test)]
    assert sources[:4] == [f"모음/{name}.jsonl:{n}" for name in ("test", "validation") for n in (1, 2)]
    assert [source.split(":")[0] for source in sources[4:]] == ["more.jsonl"] * 2
    trained = {r["metadata"]["source"] for r in lines(out)}
    assert trained >= {f"모음/train.jsonl:{n}" for n in range(1, 5)}
    # What was written tells its side, so it comes back on that side.
    again = tmp_path / "again.jsonl"
    assert malmoi("curate", test, "-o", again, "--test", tmp_path / "t.jsonl").returncode == 0
    assert len(lines(tmp_path / "t.jsonl")) >= 4


def test_a_new_split_forgets_the_dataset_s_own(tmp_path: Path) -> None:
    folder, out, test = own(tmp_path), tmp_path / "out.jsonl", tmp_path / "test.jsonl"
    ended = malmoi("curate", folder, "-o", out, "--test", test, "--test-fraction", "0.25", "--new-split")
    assert ended.returncode == 0, ended.stderr
    assert len(lines(test)) == 2
    assert len(lines(out)) == 6


def test_without_a_test_file_rows_of_the_dataset_s_test_are_told(tmp_path: Path) -> None:
    ended = malmoi("curate", own(tmp_path), "-o", tmp_path / "out.jsonl")
    assert len(lines(tmp_path / "out.jsonl")) == len(GOOD)
    assert "4  원본의 test나 validation에 속합니다" in ended.stdout


def test_every_file_gives_its_share_of_the_test(tmp_path: Path) -> None:
    inputs = [tmp_path / "많은.jsonl", tmp_path / "적은.jsonl"]
    for number, (path, ending) in enumerate(zip(inputs, ("누가 맡나요?", "언제 끝나나요?"), strict=True)):
        names = [f"{topic} {n}구역" for topic in TOPICS for n in range(2 if number else 6)]
        path.write_bytes(
            dump(*(row(f"{name} 일은 {ending}", f"{name} 일은 {name} 담당자에게 물으십시오.") for name in names))
        )
    test = tmp_path / "test.jsonl"
    options = ("--near-duplicate-threshold", "1.0", "--no-semantic", "--metadata", "--test-fraction", "0.25")
    ended = malmoi("curate", *inputs, "-o", tmp_path / "out.jsonl", "--test", test, *options)
    assert ended.returncode == 0, ended.stderr
    found = [r["metadata"]["source"].split(":")[0] for r in lines(test)]
    assert 8 <= found.count("많은.jsonl") <= 14
    assert 2 <= found.count("적은.jsonl") <= 6


@pytest.mark.parametrize("command", ["import", "curate"])
def test_faults_name_their_file(tmp_path: Path, command: str) -> None:
    for folder in ("가", "나"):
        (tmp_path / folder).mkdir()
    inputs = [tmp_path / "가" / "x.jsonl", tmp_path / "나" / "x.jsonl", tmp_path / "y.jsonl"]
    for number, path in enumerate(inputs):
        path.write_bytes(dump(*GOOD[number * 2 : number * 2 + 2], b"{", row("", "답입니다.")))
    ended = malmoi(command, *inputs, "-o", tmp_path / "out.jsonl")
    assert ended.returncode == 0, ended.stderr
    for name in ("가/x.jsonl", "나/x.jsonl", "y.jsonl"):
        assert f"broken_json: {name}, line 3: " in ended.stderr
        assert f"empty_content: {name}, line 4: " in ended.stderr
    reasons = {line.split()[2]: line.split()[1] for line in ended.stdout.splitlines() if line.startswith("  거절")}
    assert reasons == {"broken_json": "3", "empty_content": "3"}


@pytest.mark.long
def test_a_name_in_another_encoding(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode("모음".encode("cp949"))
    folder.mkdir()
    source, out = (
        folder / os.fsdecode("입고.jsonl".encode("cp949")),
        tmp_path / os.fsdecode("출고.jsonl".encode("cp949")),
    )
    left = tmp_path / "left.jsonl"
    source.write_bytes(dump(*GOOD, b"{"))
    for command in ("import", "curate"):
        for given in (source, folder):
            ended = malmoi(command, given, "-o", out, "--metadata", "--rejected", left)
            assert ended.returncode == 0, ended.stderr
            assert len(lines(out)) == len(GOOD)
            assert "\\xc0" in lines(out)[0]["metadata"]["source"]
            assert "line 9" in lines(left)[0]["verdict"]["evidence"]["why"]
    ended = malmoi("curate", source, "-o", tmp_path / "o.jsonl", "--test", out, "--against", source)
    assert "Traceback" not in ended.stderr
    ended = malmoi("import", folder / os.fsdecode(b"\xff.jsonl"), "-o", out)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664), (0o077, 0o600)])
def test_outputs_have_the_mode_that_the_umask_leaves(tmp_path: Path, umask: int, mode: int) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(dump(*GOOD, b"{"))
    outputs = [tmp_path / "out.jsonl", tmp_path / "left.jsonl"]
    ended = malmoi("import", source, "-o", outputs[0], "--rejected", outputs[1], limit=lambda: void(os.umask(umask)))
    assert ended.returncode == 0, ended.stderr
    assert [stat.S_IMODE(path.stat().st_mode) for path in outputs] == [mode, mode]


def void(_value: object) -> None:
    """For a callback that must give nothing."""


def test_what_was_private_stays_private(tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(dump(*GOOD))
    out.touch(mode=0o600)
    assert malmoi("import", source, "-o", out).returncode == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert lines(out) == GOOD
