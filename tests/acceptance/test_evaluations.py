"""Evaluations over HTTP and on the command line: a tiny base really answers, with an adapter and without."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from app.api.schemas import common, evaluations
from app.cli import main
from corpora.bundled import MANUAL_DIR
from tests.acceptance.conftest import ENDED
from tests.acceptance.test_kill import wait_until
from tests.tiny_adapter import build_tiny_adapter
from tests.tiny_base import build_tiny_base

ROWS = [
    {
        "messages": [
            {"role": "user", "content": f"{number}번 로케이션은 어디에 있나요?"},
            {"role": "assistant", "content": f"{number}번 로케이션은 {number % 4 + 1}층 통로에 있습니다."},
        ]
    }
    for number in range(12)
]
DATA = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()


def answers(kind: Any, body: Any) -> Any:
    TypeAdapter(kind).validate_json(json.dumps(body), strict=True)
    return body


def fine_tuned(service: Any, file_id: str) -> str:
    body = {"model": "tiny", "training_file": file_id, "recipe": "demo", "max_steps": 2}
    ended = service.wait(f"/fine_tuning/jobs/{service.ok('POST', '/fine_tuning/jobs', json=body)['id']}")
    assert ended["status"] == "succeeded", ended
    return str(ended["fine_tuned_model"])


def ended(service: Any, evaluation_id: str) -> Any:
    wait_until(lambda: service.ok("GET", f"/evaluations/{evaluation_id}")["status"] in ENDED, 200)
    return service.ok("GET", f"/evaluations/{evaluation_id}")


@pytest.mark.long
def test_an_evaluation_over_http(start_service: Any, tmp_path: Path) -> None:
    build_tiny_base(tmp_path / "models" / "tiny", MANUAL_DIR)
    service = start_service(MALMOI_MODELS_DIR=str(tmp_path / "models"))
    ok = service.ok
    files = {"file": ("자료.jsonl", DATA)}
    file_id = ok("POST", "/files", files=files, data={"purpose": "fine-tune"})["id"]
    model = fine_tuned(service, file_id)
    body = {"base_model": "tiny", "model": model, "file_id": file_id, "max_rows": 5, "max_tokens": 8}
    body |= {"repeats": 2, "repeat_rows": 2}
    once = {"Idempotency-Key": "평가-1".encode().hex()}
    made = answers(evaluations.Evaluation, ok("POST", "/evaluations", json=body, headers=once))
    assert ok("POST", "/evaluations", json=body, headers=once)["id"] == made["id"]
    job = answers(evaluations.Evaluation, ended(service, made["id"]))
    assert job["status"] == "succeeded", job
    rows = job["results"]["rows"]
    assert (rows["in_file"], rows["total"], rows["scored"] + rows["failed"]) == (12, 5, 5)
    assert rows["seen_in_training"] == 5  # it was trained on this very file
    by_name = {metric["name"]: metric for metric in job["results"]["metrics"]}
    assert by_name["perplexity"]["base"]["value"] > by_name["perplexity"]["tuned"]["value"] > 1
    assert by_name["perplexity"]["difference"]["n"] == 5
    assert {note["code"] for note in job["results"]["notes"]} == {
        "no_judge",
        "few_rows",
        "drawn",
        "seen_in_training",
    }
    listed = answers(common.ListOf[evaluations.Evaluation], ok("GET", "/evaluations"))
    assert [entry["id"] for entry in listed["data"]] == [made["id"]]
    events = answers(common.ListOf[common.Event], ok("GET", f"/evaluations/{made['id']}/events?order=asc"))["data"]
    assert events[-1]["message"] == "평가를 마쳤습니다."
    assert events[0]["id"].startswith("evalevent-")
    stream = service.http.get(f"/evaluations/{made['id']}/events", headers={"Accept": "text/event-stream"})
    assert "event: job" in stream.text
    report = answers(evaluations.EvaluationReport, ok("GET", f"/evaluations/{made['id']}/report"))
    assert [len(report["outputs"]), report["outputs_left_out"]] == [5, 0]
    page = service.http.get(f"/evaluations/{made['id']}/report", params={"format": "html"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "번 로케이션은 어디에 있나요?" in page.text
    lines = service.http.get(f"/evaluations/{made['id']}/report", params={"format": "jsonl"}).text.splitlines()
    assert [json.loads(line)["row"] for line in lines] == [row["row"] for row in report["outputs"]]
    assert len(service.client.files.content(job["result_files"][2]).text.splitlines()) == 5
    for wrong, status, code in (
        ({"model": "ft:없음"}, 404, "model_not_found"),
        ({"file_id": None}, 400, "rows_not_named"),
        ({"metrics": ["bleu"]}, 400, "invalid_value"),
        ({"max_rows": 0}, 400, "invalid_value"),
        ({"metrics": ["klue"]}, 501, "missing_extra"),
    ):
        refused = service.http.post("/evaluations", json=body | wrong)
        assert (refused.status_code, refused.json()["error"]["code"]) == (status, code), refused.text
    assert service.http.post(f"/evaluations/{made['id']}/cancel").status_code == 400
    assert service.http.get("/evaluations/eval-없음").status_code == 404


def evaluate(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALMOI_")}
    command = [sys.executable, "-m", "app.cli", "evaluate", *map(str, arguments)]
    root = str(Path(__file__).parents[2])
    return subprocess.run(
        command, capture_output=True, text=True, timeout=200, check=False, cwd=folder, env=clean | {"PYTHONPATH": root}
    )


def test_the_command_line_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "시험.jsonl").write_bytes(DATA)
    given = ["evaluate", "--base", "없음", "--model", "없음", "-o", "보고서", "--data", "시험.jsonl"]
    assert main(given) == 2
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)
    assert "없음" in said.err
    assert main([*given, "--temperature", "9"]) == 2
    assert "temperature" in capsys.readouterr().err
    assert main([*given, "--metrics", "bleu"]) == 2
    assert "metrics" in capsys.readouterr().err
    assert not (tmp_path / "보고서").exists()


@pytest.mark.long
def test_the_command_line_needs_no_server(tmp_path: Path) -> None:
    base = build_tiny_base(tmp_path / "기반", MANUAL_DIR)
    adapter = build_tiny_adapter(base, tmp_path / "어댑터", seed=3)
    data = tmp_path / "시험.jsonl"
    data.write_bytes(DATA)
    arguments = ("--base", base, "--model", adapter, "--data", data, "-o", tmp_path / "보고서", "--recipe", "demo")
    small = ("--max-tokens", "6", "--repeat-rows", "2", "--repeats", "2", "--max-rows", "4")
    ended = evaluate(*arguments, *small, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "4행 = 비교 4 + 실패 0" in ended.stdout
    assert "perplexity" in ended.stdout
    report = json.loads((tmp_path / "보고서" / "report.json").read_text(encoding="utf-8"))
    assert answers(evaluations.EvaluationReport, report)["rows"]["scored"] == 4
    assert len((tmp_path / "보고서" / "answers.jsonl").read_text(encoding="utf-8").splitlines()) == 4
    assert "학습 전과 후" in (tmp_path / "보고서" / "report.html").read_text(encoding="utf-8")
    data.write_text('{"messages": []}\n', encoding="utf-8")
    broken = evaluate(*arguments, *small, folder=tmp_path)
    assert broken.returncode == 2
    assert "line 1" in broken.stderr
