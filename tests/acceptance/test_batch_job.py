"""A generation job over the Batch API: killed while its batch is under way, collected later, paid once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.test_kill import accepted, wait_until, workers
from tests.integration.generators.batch_server import BatchServer, Json, answered
from tests.scripted_server import completion

BODY: dict[str, Any] = {
    "generators": [{"type": "rag_qa"}, {"type": "self_instruct", "seed_tasks": "builtin:wms", "rounds": 4}],
    "heldout_fraction": 0.0,
    "seed": 5,
    "budget": {"max_cost_usd": 5},
}


def reply(name: str, body: Json, _tries: int) -> Json:
    said = completion("scripted", body["messages"][-1]["content"], body["max_tokens"])
    usage = said["usage"]
    return answered(
        name,
        said["choices"][0]["message"]["content"],
        prompt_tokens=usage["prompt_tokens"],
        completion_tokens=usage["completion_tokens"],
    )


@pytest.fixture
def server() -> Iterator[BatchServer]:
    with BatchServer() as running:
        running.answer = reply
        running.polls = 1
        yield running
        running.shutdown()


@pytest.mark.long
def test_a_job_killed_while_its_batch_is_under_way_collects_it_and_pays_once(
    start_service: Any, server: BatchServer
) -> None:
    settings = {"MALMOI_MODEL_BASE_URL": server.url, "MALMOI_MODEL": "batch:gpt-4o-mini", "MALMOI_MODEL_API_KEY": "k"}
    calm = start_service("calm", **settings)
    undisturbed = calm.generate(corpus_id=calm.corpus(), **BODY)
    assert undisturbed["status"] == "succeeded"
    expected = accepted(calm, undisturbed["dataset_id"])
    assert expected
    calm.close()
    batches = len(server.batches)
    lines = sum(len(server.lines(batch)) for batch in server.batches)
    assert undisturbed["usage"]["requests"] == lines
    assert undisturbed["usage"]["cost_usd"] > 0

    server.polls = 10_000
    service = start_service("killed", **settings)
    job = service.ok("POST", "/generation/jobs", json=BODY | {"corpus_id": service.corpus()})
    path = f"/generation/jobs/{job['id']}"
    wait_until(lambda: len(server.batches) > batches)
    killed = workers(service.data_dir)
    assert killed
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    server.polls = 1
    ended = service.wait(path)
    assert ended["status"] == "succeeded"
    assert accepted(service, job["dataset_id"]) == expected
    # Not one line more than the undisturbed run: what the killed attempt had sent was collected.
    assert sum(len(server.lines(batch)) for batch in server.batches[batches:]) == lines
    assert ended["usage"]["requests"] == lines
    # Once for each of the two jobs.
    assert set(server.tries.values()) == {2}
