"""SIGKILL in the middle: the same samples as an undisturbed run, no request sent twice, no process left over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Slots that may run side by side, hence requests that may be in flight when the process dies.
WINDOW = 8


class Endpoint:
    """The scripted model server as a process, with its log of requests."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / f"requests-{time.monotonic_ns()}.log"
        self.log.touch()
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "scripted_server.py"), "--port", "0", "--log", str(self.log)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().strip().rsplit(":", 1)[-1].rsplit(" ", 1)[-1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def requests(self) -> list[str]:
        return self.log.read_text().splitlines()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    server = Endpoint(tmp_path)
    yield server
    server.close()


def workers(data_dir: Path) -> list[int]:
    """Process ids of workers and trainers that belong to this data folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
            environment = (entry / "environ").read_bytes().decode(errors="replace")
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue
        if ("app.jobs.worker" in command or "\0training\0" in command) and str(data_dir) in command + environment:
            found.append(int(entry.name))
    return found


def wait_until(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


BODY = {
    "generators": [{"type": "rag_qa"}, {"type": "self_instruct", "seed_tasks": "builtin:wms"}],
    "target": 14,
    "heldout_fraction": 0.0,
    "seed": 11,
}


def accepted(service: Any, dataset_id: str) -> list[Any]:
    rows = service.ok("GET", f"/datasets/{dataset_id}/samples?status=accepted&limit=1000&order=asc")["data"]
    return [(row["slot"], row["messages"]) for row in rows]


def endpoint_settings(endpoint: Endpoint, model: str = "scripted") -> dict[str, str]:
    return {"MALMOI_MODEL_BASE_URL": endpoint.url, "MALMOI_MODEL": model, "MALMOI_MODEL_API_KEY": "k"}


@pytest.mark.parametrize("victim", ["worker", pytest.param("service", marks=pytest.mark.long)])
def test_killed_in_mid_generation(start_service: Any, endpoint: Endpoint, victim: str) -> None:
    settings = endpoint_settings(endpoint, "scripted-slow")
    # Two services, two uploads: ids differ, and still the samples are the same to the last character.
    calm = start_service("calm", **settings)
    undisturbed = calm.generate(corpus_id=calm.corpus(), **BODY)
    assert undisturbed["status"] in ("succeeded", "incomplete")
    expected = accepted(calm, undisturbed["dataset_id"])
    assert expected
    calm.close()
    before = len(endpoint.requests())

    service = start_service("killed", **settings)
    job = service.ok("POST", "/generation/jobs", json=BODY | {"corpus_id": service.corpus()})
    path = f"/generation/jobs/{job['id']}"
    wait_until(lambda: service.ok("GET", path)["progress"]["accepted"] >= 3)
    data_dir = service.data_dir
    if victim == "worker":
        killed = workers(data_dir)
        assert killed
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
    else:
        service.kill()
        wait_until(lambda: not workers(data_dir), 20)
        service = start_service("killed", **settings)
    ended = service.wait(path)
    assert ended["status"] == undisturbed["status"]
    assert accepted(service, job["dataset_id"]) == expected
    repeated = Counter(endpoint.requests()[before:])
    assert sum(count - 1 for count in repeated.values()) <= WINDOW  # those in flight, and no others
    assert max(repeated.values()) <= 2
    service.close()
    wait_until(lambda: not workers(data_dir), 20)


@pytest.mark.long
def test_both_generators_against_a_scripted_endpoint(start_service: Any, endpoint: Endpoint) -> None:
    service = start_service(**endpoint_settings(endpoint))
    job = service.generate(corpus_id=service.corpus(), **BODY)
    assert job["usage"]["requests"] == len(endpoint.requests())
    rows = service.ok("GET", f"/datasets/{job['dataset_id']}/samples?limit=1000")["data"]
    kept = [row for row in rows if row["status"] == "accepted"]
    assert {row["provenance"]["generator"] for row in kept} == {"rag_qa", "self_instruct"}
    for row in kept:
        if row["provenance"]["generator"] == "rag_qa":
            assert row["provenance"]["chunk_ids"]
            assert row["provenance"]["spans"]
        else:
            assert row["provenance"]["seed_ids"]
        assert row["provenance"]["prompt"]


@pytest.mark.long
def test_budget_is_never_exceeded(start_service: Any, endpoint: Endpoint) -> None:
    service = start_service(**endpoint_settings(endpoint))
    body = BODY | {"target": 500, "budget": {"max_requests": 3}, "generators": [{"type": "self_instruct"}]}
    job = service.generate(**body)
    assert job["status"] == "incomplete"
    assert job["error"]["code"] == "budget_exhausted"
    assert len(endpoint.requests()) <= 3
    sent = len(endpoint.requests())
    service.ok("POST", f"/generation/jobs/{job['id']}/resume", json={"budget": {"max_requests": 5}})
    job = service.wait(f"/generation/jobs/{job['id']}")
    assert sent <= len(endpoint.requests()) <= 5


@pytest.mark.parametrize(
    ("model", "code"), [("scripted-refuse-key", "key_refused"), ("scripted-quota", "quota_exhausted")]
)
def test_endpoint_that_refuses_pauses_the_job(start_service: Any, endpoint: Endpoint, model: str, code: str) -> None:
    service = start_service(**endpoint_settings(endpoint, model))
    job = service.generate(corpus_id=service.corpus(), generators=[{"type": "rag_qa"}], heldout_fraction=0)
    assert job["status"] == "paused"
    assert job["error"]["code"] == code


@pytest.mark.long
def test_endpoint_that_answers_nonsense(start_service: Any, endpoint: Endpoint) -> None:
    service = start_service(**endpoint_settings(endpoint, "scripted-nonsense"))
    job = service.generate(corpus_id=service.corpus(), generators=[{"type": "rag_qa"}], heldout_fraction=0)
    assert job["status"] in ("succeeded", "incomplete", "paused", "failed")
    assert job["progress"]["accepted"] == 0
    assert job["rejections"] or job["error"]


@pytest.mark.long
def test_endpoint_that_is_down(start_service: Any) -> None:
    down = {"MALMOI_MODEL_BASE_URL": "http://127.0.0.1:9/v1", "MALMOI_MODEL_DOWN_AFTER_S": "3"}
    service = start_service(MALMOI_MODEL="any", **down)
    job = service.generate(corpus_id=service.corpus(), generators=[{"type": "rag_qa"}], heldout_fraction=0)
    assert job["status"] == "paused"
    assert job["error"]["code"] == "endpoint_down"


@pytest.mark.long
def test_cancel_keeps_what_was_accepted(start_service: Any, endpoint: Endpoint) -> None:
    service = start_service(**endpoint_settings(endpoint, "scripted-slow"))
    job = service.ok("POST", "/generation/jobs", json=BODY | {"corpus_id": service.corpus(), "target": 400})
    path = f"/generation/jobs/{job['id']}"
    wait_until(lambda: service.ok("GET", path)["progress"]["accepted"] >= 1)
    service.ok("POST", f"{path}/cancel")
    ended = service.wait(path)
    assert ended["status"] == "cancelled"
    assert len(accepted(service, job["dataset_id"])) == ended["progress"]["accepted"] >= 1
    messages = [event["message"] for event in service.ok("GET", f"{path}/events")["data"]]
    assert messages
