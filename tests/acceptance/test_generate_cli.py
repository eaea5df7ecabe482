"""``malmoi generate`` as a user runs it: a folder of documents in, a dataset out, no server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.cli import main
from app.cli.generation import GENERATOR_NAMES
from generators.registry import GENERATORS
from tests.acceptance.conftest import MANUAL

RETURNS = """# 반품 처리 매뉴얼

반품이란 고객이 받은 상품을 창고로 돌려보내는 업무를 말합니다.

## 반품을 접수하는 방법

반품을 접수하려면 다음 순서대로 진행합니다.

1. 송장 번호로 출고 내역을 조회합니다.
2. 반품 사유를 선택하고 사진을 첨부합니다.
3. 회수 차량을 배정합니다.

반품 사유서란 고객이 상품을 돌려보내는 까닭을 적은 서류를 말합니다.

## 불량품을 판정하는 절차

불량품을 판정하려면 다음 순서대로 진행합니다.

1. 포장을 열어 파손 여부를 살펴봅니다.
2. 검사 결과를 등급으로 입력합니다.
3. 폐기할 상품은 격리 구역으로 옮깁니다.
"""
BROKEN = bytes(range(128, 256)) * 8


def malmoi(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALMOI_")}
    command = [sys.executable, "-m", "app.cli", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=200, check=False, env=clean | environ, cwd=Path.cwd()
    )


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def manuals(folder: Path) -> Path:
    """Three documents, one of them no text, one deeper down."""
    (folder / "하위").mkdir(parents=True)
    (folder / "냉장.md").write_text(MANUAL, encoding="utf-8")
    (folder / "하위" / "반품.md").write_text(RETURNS, encoding="utf-8")
    (folder / "깨진.md").write_bytes(BROKEN)
    return folder


def test_documents_become_a_dataset(tmp_path: Path) -> None:
    out, left = tmp_path / "data.jsonl", tmp_path / "rejected.jsonl"
    ended = malmoi("generate", manuals(tmp_path / "매뉴얼"), "-o", out, "--rejected", left, "--metadata")
    assert ended.returncode == 0, ended.stderr
    rows = lines(out)
    assert rows
    assert {turn["role"] for row in rows for turn in row["messages"]} == {"user", "assistant"}
    assert {row["metadata"]["provenance"]["generator"] for row in rows} == {"extractive_qa"}
    assert f"{len(rows):,}행: {out}" in ended.stdout
    assert f"채택 {len(rows):,} + 거절 {len(lines(left)):,}" in ended.stdout
    assert "깨진.md" in ended.stderr
    assert "Traceback" not in ended.stderr
    again = tmp_path / "again.jsonl"
    assert malmoi("generate", tmp_path / "매뉴얼", "-o", again).returncode == 0
    assert [row["messages"] for row in lines(again)] == [row["messages"] for row in rows]


@pytest.mark.long
def test_a_test_set_comes_from_documents_of_its_own(tmp_path: Path) -> None:
    out, test = tmp_path / "train.jsonl", tmp_path / "test.jsonl"
    options = ("--test", test, "--heldout-fraction", "0.5", "--metadata", "--data-dir", tmp_path / "data")
    ended = malmoi("generate", manuals(tmp_path / "매뉴얼"), "-o", out, *options)
    assert ended.returncode == 0, ended.stderr
    sides = [{row["metadata"]["group"] for row in lines(path)} for path in (out, test)]
    assert all(sides)
    assert not sides[0] & sides[1]
    assert (tmp_path / "data").is_dir()


def test_a_dry_run_sends_nothing(tmp_path: Path) -> None:
    document = manuals(tmp_path / "매뉴얼") / "냉장.md"
    # Nobody listens there: a request would fail the run.
    endpoint = {"MALMOI_MODEL_BASE_URL": "http://127.0.0.1:9/v1", "MALMOI_MODEL": "gpt-4o-mini"}
    ended = malmoi("generate", document, "--dry-run", "--generator", "rag_qa:2", **endpoint)
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["plan"]["planned"] == told["plan"]["by_generator"]["rag_qa"] == told["estimate"]["requests"]
    assert "냉장 창고란" in told["prompts"][0]["messages"][0]["content"]
    assert told["estimate"]["prompt_tokens"] > told["plan"]["planned"] * 500


def test_what_can_not_be_run_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process: what is refused is refused before anything runs, and a dozen starts would take a minute."""
    for name in [name for name in os.environ if name.startswith("MALMOI_")]:
        monkeypatch.delenv(name)
    document = manuals(tmp_path / "매뉴얼") / "냉장.md"
    cases: list[tuple[tuple[str | Path, ...], str]] = [
        ((document,), "-o data.jsonl"),
        ((tmp_path / "없는.md", "-o", tmp_path / "o.jsonl"), "There is no file"),
        ((tmp_path / "매뉴얼" / "깨진.md", "-o", tmp_path / "o.jsonl"), "No document can be read"),
        ((document, "-o", tmp_path / "o.jsonl", "--generator", "rag_qa"), "MALMOI_MODEL_BASE_URL"),
        ((document, "-o", tmp_path / "o.jsonl", "--generator", "없음"), "There is no generator"),
        ((document, "-o", tmp_path / "o.jsonl", "--generator", "rag_qa:두개"), "whole number"),
        ((document, "-o", tmp_path / "o.jsonl", "--target", "0"), "target"),
        ((document, "-o", document), "is an input"),
        ((tmp_path / "매뉴얼", "-o", tmp_path / "매뉴얼" / "하위" / "반품.md"), "is an input"),
        ((document, "-o", tmp_path / "매뉴얼"), "is a folder"),
        ((document, "-o", tmp_path / "o.jsonl", "--test", tmp_path / "o.jsonl"), "same name"),
        ((document, "-o", tmp_path / "o.jsonl", "--heldout-fraction", "0.5"), "--test"),
        ((document, "-o", tmp_path / "o.jsonl", "--plain-share", "0.5"), "--user mixed"),
        ((document, "-o", tmp_path / "o.jsonl", "--resume", "genjob_1"), "--data-dir"),
    ]
    for arguments, words in cases:
        assert main(["generate", *map(str, arguments)]) == 2, arguments
        told = capsys.readouterr().err
        assert words in told, told
        assert len(told.splitlines()) == 1
    assert not (tmp_path / "o.jsonl").exists()


@pytest.mark.long
def test_samples_on_standard_output_are_alone_there(tmp_path: Path) -> None:
    document = manuals(tmp_path / "매뉴얼") / "냉장.md"
    for name in ("-", "/dev/stdout"):
        ended = malmoi("generate", document, "-o", name)
        assert ended.returncode == 0, ended.stderr
        rows = [json.loads(line) for line in ended.stdout.splitlines()]
        assert rows
        assert all(set(row) == {"messages"} for row in rows)
        assert "채택" in ended.stderr
    assert Path("/dev/stdout").is_symlink()
    assert not Path("-").exists()


@pytest.mark.long
def test_a_job_that_gave_nothing_leaves_the_last_output_alone(tmp_path: Path) -> None:
    document = manuals(tmp_path / "매뉴얼") / "냉장.md"
    out = tmp_path / "data.jsonl"
    out.write_text("어제의 데이터\n", encoding="utf-8")
    # Nobody listens there.
    endpoint = {"MALMOI_MODEL_BASE_URL": "http://127.0.0.1:9/v1", "MALMOI_MODEL": "m", "MALMOI_MODEL_DOWN_AFTER_S": "1"}
    data = tmp_path / "data"
    ended = malmoi("generate", document, "-o", out, "--generator", "rag_qa", "--data-dir", data, **endpoint)
    assert ended.returncode == 1
    assert "No output was touched" in ended.stderr
    assert out.read_text(encoding="utf-8") == "어제의 데이터\n"
    job = re.search(r"--resume (\S+)", ended.stderr)
    assert job is not None
    again = malmoi("generate", "--resume", job.group(1), "--data-dir", data, "-o", out, **endpoint)
    assert again.returncode == 1
    assert "No output was touched" in again.stderr


def test_the_types_named_in_the_help_are_those_that_there_are() -> None:
    assert set(GENERATOR_NAMES) == set(GENERATORS)
