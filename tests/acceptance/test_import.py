"""Importing and curating over HTTP on a started service."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.integration.services.test_importing import DATA, ROWS


def ended(service: Any, path: str) -> Any:
    deadline = time.monotonic() + 90
    while True:
        body = service.ok("GET", path)
        job = body.get("import_job", body)
        if job["status"] not in ("queued", "running"):
            return body
        assert time.monotonic() < deadline, body
        time.sleep(0.2)


def test_import_curate_export(service: Any) -> None:
    send = {"files": {"file": ("모음.jsonl", DATA)}, "data": {"name": "가져온 것"}}
    dataset = service.ok("POST", "/datasets", **send, headers={"Idempotency-Key": "import-1"})
    assert service.ok("POST", "/datasets", **send, headers={"Idempotency-Key": "import-1"})["id"] == dataset["id"]
    assert dataset["name"] == "가져온 것"
    path = f"/datasets/{dataset['id']}"
    imported = ended(service, path)
    assert imported["import_job"]["status"] == "succeeded", imported
    assert imported["import_job"]["format"] == "messages"
    assert imported["import_job"]["progress"]["rows"] == len(ROWS)
    job = service.ok(
        "POST", f"{path}/curation/jobs", json={"curation": {"near_duplicate_threshold": 0.95, "semantic": False}}
    )
    assert job["object"] == "curation.job"
    result = ended(service, f"{path}/curation/jobs/{job['id']}")["result"]
    assert result["newly_accepted"] > 0
    assert [entry["id"] for entry in service.ok("GET", f"{path}/curation/jobs")["data"]] == [job["id"]]
    lines = service.http.get(f"{path}/export?split=all").text.splitlines()
    assert len(lines) == result["accepted"]
    assert all(json.loads(line) in ROWS for line in lines)


def test_bad_imports(service: Any) -> None:
    def refused(name: str, data: bytes, **fields: str) -> Any:
        response = service.http.post("/datasets", files={"file": (name, data)}, data=fields)
        assert response.status_code == 400, response.text
        return response.json()["error"]

    assert refused("빈.jsonl", b"")["code"] == "empty_file"
    assert refused("말.jsonl", "그냥 글입니다.\n".encode())["code"] == "unknown_format"
    assert "koalpaca" in refused("모음.jsonl", DATA, format="xml")["message"]
    assert (
        refused("모음.jsonl", DATA, curation='{"near_duplicate_threshold": 7}')["param"]
        == "curation.near_duplicate_threshold"
    )
    response = service.http.post("/datasets/dataset_none/curation/jobs", json={})
    assert response.status_code == 404
