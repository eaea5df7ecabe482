"""Exports over HTTP: every format of an imported dataset, tags, headers, the document of the interface, search."""

from __future__ import annotations

import csv
import io
import json
import time
import zipfile
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from app.services.datasets import add_dataset
from app.store.database import open_store
from app.store.samples import sample_to_row
from corpora.records import Candidate, Message, Provenance, Sample, Verdict

PAIRS = [
    ("냉동 창고의 기준 온도는 몇 도인가요?", "냉동 창고는 영하 18도 이하로 유지합니다."),
    ("파손된 상품은 어디에 두어야 하나요?", "파손품 구역으로 옮기고 사진을 찍어 등록해 주십시오."),
    ("출고 마감 시각을 알려 주세요.", "당일 출고 주문은 오후 3시에 마감합니다. WMS 화면에서 확인할 수 있습니다."),
]
TALK = [
    {"role": "user", "content": "입고 차량이 예정보다 늦게 도착했어요."},
    {"role": "assistant", "content": "지연 사유를 입고 화면에 등록해 주십시오."},
    {"role": "user", "content": "사유를 잘못 골랐는데 고칠 수 있나요?"},
    {"role": "assistant", "content": "입고를 확정하기 전까지는 수정 버튼으로 고칠 수 있습니다."},
]


def lines() -> bytes:
    talks = [[{"role": "user", "content": q}, {"role": "assistant", "content": a}] for q, a in PAIRS]
    return "".join(json.dumps({"messages": m}, ensure_ascii=False) + "\n" for m in [*talks, TALK]).encode()


@pytest.fixture(scope="module")
def dataset(service: Any) -> Any:
    """An imported dataset of three questions and a conversation of two."""
    made = service.ok("POST", "/datasets", files={"file": ("냉동.jsonl", lines())})
    deadline = time.monotonic() + 60
    while (now := service.ok("GET", f"/datasets/{made['id']}"))["import_job"]["status"] in ("queued", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert now["sample_count"] == 4, now
    return now


def get(service: Any, dataset: Any, **query: Any) -> httpx.Response:
    headers = query.pop("headers", {})
    response = service.http.get(f"/datasets/{dataset['id']}/export", params=query, headers=headers)
    assert isinstance(response, httpx.Response)
    return response


@pytest.mark.parametrize(
    ("name", "media_type", "suffix", "refused"),
    [
        ("messages", "application/jsonl", "train-messages.jsonl", {}),
        ("sharegpt", "application/jsonl", "train-sharegpt.jsonl", {}),
        ("alpaca", "application/jsonl", "train-alpaca.jsonl", {"multi_turn": 1}),
        ("prompt_completion", "application/jsonl", "train-prompt_completion.jsonl", {"multi_turn": 1}),
        ("csv", "text/csv; charset=utf-8", "train.csv", {"multi_turn": 1}),
        ("parquet", "application/vnd.apache.parquet", "train.parquet", {}),
        ("bundle", "application/zip", "all.zip", {}),
    ],
)
def test_every_format(
    service: Any, dataset: Any, name: str, media_type: str, suffix: str, refused: dict[str, int]
) -> None:
    response = get(service, dataset, format=name)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == media_type
    wanted = f'attachment; filename="{dataset["id"]}-v{dataset["version"]}-{suffix}"'
    assert response.headers["Content-Disposition"] == wanted
    assert json.loads(response.headers["X-Malmoi-Refused"]) == refused
    again = get(service, dataset, format=name)
    assert again.content == response.content
    assert again.headers["ETag"] == response.headers["ETag"]
    held = get(service, dataset, format=name, headers={"If-None-Match": f'"other", W/{response.headers["ETag"]}'})
    assert (held.status_code, held.content) == (304, b"")
    assert held.headers["ETag"] == response.headers["ETag"]
    changed = get(service, dataset, format=name, headers={"If-None-Match": '"other"'})
    assert changed.content == response.content
    questions = [question for question, _ in PAIRS]
    if name == "csv":
        assert [row[0] for row in csv.reader(io.StringIO(response.text, newline=""))] == ["question", *questions]
    elif name == "parquet":
        table = pq.read_table(io.BytesIO(response.content)).to_pylist()
        assert [row["messages"][0]["content"] for row in table] == [*questions, TALK[0]["content"]]
    elif name == "bundle":
        with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
            assert archive.read("data/train.jsonl") == get(service, dataset).content
            assert f"`{dataset['id']}`" in archive.read("README.md").decode()
    else:
        assert len(response.text.splitlines()) == 4 - sum(refused.values())
        assert all(question in response.text for question in questions)


def test_what_is_exported_is_imported_again(service: Any, dataset: Any) -> None:
    assert get(service, dataset).content == lines()


def test_errors(service: Any, dataset: Any) -> None:
    for query, code in (
        ({"format": "xml"}, "invalid_value"),
        ({"split": "validation"}, "invalid_value"),
        ({"format": "csv", "metadata": "true"}, "metadata_not_supported"),
        ({"format": "bundle", "split": "test"}, "nothing_exportable"),
    ):
        response = get(service, dataset, **query)
        assert (response.status_code, response.json()["error"]["code"]) == (400, code)
    for headers in ({}, {"If-None-Match": "*"}):
        missing = service.http.get("/datasets/dataset_none/export", headers=headers)
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "dataset_not_found")


def test_readers_that_go_away_hold_nothing(service: Any) -> None:
    # Far more than fits on the way to a reader, so that each stream is broken off in its middle.
    dataset_id = large_dataset(service, rows=3000, answer="랙 번호와 수량을 확인합니다. " * 300)
    started = time.monotonic()
    # More readers than the store has connections (15); one that waits for a connection gives up after 30 s.
    for _ in range(20):
        with service.http.stream("GET", f"/datasets/{dataset_id}/export") as response:
            assert next(response.iter_bytes()).startswith(b'{"messages"')
    assert service.http.get(f"/datasets/{dataset_id}").status_code == 200
    assert time.monotonic() - started < 25
    assert list((service.data_dir / "exports").iterdir()) == []


def large_dataset(service: Any, rows: int, answer: str) -> str:
    """Put there without a job, which would take minutes over so many rows."""
    store = open_store(None, service.data_dir)
    turns = (Message(role="user", content="재고 실사는 어떻게 하나요?"), Message(role="assistant", content=answer))
    verdict = Verdict(stage="accepted", reason="ok")
    with store.write() as session:
        dataset_id = add_dataset(session, "큰 데이터셋", None, 0.0).id
        for slot in range(rows):
            made = Candidate(messages=turns, provenance=Provenance(generator="imported", slot=slot))
            sample = Sample(id=f"sample_large_{slot}", candidate=made, accepted=True, verdict=verdict)
            session.add(sample_to_row(sample, dataset_id=dataset_id, job_id="job_large", position=0, now=0.0))
    store.dispose()
    return dataset_id


def test_the_interface_is_described(service: Any) -> None:
    paths = httpx.get(f"{service.address}/openapi.json").json()["paths"]
    answers = paths["/v1/datasets/{dataset_id}/export"]["get"]["responses"]
    assert set(answers["200"]["content"]) == {
        "application/jsonl",
        "text/csv",
        "application/vnd.apache.parquet",
        "application/zip",
    }
    assert {"ETag", "Content-Disposition", "X-Malmoi-Refused"} <= set(answers["200"]["headers"])
    assert "304" in answers
    named = [parameter["name"] for parameter in paths["/v1/datasets/{dataset_id}/samples"]["get"]["parameters"]]
    assert "q" in named


def test_search(service: Any, dataset: Any) -> None:
    def found(text: str) -> list[str]:
        rows = service.ok("GET", f"/datasets/{dataset['id']}/samples", params={"q": text, "order": "asc"})["data"]
        return [row["messages"][0]["content"] for row in rows]

    assert found("영하 18도") == [PAIRS[0][0]]
    assert found("wms 화면") == [PAIRS[2][0]]
    assert found("수정 버튼") == [TALK[0]["content"]]
    assert found("assistant") == found("%") == []
    assert service.http.get(f"/datasets/{dataset['id']}/samples", params={"q": ""}).status_code == 400
