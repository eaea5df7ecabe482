"""Bad input gets a clear error in OpenAI's shape, and nothing is lost or half written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest


def error_of(response: httpx.Response, status: int = 400) -> dict[str, Any]:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert response.headers["X-Request-ID"]
    assert error["message"]
    return dict(error)


def upload(service: Any, corpus_id: str, data: bytes, name: str = "문서.md") -> httpx.Response:
    return service.http.post(f"/corpora/{corpus_id}/documents", files={"file": (name, data)})


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", "empty_file"), (b"\xff\xfe\x00\xd8\x00\x00", "undecodable_text"), (b"\x00\x01\x02\x03" * 9, None)],
)
def test_documents_that_are_no_text(service: Any, data: bytes, code: str | None) -> None:
    corpus_id = service.ok("POST", "/corpora", json={"name": "c"})["id"]
    error = error_of(upload(service, corpus_id, data))
    assert code is None or error["code"] == code
    assert service.ok("GET", f"/corpora/{corpus_id}/documents")["data"] == []


def test_one_bad_document_keeps_none_of_the_upload(service: Any) -> None:
    corpus_id = service.ok("POST", "/corpora", json={"name": "c"})["id"]
    files = [("file", ("가.md", "# 가\n\n내용입니다.".encode())), ("file", ("나.md", b""))]
    assert "나.md" in error_of(service.http.post(f"/corpora/{corpus_id}/documents", files=files))["message"]
    assert service.ok("GET", f"/corpora/{corpus_id}/documents")["data"] == []


def test_unknown_things(service: Any) -> None:
    assert error_of(service.http.get("/corpora/corpus_none"), 404)["code"] == "corpus_not_found"
    assert error_of(upload(service, "corpus_none", "# 가\n\n나입니다.".encode()), 404)["code"] == "corpus_not_found"
    assert error_of(service.http.get("/nothing"), 404)["code"] == "unknown_url"
    body = {"corpus_id": "corpus_none"}
    assert error_of(service.http.post("/generation/jobs", json=body), 404)["param"] == "corpus_id"
    with pytest.raises(openai.NotFoundError) as caught:
        service.client.chat.completions.create(model="none", messages=[{"role": "user", "content": "안녕"}])
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"target": 0}, "target"),
        ({"target": -5}, "target"),
        ({"heldout_fraction": 2}, "heldout_fraction"),
        ({"generators": [{"type": "magic"}]}, "generators.0.type"),
        ({"generators": []}, "generators"),
        ({"generators": [{"type": "extractive_qa", "speed": 3}]}, "generators.0.speed"),
        ({"generators": [{"type": "extractive_qa", "weight": 0}]}, "generators.0.weight"),
        ({"curation": {"near_duplicate_threshold": 1.5}}, "curation.near_duplicate_threshold"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_generation_requests(service: Any, change: dict[str, Any], param: str) -> None:
    corpus_id = service.ok("POST", "/corpora", json={"name": "c"})["id"]
    response = service.http.post("/generation/jobs", json={"corpus_id": corpus_id} | change)
    assert error_of(response)["param"] == param
    assert all(job["corpus_id"] != corpus_id for job in service.ok("GET", "/generation/jobs?limit=100")["data"])


@pytest.mark.parametrize("name", ["", "   ", "이름\u0000", "두\n줄", "\ud800"])
def test_names_that_cannot_be_stored(service: Any, name: str) -> None:
    content = json.dumps({"name": name}).encode()
    response = service.http.post("/corpora", content=content, headers={"content-type": "application/json"})
    assert error_of(response)["param"] == "name"


def test_nul_in_an_address(service: Any) -> None:
    assert error_of(service.http.get("/corpora/a%00b"))["code"] == "invalid_value"
    assert error_of(service.http.get("/corpora?after=%00"))["code"] == "invalid_value"


def test_nothing_is_kept_of_an_upload_to_an_unknown_corpus(service: Any) -> None:
    before = sorted((service.data_dir / "blobs").rglob("*"))
    error_of(upload(service, "corpus_none", "# 새 문서\n\n내용입니다.".encode()), 404)
    with pytest.raises(openai.BadRequestError) as caught:
        service.client.files.create(file=("empty.jsonl", b""), purpose="fine-tune")
    assert caught.value.code == "empty_file"
    assert sorted((service.data_dir / "blobs").rglob("*")) == before


def test_empty_corpus_and_missing_endpoint(service: Any) -> None:
    corpus_id = service.ok("POST", "/corpora", json={"name": "c"})["id"]
    assert error_of(service.http.post("/generation/jobs", json={"corpus_id": corpus_id}))["code"] == "corpus_empty"
    body = {"corpus_id": corpus_id, "generators": [{"type": "rag_qa"}]}
    assert error_of(service.http.post("/generation/jobs", json=body))["code"] == "no_model_endpoint"


def test_upload_over_the_limit(start_service: Any) -> None:
    service = start_service(MALMOI_MAX_UPLOAD_MB="1")
    corpus_id = service.ok("POST", "/corpora", json={"name": "c"})["id"]
    error = error_of(upload(service, corpus_id, "가".encode() * 500_000), 413)
    assert error["code"] == "too_large"
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
    blocks = (head if i == 0 else b"x" * 65536 for i in range(40))  # chunked: no Content-Length to go by
    chunked = service.http.post("/files", content=blocks, headers={"content-type": "multipart/form-data; boundary=b"})
    assert chunked.status_code == 413
    assert service.ok("GET", f"/corpora/{corpus_id}/documents")["data"] == []


def row(question: str = "입고란 무엇인가요?", answer: str = "창고에 물건을 들이는 일입니다.") -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def lines(rows: list[Any]) -> bytes:
    return "\n".join(r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in rows).encode()


GOOD = [row(f"{i}번 구역은 어디인가요?") for i in range(20)]
REVERSED = {"messages": list(reversed(row()["messages"]))}
ALONE = {"messages": row()["messages"][:1]}


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (lines([*GOOD[:16], '{"messages": [', *GOOD[17:]]), "invalid_training_file", "17"),
        (lines([*GOOD[:4], REVERSED, *GOOD]), "invalid_training_file", "5"),
        (lines([*GOOD[:2], ALONE, *GOOD]), "invalid_training_file", "3"),
        (lines(GOOD[:7]), "invalid_n_examples", "Training file has 7 example(s), but must have at least 10 examples"),
    ],
)
def test_training_files(service: Any, data: bytes, code: str, words: str) -> None:
    uploaded = service.client.files.create(file=("train.jsonl", data), purpose="fine-tune")
    job = service.client.fine_tuning.jobs.create(model="malmoi-demo", training_file=uploaded.id)
    ended = service.wait(f"/fine_tuning/jobs/{job.id}")
    assert ended["status"] == "failed"
    assert ended["error"]["code"] == code
    assert words in ended["error"]["message"]
    assert ended["error"]["param"] == "training_file"
    assert ended["fine_tuned_model"] is None


def test_base_model_that_is_not_there(service: Any) -> None:
    uploaded = service.client.files.create(file=("train.jsonl", lines(GOOD)), purpose="fine-tune")
    with pytest.raises(openai.BadRequestError) as caught:
        service.client.fine_tuning.jobs.create(model="no-such-base", training_file=uploaded.id)
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"
    with pytest.raises(openai.BadRequestError) as caught:
        service.client.fine_tuning.jobs.create(model="malmoi-demo", training_file="file-none")
    assert caught.value.param == "training_file"


def test_demo_model_before_it_is_built(service: Any) -> None:
    client = service.client.with_options(max_retries=0)
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="malmoi-demo", messages=[{"role": "user", "content": "안녕하세요?"}])
    assert caught.value.status_code == 503
    assert caught.value.code == "model_building"
    assert caught.value.response.headers["Retry-After"]


def run_cli(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments], capture_output=True, text=True, cwd=cwd, timeout=60, check=False
    )


def test_port_taken(service: Any, tmp_path: Path) -> None:
    port = service.address.rsplit(":", 1)[1]
    ended = run_cli("serve", "--port", port, "--data-dir", str(tmp_path / "d"), cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert port in ended.stderr
    assert not (tmp_path / "d").exists()


def test_data_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    ended = run_cli("serve", "--port", "0", "--data-dir", str(tmp_path / "file" / "data"), cwd=tmp_path)
    assert ended.returncode != 0
    assert ended.stderr.count("\n") == 1
    assert "file/data" in ended.stderr


def test_no_keys_beyond_loopback(tmp_path: Path) -> None:
    ended = run_cli("serve", "--host", "0.0.0.0", "--port", "0", "--data-dir", str(tmp_path / "d"), cwd=tmp_path)
    assert ended.returncode == 2
    assert "MALMOI_API_KEYS" in ended.stderr
