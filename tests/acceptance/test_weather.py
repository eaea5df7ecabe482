"""Bad weather at the model endpoint: nothing accepted is lost or doubled, every request and candidate is told."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import ENDED, MANUAL
from tests.acceptance.test_kill import workers
from tests.weather_server import WEATHERS

#: These are tried with every suite, the others with the long one.
ALWAYS = {"storm"}
BODY: dict[str, Any] = {
    "generators": [{"type": "rag_qa", "weight": 1}, {"type": "self_instruct", "weight": 1, "rounds": 4}],
    "heldout_fraction": 0.0,
    "seed": 3,
}


@dataclass
class Sky:
    """The running server and its log."""

    url: str
    log: Path

    def got(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def sky(tmp_path: Path) -> Iterator[Sky]:
    log = tmp_path / "weather.jsonl"
    log.touch()
    command = [sys.executable, "-m", "tests.weather_server", "--log", str(log), "--latency", "0.05"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Sky(f"http://127.0.0.1:{int(process.stdout.readline())}/v1", log)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def settings(sky: Sky, weather: str) -> dict[str, str]:
    return {
        "MALMOI_MODEL_BASE_URL": sky.url,
        "MALMOI_MODEL": weather,
        "MALMOI_MODEL_TIMEOUT_S": "2",
        "MALMOI_MODEL_DOWN_AFTER_S": "30",
    }


def accepted(service: Any, dataset_id: str) -> list[Any]:
    rows = service.ok("GET", f"/datasets/{dataset_id}/samples?status=accepted&limit=1000&order=asc")["data"]
    return [(row["slot"], row["messages"]) for row in rows]


def account(job: dict[str, Any], sky: Sky) -> None:
    """Every request that the server saw is in the books, under what it got, and nothing else is."""
    outcomes = job["requests_by_outcome"]
    assert job["usage"]["requests"] == len(sky.got()) == sum(outcomes.values())
    refused = sum(entry["got"] in ("limited", "limited-mute") for entry in sky.got())
    assert outcomes.get("http_429", 0) == refused


@pytest.mark.parametrize(
    "weather", [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.long) for name in WEATHERS]
)
def test_a_job_in_bad_weather_ends_honestly(start_service: Any, sky: Sky, weather: str) -> None:
    service = start_service(**settings(sky, weather))
    job = service.generate(corpus_id=service.corpus(), **BODY)
    assert job["status"] == "succeeded", job
    account(job, sky)
    samples = accepted(service, job["dataset_id"])
    assert len({json.dumps(messages, ensure_ascii=False) for _, messages in samples}) == len(samples)
    if weather in ("fair", "limited", "limited-mute", "broken", "closing", "hanging"):
        assert job["progress"]["failed"] == 0
        assert samples
    if weather in ("length", "shape", "empty", "english", "refusing"):
        assert any(reason.startswith(("malformed", "parse")) for reason in job["rejections"]), job["rejections"]
    if weather == "same":
        assert len(samples) <= 2
    if weather == "poison":
        assert samples


@pytest.mark.long
def test_a_budget_holds_in_a_storm(start_service: Any, sky: Sky) -> None:
    service = start_service(**settings(sky, "storm"))
    job = service.generate(corpus_id=service.corpus(), budget={"max_requests": 5}, target=500, **BODY)
    assert (job["status"], job["error"]["code"]) == ("incomplete", "budget_exhausted")
    assert len(sky.got()) <= 5
    account(job, sky)


def killed(service: Any, path: str, moments: list[float]) -> int:
    """Kill the job's worker at such a moment after it got on; returns how often it was.

    A job that is killed five times without getting on at all is given up, which is another promise.
    """
    times = decided = 0
    for moment in moments:
        deadline = time.monotonic() + 120
        while True:
            job = service.ok("GET", path)
            done = job["progress"]["done"] + job["progress"]["failed"]
            if job["status"] in ENDED:
                return times
            if done > decided:
                break
            assert time.monotonic() < deadline, job
            time.sleep(0.05)
        time.sleep(moment)
        decided = done
        found = workers(service.data_dir)
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        times += bool(found)
    return times


@pytest.mark.long
@pytest.mark.parametrize("kills", [2, 20])
def test_killed_at_random_moments(start_service: Any, sky: Sky, kills: int) -> None:
    """Same accepted samples as an undisturbed run, against weather that depends on request and try alone."""
    long = BODY | {"generators": [{"type": "rag_qa", "passes": 2}, {"type": "self_instruct", "rounds": 20 * kills}]}
    texts = [MANUAL, MANUAL.replace("냉장", "냉동"), MANUAL.replace("냉장", "위험물")]
    calm = start_service("calm", **settings(sky, "storm"))
    expected = calm.generate(corpus_id=calm.corpus(*texts), **long)
    samples = accepted(calm, expected["dataset_id"])
    assert samples
    calm.close()
    service = start_service("killed", **settings(sky, "storm"))
    job = service.ok("POST", "/generation/jobs", json=long | {"corpus_id": service.corpus(*texts)})
    path = f"/generation/jobs/{job['id']}"
    rng = random.Random(kills)
    assert killed(service, path, [rng.uniform(0.0, 0.3) for _ in range(kills)])
    ended = service.wait(path, timeout=400)
    assert (ended["status"], ended["progress"]["planned"]) == (expected["status"], expected["progress"]["planned"])
    assert accepted(service, job["dataset_id"]) == samples
