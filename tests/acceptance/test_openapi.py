"""The API's description is complete, and what a started service really answers is what it describes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

from app.api.schemas import common, corpora, datasets, generation
from tests.acceptance.conftest import ENDED
from tests.acceptance.test_kill import wait_until


@pytest.fixture(scope="module")
def document(service: Any) -> dict[str, Any]:
    return dict(httpx.get(f"{service.address}/openapi.json").json())


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        assert len(schema) == 1, schema  # nothing is mixed into a reference
        return dict(document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
    return schema


def test_every_operation_says_what_it_answers(document: dict[str, Any]) -> None:
    seen = 0
    for method, path, operation in operations(document):
        good = [code for code in operation["responses"] if code.startswith("2")]
        assert good == ["200"], f"{method} {path}"
        content = operation["responses"]["200"]["content"]
        assert content, f"{method} {path}"
        for media_type, described in content.items():
            whole = resolved(document, described["schema"])
            # A route with two answers (a job, or its dry run) names both.
            for schema in [resolved(document, branch) for branch in whole.get("anyOf", [whole])]:
                if media_type == "application/json":
                    assert schema["type"] == "object", f"{method} {path}"
                    assert schema["properties"], f"{method} {path}"
                    assert schema["additionalProperties"] is False, f"{method} {path}"
                else:
                    assert schema["type"] == "string", f"{method} {path}"
        seen += 1
    assert seen >= 45


def test_every_operation_says_how_it_fails(document: dict[str, Any]) -> None:
    error = {"$ref": "#/components/schemas/ErrorBody"}
    for method, path, operation in operations(document):
        responses = operation["responses"]
        for code in ("4XX", "5XX"):
            assert responses[code]["content"] == {"application/json": {"schema": error}}, f"{method} {path}"
        takes_key = any(p["name"] == "Idempotency-Key" for p in operation.get("parameters", ()))
        assert ("422" in responses) == takes_key, f"{method} {path}"
        if takes_key:
            assert responses["422"]["content"]["application/json"]["schema"] == error
            assert "Idempotent-Replayed" in responses["200"]["headers"]
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert set(document["components"]["schemas"]["ErrorDetail"]["required"]) == {"message", "type", "param", "code"}


def test_uploads_are_described(document: dict[str, Any]) -> None:
    for path in ("/v1/files", "/v1/datasets", "/v1/corpora/{corpus_id}/documents"):
        body = document["paths"][path]["post"]["requestBody"]
        assert body["required"] is True
        form = resolved(document, body["content"]["multipart/form-data"]["schema"])
        assert "file" in form["required"]
        file = form["properties"]["file"]
        assert file["type"] in ("string", "array")
        assert {"format", "contentMediaType"} & set(file.get("items", file))
    text = document["paths"]["/v1/corpora/{corpus_id}/documents"]["post"]["requestBody"]["content"]["application/json"]
    assert [one["required"] for one in text["schema"]["oneOf"]] == [["title", "text"], ["url"]]


def test_operation_ids_and_security(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    assert "fine_tuning_create_job" in ids
    assert document["components"]["securitySchemes"]["api_key"]["scheme"] == "bearer"
    for _, path, operation in operations(document):
        assert operation.get("security") == (None if path in ("/livez", "/readyz") else [{"api_key": []}])


def answers(kind: Any, body: Any) -> Any:
    """``body`` fits ``kind`` exactly: no field is missing, unnamed or of another type."""
    TypeAdapter(kind).validate_json(json.dumps(body), strict=True)
    return body


def test_answers_about_documents(service: Any) -> None:
    ok = service.ok
    corpus_id = service.corpus()
    answers(corpora.Corpus, ok("GET", f"/corpora/{corpus_id}"))
    answers(common.ListOf[corpora.Corpus], ok("GET", "/corpora"))
    listed = answers(common.ListOf[corpora.Document], ok("GET", f"/corpora/{corpus_id}/documents"))
    document = answers(corpora.Document, ok("GET", f"/documents/{listed['first_id']}"))
    chunks = answers(common.ListOf[corpora.Chunk], ok("GET", f"/documents/{document['id']}/chunks"))["data"]
    assert {chunk["created_at"] for chunk in chunks} == {document["created_at"]}
    found = ok("POST", f"/corpora/{corpus_id}/search", json={"query": "온도 이탈 경보 해제"})
    assert set(answers(corpora.SearchResult, found)) == {"data"}
    answers(corpora.DocumentDeleted, ok("DELETE", f"/documents/{document['id']}"))
    answers(corpora.CorpusDeleted, ok("DELETE", f"/corpora/{corpus_id}"))
    answers(common.ErrorBody, service.http.get(f"/corpora/{corpus_id}").json())
    answers(common.ErrorBody, service.http.post("/corpora", json={}).json())


@pytest.mark.long
def test_answers_about_generation_and_datasets(service: Any) -> None:
    ok = service.ok
    corpus_id = service.corpus()
    body = {"corpus_id": corpus_id, "generators": [{"type": "extractive_qa"}]}
    made = answers(generation.GenerationJob, ok("POST", "/generation/jobs", json=body))
    job = answers(generation.GenerationJob, service.wait(f"/generation/jobs/{made['id']}"))
    answers(common.ListOf[generation.GenerationJob], ok("GET", "/generation/jobs"))
    assert answers(common.ListOf[common.Event], ok("GET", f"/generation/jobs/{job['id']}/events"))["data"]
    dataset = answers(datasets.Dataset, ok("GET", f"/datasets/{job['dataset_id']}"))
    samples = answers(common.ListOf[datasets.Sample], ok("GET", f"/datasets/{dataset['id']}/samples?limit=1000"))
    answers(datasets.Sample, ok("GET", f"/samples/{samples['first_id']}"))
    report = answers(datasets.DatasetReport, ok("GET", f"/datasets/{dataset['id']}/report"))
    assert report["id"] == f"report_{dataset['id']}_{report['version']}"
    detailed = answers(datasets.DatasetReport, ok("GET", f"/datasets/{dataset['id']}/report?detail=true"))
    assert detailed["details"]["counts"]["accepted"] == report["accepted"]
    clusters = ok("GET", f"/datasets/{dataset['id']}/clusters?threshold=0.5&limit=5")
    answers(common.ListOf[datasets.DatasetCluster], clusters)
    nearest = answers(datasets.NearestSamples, ok("GET", f"/samples/{samples['first_id']}/nearest?k=3"))
    assert len(nearest["data"]) == 3
    for preview in (True, False):
        path = f"/datasets/{dataset['id']}/curation/jobs"
        curation = answers(datasets.CurationJob, ok("POST", path, json={"preview": preview}))
        wait_until(lambda path=f"{path}/{curation['id']}": ok("GET", path)["status"] in ENDED, 120)
        ended = answers(datasets.CurationJob, ok("GET", f"{path}/{curation['id']}"))
        assert ended["status"] == "succeeded", ended
    answers(common.ListOf[datasets.CurationJob], ok("GET", f"/datasets/{dataset['id']}/curation/jobs"))
    row = {
        "messages": [
            {"role": "user", "content": "출고란?"},
            {"role": "assistant", "content": "물건을 내보내는 일입니다."},
        ]
    }
    lines = json.dumps(row, ensure_ascii=False).encode() + b"\n{broken\n"
    imported = answers(datasets.Dataset, ok("POST", "/datasets", files={"file": ("가져온 자료.jsonl", lines)}))
    wait_until(lambda: ok("GET", f"/datasets/{imported['id']}")["import_job"]["status"] == "succeeded", 120)
    answers(datasets.Dataset, ok("GET", f"/datasets/{imported['id']}"))
    answers(common.ListOf[datasets.Sample], ok("GET", f"/datasets/{imported['id']}/samples"))
    answers(common.ListOf[datasets.Dataset], ok("GET", "/datasets"))
    answers(datasets.DatasetDeleted, ok("DELETE", f"/datasets/{imported['id']}"))


def test_generators_are_described(service: Any) -> None:
    listed = answers(common.ListOf[generation.Generator], service.ok("GET", "/generators"))["data"]
    by_name = {entry["name"]: entry for entry in listed}
    assert set(by_name) >= {"extractive_qa", "rag_qa", "self_instruct"}
    for name, entry in by_name.items():
        properties = entry["parameters"]["properties"]
        assert properties["type"]["const"] == name
        assert (properties["weight"]["minimum"], properties["weight"]["maximum"]) == (1, 1000)
        assert "builtin:wms" in properties["seed_tasks"]["examples"]
    assert by_name["extractive_qa"]["prompts"] == []
    (prompt,) = by_name["rag_qa"]["prompts"]
    assert prompt["id"].startswith("rag_qa@v")
    assert "{{" in prompt["template"]
