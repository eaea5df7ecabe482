"""A generation job as it is watched: dry run, server-sent events, going on after a lost connection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import ENDED


def told(response: httpx.Response) -> Iterator[tuple[str, str | None, dict[str, Any]]]:
    """(event, id, data) of a stream."""
    name, event_id, data = "", None, ""
    for line in response.iter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "id":
            event_id = value
        elif field == "data":
            data = value
        elif not line and data:
            yield name, event_id, json.loads(data)
            name, event_id, data = "", None, ""


def stream(service: Any, job_id: str, last: str | None = None) -> list[tuple[str, str | None, dict[str, Any]]]:
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
    with service.http.stream("GET", f"/generation/jobs/{job_id}/events", headers=headers, timeout=200) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        return list(told(response))


def test_a_job_is_streamed_to_its_end(service: Any) -> None:
    job = service.ok("POST", "/generation/jobs", json={"corpus_id": service.corpus()})
    seen = stream(service, job["id"])
    events = [(event_id, body) for name, event_id, body in seen if name == "event"]
    jobs = [body for name, _, body in seen if name == "job"]
    assert jobs[-1]["status"] in ENDED
    listed = service.ok("GET", f"/generation/jobs/{job['id']}/events?order=asc&limit=100")["data"]
    assert [body for _, body in events] == listed
    assert [event_id for event_id, _ in events] == [body["id"] for body in listed]
    # Whoever comes back with the id of an event is told what follows it, and nothing twice.
    again = stream(service, job["id"], last=listed[0]["id"])
    assert [body for name, _, body in again if name == "event"] == listed[1:]


def test_a_stream_of_an_unknown_event_or_job(service: Any) -> None:
    job = service.generate(corpus_id=service.corpus())
    headers = {"Accept": "text/event-stream", "Last-Event-ID": "event-none"}
    response = service.http.get(f"/generation/jobs/{job['id']}/events", headers=headers)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "after")
    response = service.http.get("/generation/jobs/job_none/events", headers={"Accept": "text/event-stream"})
    assert response.status_code == 404


def test_a_dry_run_stores_nothing(service: Any) -> None:
    corpus_id = service.corpus()
    before = [service.ok("GET", path)["data"] for path in ("/datasets", "/generation/jobs")]
    body = {"corpus_id": corpus_id, "dry_run": True, "curation": {"speech_level": {"user": "mixed"}}}
    plan = service.ok("POST", "/generation/jobs", json=body)
    assert plan["object"] == "generation.dry_run"
    assert plan["plan"]["planned"] == sum(plan["plan"]["by_user_level"].values())
    assert plan["estimate"]["requests"] == 0
    assert [service.ok("GET", path)["data"] for path in ("/datasets", "/generation/jobs")] == before
    documents = service.ok("GET", f"/corpora/{corpus_id}/documents")["data"]
    assert not any(document["heldout"] for document in documents)
    # The job itself then does what the dry run said.
    job = service.generate(corpus_id=corpus_id, curation={"speech_level": {"user": "mixed"}})
    assert job["progress"]["planned"] == plan["plan"]["planned"]


@pytest.mark.long
def test_plain_questions_where_they_are_asked_for(service: Any) -> None:
    level = {"user": "plain", "assistant": "polite"}
    job = service.generate(corpus_id=service.corpus(), curation={"speech_level": level})
    samples = service.ok("GET", f"/datasets/{job['dataset_id']}/samples?status=accepted&limit=100")["data"]
    assert samples
    questions = [sample["messages"][0]["content"] for sample in samples]
    assert not any(question.rstrip("?").endswith(("요", "까")) for question in questions), questions
