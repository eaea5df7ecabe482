"""What the contract says of errors, ids, events and addresses, where a client would stumble over it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.acceptance.test_bad_input import GOOD, error_of, lines

RULES = {"type": "extractive_qa"}
CHAT = {"model": "malmoi-demo", "messages": [{"role": "user", "content": "도크란?"}]}


def new_corpus(service: Any) -> str:
    return str(service.ok("POST", "/corpora", json={"name": "계약"})["id"])


@pytest.fixture(scope="module")
def job(service: Any) -> dict[str, Any]:
    """A generation job that has ended twice, with an event for each time."""
    ended = service.generate(corpus_id=service.corpus(), generators=[{"type": "extractive_qa"}], target=1)
    service.ok("POST", f"/generation/jobs/{ended['id']}/resume", json={"target": 3})
    return dict(service.wait(f"/generation/jobs/{ended['id']}"))


# -- fields ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["corpus_\u0000", "corpus_\u001b[0m", "두\n줄", "  "])
@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/generation/jobs", {}, "corpus_id"),
        ("/generation/jobs", {}, "dataset_id"),
        ("/generation/jobs", {}, "model"),
        ("/fine_tuning/jobs", {"model": "malmoi-demo", "training_file": "file-1"}, "training_file"),
        ("/fine_tuning/jobs", {"model": "malmoi-demo", "training_file": "file-1"}, "validation_file"),
        ("/fine_tuning/jobs", {"model": "malmoi-demo", "training_file": "file-1"}, "model"),
        ("/fine_tuning/jobs", {"model": "malmoi-demo", "training_file": "file-1"}, "recipe"),
        ("/chat/completions", {"messages": [{"role": "user", "content": "안녕하세요?"}]}, "model"),
    ],
)
def test_identifiers_hold_no_control_characters(service: Any, path: str, body: Any, field: str, value: str) -> None:
    assert error_of(service.http.post(path, json=body | {field: value}))["param"] == field


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (
            "/fine_tuning/jobs",
            {"model": "malmoi-demo", "training_file": "f", "metadata": {"팀": "물\u0000류"}},
            "metadata",
        ),
        (
            "/generation/jobs",
            {"generators": [{"type": "self_instruct", "blocked_stems": ["그림\u0000"]}]},
            "generators",
        ),
    ],
)
def test_nul_deep_in_a_body(service: Any, path: str, body: Any, param: str) -> None:
    error = error_of(service.http.post(path, json=body))
    assert error["param"] == param
    assert "U+0000" in error["message"]


@pytest.mark.parametrize(
    ("path", "body", "param", "words"),
    [
        ("/corpora", {"name": "가" * 201}, "name", "at most 200 characters, not 201"),
        ("/corpora", {}, "name", "Field required"),
        ("/corpora/{corpus}/search", {"query": ""}, "query", "more than blanks"),
        ("/corpora/{corpus}/search", {"query": " \t\n"}, "query", "more than blanks"),
        ("/corpora/{corpus}/search", {"query": "도크", "k": 0}, "k", "greater than or equal to 1"),
        ("/corpora/{corpus}/documents", {"title": "도크", "text": "짐을\u0000 내린다"}, "text", "U+0000"),
        ("/corpora/{corpus}/documents", {"title": "도크", "text": " \n"}, "text", "more than blanks"),
        ("/corpora/{corpus}/documents", {"title": "도크"}, "text", "Field required"),
        ("/generation/jobs", {"target": 10**30}, "target", "10000000"),
        ("/generation/jobs", {"target": 10_000_001}, "target", "10000000"),
        ("/generation/jobs", {"generators": [RULES | {"weight": 1.5}]}, "generators.0.weight", "integer"),
        ("/generation/jobs", {"generators": [RULES | {"seed_tasks": "x"}]}, "generators.0.seed_tasks", "builtin:wms"),
        ("/chat/completions", CHAT | {"messages": [{"role": "user", "content": 3}]}, "messages.0.content", "string"),
        ("/chat/completions", CHAT | {"messages": []}, "messages", "at least 1 item"),
        ("/chat/completions", CHAT | {"seed": 2**63}, "seed", "less than or equal"),
    ],
)
def test_errors_name_their_field(service: Any, path: str, body: Any, param: str, words: str) -> None:
    path = path.replace("{corpus}", new_corpus(service))
    if path == "/generation/jobs":
        body = {"corpus_id": service.corpus()} | body
    error = error_of(service.http.post(path, json=body))
    assert error["param"] == param
    assert words in error["message"]
    assert param in error["message"]


@pytest.mark.parametrize("where", [("hyperparameters",), ("method", "supervised", "hyperparameters")])
@pytest.mark.parametrize(
    ("field", "value"), [("n_epochs", 0), ("n_epochs", "many"), ("batch_size", 1.5), ("learning_rate_multiplier", -1)]
)
def test_branches_of_a_union_are_no_fields(service: Any, where: tuple[str, ...], field: str, value: Any) -> None:
    nested: Any = {field: value}
    for name in reversed(where):
        nested = {name: nested}
    body = {"model": "malmoi-demo", "training_file": "file-1"} | nested
    error = error_of(service.http.post("/fine_tuning/jobs", json=body))
    assert error["param"] == ".".join([*where, field])
    assert "'auto'" in error["message"]


def test_infinite_numbers(service: Any) -> None:
    body = b'{"model": "malmoi-demo", "training_file": "f", "hyperparameters": {"learning_rate_multiplier": Infinity}}'
    response = service.http.post("/fine_tuning/jobs", content=body, headers={"content-type": "application/json"})
    assert error_of(response)["param"] == "hyperparameters.learning_rate_multiplier"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"name": "a",}', "not valid JSON"),
        (b"{", "at character 1"),
        (b'{"name": "\xff"}', "JSON in UTF-8"),
        (b"[" * 100_000, "JSON in UTF-8"),
    ],
)
def test_broken_json(service: Any, content: bytes, words: str) -> None:
    error = error_of(service.http.post("/corpora", content=content, headers={"content-type": "application/json"}))
    assert error["code"] == "invalid_json"
    assert error["param"] is None
    assert words in error["message"]


def test_broken_json_of_a_document(service: Any) -> None:
    path = f"/corpora/{new_corpus(service)}/documents"
    error = error_of(service.http.post(path, content=b'{"title": ', headers={"content-type": "application/json"}))
    assert (error["code"], error["param"]) == ("invalid_json", None)
    form = {"files": {"file": ("자료.jsonl", lines(GOOD))}, "data": {"curation": '{"a'}}
    error = error_of(service.http.post("/datasets", **form))
    assert (error["code"], error["param"]) == ("invalid_json", "curation")
    assert error["message"].startswith("'curation' is not valid JSON")


def test_bodies_of_the_wrong_kind(service: Any) -> None:
    for headers in ({"content-type": "text/plain"}, {}):
        error = error_of(service.http.post("/corpora", content=b'{"name": "c"}', headers=headers))
        assert error["code"] == "unsupported_content_type"
        assert "application/json" in error["message"]
    assert "JSON object" in error_of(service.http.post("/corpora", json=["c"]))["message"]
    assert "missing" in error_of(service.http.post("/corpora"))["message"]
    broken = service.http.post("/files", content=b"--x", headers={"content-type": "multipart/form-data"})
    error = error_of(broken)
    assert error["code"] == "invalid_multipart"
    assert "boundary" in error["message"]


# -- events ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", ["event-²", "event-" + "9" * 23, "event-", "event-1 or 1=1", "5", "event-999999999"])
def test_event_ids_that_are_none(service: Any, job: dict[str, Any], after: str) -> None:
    response = service.http.get(f"/generation/jobs/{job['id']}/events", params={"after": after})
    assert error_of(response)["param"] == "after"


def test_events_have_an_order(service: Any, job: dict[str, Any]) -> None:
    path = f"/generation/jobs/{job['id']}/events"
    newest = service.ok("GET", path)["data"]
    assert len(newest) >= 2
    assert all(re.fullmatch(r"event-\d+", event["id"]) for event in newest)
    assert service.ok("GET", f"{path}?order=asc")["data"] == newest[::-1]
    seen: list[Any] = []
    page: Any = {"has_more": True, "last_id": None}
    while page["has_more"]:
        after = {"after": page["last_id"]} if seen else {}
        page = service.ok("GET", path, params={"order": "asc", "limit": 1} | after)
        seen += page["data"]
    assert seen == newest[::-1]


def test_a_failed_fine_tuning_job_says_so_in_its_events(service: Any) -> None:
    file = service.client.files.create(file=("짧은.jsonl", lines(GOOD[:7])), purpose="fine-tune")
    started = service.client.fine_tuning.jobs.create(model="malmoi-demo", training_file=file.id)
    ended = service.wait(f"/fine_tuning/jobs/{started.id}")
    events = service.client.fine_tuning.jobs.list_events(started.id).data
    assert events[0].level == "error"
    assert events[0].message == ended["error"]["message"]
    assert events[0].data == {"code": "invalid_n_examples", "param": "training_file", "retryable": False}
    assert all(event.id.startswith("ftevent-") for event in events)
    bad = service.http.get(f"/fine_tuning/jobs/{started.id}/events", params={"after": "ftevent-²"})
    assert error_of(bad)["param"] == "after"


# -- documents and search ----------------------------------------------------------------------------------------------

DOCK = "도크란 차량이 짐을 내리는 자리를 말합니다."


def test_a_document_keeps_the_title_it_was_given(service: Any) -> None:
    path = f"/corpora/{new_corpus(service)}/documents"
    (document,) = service.ok("POST", path, json={"title": "도크 안내", "text": f"# 다른 제목\n\n{DOCK}"})["data"]
    assert document["title"] == "도크 안내"
    assert document["filename"] == "도크 안내.md"


def test_a_search_finds_only_what_has_something_in_common(service: Any) -> None:
    corpus_id = service.corpus(f"# 도크\n\n{DOCK}", "# 반품\n\n반품이란 고객이 물건을 되돌려 보내는 일입니다.")

    def found(query: str) -> list[Any]:
        return list(service.ok("POST", f"/corpora/{corpus_id}/search", json={"query": query})["data"])

    assert found("!!!") == []
    hits = found("도크")
    assert "도크" in hits[0]["chunk"]["text"]
    assert all(hit["score"] > 0 for hit in hits)


# -- idempotency and operations ----------------------------------------------------------------------------------------


def test_replayed_answers_say_so(service: Any) -> None:
    headers = {"Idempotency-Key": "계약-1".encode().hex()}
    path = f"/corpora/{new_corpus(service)}/documents"
    requests: list[Callable[[], httpx.Response]] = [
        lambda: service.http.post(path, json={"title": "도크", "text": DOCK}, headers=headers),
        lambda: service.http.post("/corpora", json={"name": "한 번"}, headers=headers),
    ]
    for request in requests:
        first, second = request(), request()
        assert (first.status_code, second.status_code) == (200, 200)
        assert "Idempotent-Replayed" not in first.headers
        assert second.headers["Idempotent-Replayed"] == "true"
        # A document is shown as it stands, and may have been read meanwhile.
        told = [answer.json() for answer in (first, second)]
        ids = [[entry["id"] for entry in answer["data"]] if "data" in answer else answer for answer in told]
        assert ids[0] == ids[1]


def test_an_empty_idempotency_key_is_none(service: Any) -> None:
    error = error_of(service.http.post("/corpora", json={"name": "c"}, headers={"Idempotency-Key": ""}))
    assert error["param"] == "Idempotency-Key"


def test_probes_answer_head(service: Any) -> None:
    for path in ("livez", "readyz"):
        response = httpx.head(f"{service.address}/{path}")
        assert (response.status_code, response.content) == (200, b"")


def test_only_this_machines_names_are_served(service: Any) -> None:
    assert error_of(service.http.get("/corpora", headers={"Host": "testserver"}), 421)["code"] == "host_not_allowed"


def test_docs_need_neither_key_nor_network(start_service: Any) -> None:
    service = start_service(MALMOI_API_KEYS="one")
    page = httpx.get(f"{service.address}/docs")
    assert page.status_code == 200
    assert "text/html" in page.headers["content-type"]
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", page.text)
    assets = re.findall(r'(?:src|href)="(/[^"]*)"', page.text)
    assert assets == ["/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"]
    for path in assets:
        asset = httpx.get(f"{service.address}{path}")
        assert asset.status_code == 200
        assert len(asset.content) > 100_000
    described = httpx.get(f"{service.address}/openapi.json").json()
    # Swagger UI learned OpenAPI 3.1 with its version 5.
    assert described["openapi"].startswith("3.1")
    version = re.search(r'PACKAGE_VERSION:"(\d+)\.', httpx.get(f"{service.address}{assets[1]}").text)
    assert version is not None
    assert int(version[1]) >= 5
    for path in ("/v1/corpora", "/docs/other", "/redoc"):
        assert httpx.get(f"{service.address}{path}").status_code == 401
    # What the Authorize button sends.
    scheme = described["components"]["securitySchemes"]["api_key"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert service.http.get("/corpora", headers={"Authorization": "Bearer one"}).status_code == 200
    browser = {"Authorization": "Bearer one", "Origin": service.address}
    assert service.http.get("/corpora", headers=browser).status_code == 200


def test_the_list_of_models_keeps_openais_shape(service: Any) -> None:
    assert set(service.ok("GET", "/models")) == {"object", "data"}
