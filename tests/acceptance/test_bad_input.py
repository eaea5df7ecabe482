"""Bad input gets a clear error in OpenAI's shape, and nothing is lost or half written."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import unicodedata
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


def test_documents_that_cannot_be_read_fail_and_the_others_are_processed(service: Any) -> None:
    corpus_id = service.ok("POST", "/corpora", json={"name": "c"})["id"]
    sent = {
        "입고.md": "# 입고\n\n입고란 창고에 물건을 들이는 일입니다.".encode(),
        "빈.md": b"",
        "반쪽.md": b"\xff\xfe\x00\xd8\x00\x00",
        "이진.txt": b"\x00\x01\x02\x03" * 9,
        "그림.png": b"\x89PNG",
        "깨진.pdf": b"%PDF-1.7 nothing",
        "../../출고.md": "# 출고\n\n출고란 물건을 내보내는 일입니다.".encode(),
        unicodedata.normalize("NFD", "창고" * 270) + ".md": "# 재고\n\n재고란 남은 물건입니다.".encode(),  # 4 KB
        "창고" * 670 + ".md": "# 반품\n\n반품이란 돌아온 물건입니다.".encode(),
    }
    files = [("file", (name, data)) for name, data in sent.items()]
    documents = service.ok("POST", f"/corpora/{corpus_id}/documents", files=files)["data"]
    deadline = time.monotonic() + 60
    while any(entry["status"] == "processing" for entry in documents):
        assert time.monotonic() < deadline
        time.sleep(0.2)
        documents = [service.ok("GET", f"/documents/{entry['id']}") for entry in documents]
    told = [(entry["filename"], (entry["error"] or {}).get("code")) for entry in documents]
    assert told == [
        ("입고.md", None),
        ("빈.md", "empty_file"),
        ("반쪽.md", "undecodable_text"),
        ("이진.txt", "undecodable_text"),
        ("그림.png", "unsupported_format"),
        ("깨진.pdf", "damaged_file"),
        ("출고.md", None),
        ("창고" * 126 + ".md", None),
        ("창고" * 126 + ".md", None),
    ]
    assert [len(entry["warnings"]) for entry in documents[-3:]] == [1, 1, 1]
    refused = service.http.get(f"/documents/{documents[1]['id']}/text")
    assert error_of(refused)["code"] == "document_failed"
    assert service.ok("GET", f"/documents/{documents[1]['id']}/chunks")["data"] == []
    hits = service.ok("POST", f"/corpora/{corpus_id}/search", json={"query": "출고란 무엇입니까?"})["data"]
    assert hits[0]["document_id"] == documents[-3]["id"]
    longer = error_of(upload(service, corpus_id, b"x", "가" * 4000 + ".md"))
    assert (longer["code"], "header size" in longer["message"]) == ("invalid_multipart", True)


def test_addresses_are_off_unless_the_operator_wants_them(service: Any) -> None:
    corpus_id = service.ok("POST", "/corpora", json={"name": "c"})["id"]
    path = f"/corpora/{corpus_id}/documents"
    error = error_of(service.http.post(path, json={"url": "https://example.com/a.md"}))
    assert (error["code"], error["param"]) == ("url_documents_disabled", "url")
    assert error_of(service.http.post(path, json={"url": "https://example.com/", "title": "가"}))["param"] == "title"
    assert service.ok("GET", path)["data"] == []


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
