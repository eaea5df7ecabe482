"""A pause loses no reply and a resume asks nothing again; a job in which nothing could run has not succeeded."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from tests.acceptance.test_kill import BODY, Endpoint, accepted, endpoint, endpoint_settings, wait_until

__all__ = ["endpoint"]


@pytest.mark.long
def test_a_pause_with_requests_on_the_wire_pays_nothing_twice(start_service: Any, endpoint: Endpoint) -> None:
    settings = endpoint_settings(endpoint, "scripted-slow") | {"MALMOI_MODEL_CONCURRENCY": "2"}
    service = start_service(**settings)
    job = service.ok("POST", "/generation/jobs", json=BODY | {"corpus_id": service.corpus(), "target": 400})
    path = f"/generation/jobs/{job['id']}"
    wait_until(lambda: service.ok("GET", path)["progress"]["accepted"] >= 1)
    service.ok("POST", f"{path}/pause")
    paused = service.wait(path)
    assert paused["status"] == "paused"
    assert paused["requests_by_outcome"].get("unsettled", 0) == 0
    # It stays so: nobody sends anything meanwhile.
    sent = len(endpoint.requests())
    time.sleep(1)
    assert len(endpoint.requests()) == sent
    # A top-up of two: what was cached in the pause is used, nothing is asked again.
    service.ok("POST", f"{path}/resume", json={"target": paused["progress"]["accepted"] + 2})
    ended = service.wait(path)
    assert ended["status"] in ("succeeded", "incomplete")
    assert max(Counter(endpoint.requests()).values()) == 1
    assert ended["usage"]["requests"] == len(endpoint.requests())
    assert len(accepted(service, job["dataset_id"])) == ended["progress"]["accepted"]


@pytest.mark.long
def test_a_job_in_which_nothing_ran_is_incomplete_and_can_be_tried_again(
    start_service: Any,
    endpoint: Endpoint,
) -> None:
    service = start_service(**endpoint_settings(endpoint, "scripted-small"))
    job = service.generate(corpus_id=service.corpus(), generators=[{"type": "rag_qa"}], heldout_fraction=0)
    assert job["status"] == "incomplete"
    assert job["error"]["code"] == "all_slots_failed"
    assert "context_too_small" in job["error"]["message"]
    planned = job["progress"]["planned"]
    assert job["progress"]["failed"] == planned
    service.ok("POST", f"/generation/jobs/{job['id']}/resume")
    again = service.wait(f"/generation/jobs/{job['id']}")
    # The same slots once more, behind those that are decided.
    assert again["progress"]["planned"] == 2 * planned
    assert again["progress"]["failed"] == 2 * planned
    events = service.ok("GET", f"/generation/jobs/{job['id']}/events")["data"]
    assert any(event["level"] == "warn" and "all_slots_failed" in event["message"] for event in events)
