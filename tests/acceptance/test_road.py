"""The whole road on a really started service: documents, dataset, fine-tuned model, chat."""

from __future__ import annotations

import difflib
import json
from typing import Any

import httpx
import pytest


def test_documents_to_dataset(service: Any) -> None:
    corpus_id = service.corpus()
    found = service.ok(
        "POST", f"/corpora/{corpus_id}/search", json={"query": "온도 이탈 경보는 어떻게 해제하나요?", "k": 3}
    )
    assert "해제" in found["data"][0]["chunk"]["text"]
    document_id = found["data"][0]["document_id"]
    text = service.http.get(f"/documents/{document_id}/text").text
    chunks = service.ok("GET", f"/documents/{document_id}/chunks?limit=1000&order=asc")["data"]
    assert [text[c["start"] : c["end"]] for c in chunks] == [c["text"] for c in chunks]
    job = service.generate(corpus_id=corpus_id, generators=[{"type": "extractive_qa"}], heldout_fraction=0.0)
    assert job["status"] == "succeeded"
    assert job["progress"]["accepted"] >= 5
    export = service.http.get(f"/datasets/{job['dataset_id']}/export")
    rows = [json.loads(line) for line in export.text.splitlines()]
    assert len(rows) == job["progress"]["accepted"]
    assert "\\u" not in export.text
    for row in rows:
        assert set(row) == {"messages"}
        assert [m["role"] for m in row["messages"]] == ["user", "assistant"]
        assert row["messages"][1]["content"] in text  # verbatim
    again = service.http.get(f"/datasets/{job['dataset_id']}/export")
    assert again.content == export.content


def test_same_bytes_are_one_document_and_deletion_counts_at_once(service: Any) -> None:
    corpus_id = service.corpus("# 도크\n\n도크란 차량이 짐을 내리는 자리를 말합니다.")
    first = service.ok("GET", f"/corpora/{corpus_id}/documents")["data"][0]
    files = {"file": ("다른 이름.md", "# 도크\n\n도크란 차량이 짐을 내리는 자리를 말합니다.".encode())}
    assert service.ok("POST", f"/corpora/{corpus_id}/documents", files=files)["data"][0]["id"] == first["id"]
    service.ok("DELETE", f"/documents/{first['id']}")
    assert service.ok("POST", f"/corpora/{corpus_id}/search", json={"query": "도크란?"})["data"] == []


def test_lists_keep_their_cursors(service: Any) -> None:
    names = [f"목록 {i}" for i in range(5)]
    ids = [service.ok("POST", "/corpora", json={"name": name})["id"] for name in names]
    seen: list[str] = []
    after = None
    while True:
        params = {"limit": 2, "order": "asc"} | ({"after": after} if after else {})
        page = service.ok("GET", "/corpora", params=params)
        seen += [entry["id"] for entry in page["data"]]
        if not page["has_more"]:
            break
        after = page["last_id"]
    assert [i for i in seen if i in ids] == ids
    assert len(seen) == len(set(seen))
    assert service.http.get("/corpora", params={"after": "corpus_none"}).status_code == 400


def test_idempotency_key(service: Any) -> None:
    headers = {"Idempotency-Key": "키-1".encode().hex()}
    first = service.ok("POST", "/corpora", json={"name": "한 번"}, headers=headers)
    assert service.ok("POST", "/corpora", json={"name": "한 번"}, headers=headers) == first
    other = service.http.post("/corpora", json={"name": "두 번"}, headers=headers)
    assert other.status_code == 422
    assert other.json()["error"]["code"] == "idempotency_key_reused"


def test_idempotency_key_on_uploads(service: Any) -> None:
    headers = {"Idempotency-Key": "upload-1"}
    line = b'{"messages": []}'
    send = {"files": {"file": ("a.jsonl", line)}, "data": {"purpose": "fine-tune"}, "headers": headers}
    first = service.ok("POST", "/files", **send)
    assert service.ok("POST", "/files", **send) == first
    other = service.http.post("/files", **send | {"files": {"file": ("a.jsonl", line + b"\n")}})
    assert other.status_code == 422
    assert len([f for f in service.ok("GET", "/files")["data"] if f["filename"] == "a.jsonl"]) == 1
    corpus_id = service.ok("POST", "/corpora", json={"name": "한 번만"})["id"]
    path = f"/corpora/{corpus_id}/documents"
    body = {"title": "도크", "text": "도크란 차량이 짐을 내리는 자리를 말합니다."}
    documents = service.ok("POST", path, json=body, headers=headers)["data"]
    assert [d["id"] for d in service.ok("POST", path, json=body, headers=headers)["data"]] == [documents[0]["id"]]
    assert service.http.post(path, json=body | {"title": "다른 도크"}, headers=headers).status_code == 422


def test_a_request_may_spell_out_what_is_not_there_yet(service: Any) -> None:
    corpus_id = service.corpus()
    job = service.generate(
        corpus_id=corpus_id,
        target=1,
        judge_model=None,
        dry_run=False,
        budget={"max_requests": 5, "max_tokens": None, "max_cost_usd": None},
    )
    assert job["status"] == "succeeded"


def test_guard(service: Any) -> None:
    evil = service.http.get("/corpora", headers={"Host": "evil.example"})
    assert evil.status_code == 421
    assert service.http.get("/corpora", headers={"Origin": "https://evil.example"}).status_code == 403
    assert service.http.get("/corpora", headers={"Origin": service.address}).status_code == 200


def test_keys(start_service: Any) -> None:
    service = start_service(MALMOI_API_KEYS="비밀-one,two".encode().decode())
    assert service.http.get("/corpora").status_code == 401
    assert service.http.get("/corpora", headers={"Authorization": "Bearer two"}).status_code == 200
    assert httpx.get(f"{service.address}/livez").status_code == 200


def test_interactive_docs(service: Any) -> None:
    assert httpx.get(f"{service.address}/docs").status_code == 200
    document = httpx.get(f"{service.address}/openapi.json").json()
    assert "/v1/fine_tuning/jobs" in document["paths"]
    assert "/v1/generation/jobs" in document["paths"]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_whole_road_with_the_demo_model(start_service: Any) -> None:
    from corpora.bundled import manual_pages

    service = start_service()
    corpus_id = service.corpus(*(page.read_text(encoding="utf-8") for page in manual_pages()))
    job = service.generate(corpus_id=corpus_id, target=60, heldout_fraction=0.17)
    assert job["status"] == "succeeded"
    tuned = service.client.fine_tuning.jobs.create(
        model="malmoi-demo",
        training_file=job["dataset_id"],
        validation_file=job["dataset_id"],
        suffix="wms",
        extra_body={"recipe": "demo"},
    )
    ended = service.wait(f"/fine_tuning/jobs/{tuned.id}", timeout=500)
    assert ended["status"] == "succeeded", ended
    losses = ended["losses"]
    assert losses["train_loss_after"] <= losses["train_loss_before"] / 2
    assert losses["valid_loss_before"] is not None
    events = service.client.fine_tuning.jobs.list_events(tuned.id, limit=1000).data
    steps = [e.data["step"] for e in events if e.type == "metrics" and isinstance(e.data, dict)]
    assert max(steps) >= 60
    assert service.client.files.content(ended["result_files"][0]).text.startswith("step,train_loss")
    assert ended["fine_tuned_model"] in [m.id for m in service.client.models.list().data]
    samples = service.ok("GET", f"/datasets/{job['dataset_id']}/samples?status=accepted&limit=200")["data"]
    short = sorted((s for s in samples if s["split"] == "train"), key=lambda s: len(s["messages"][1]["content"]))[:12]
    best = 0.0
    for sample in short:
        question, answer = (m["content"] for m in sample["messages"])
        reply = service.client.chat.completions.create(
            model=ended["fine_tuned_model"],
            messages=[{"role": "user", "content": question}],
            temperature=0,
            max_tokens=400,
        )
        if reply.choices[0].finish_reason == "stop":
            text = reply.choices[0].message.content or ""
            best = max(best, difflib.SequenceMatcher(None, text, answer).ratio())
    assert best >= 0.8
