"""Chat over HTTP in this process, so that what reaches the chat process can be watched."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from app.main import create_app
from app.services.chat_process import ChatProcess, Tell
from app.services.context import Services, open_services
from app.settings import Settings
from app.store.leases import Leases
from corpora.bundled import MANUAL_DIR
from tests.tiny_base import build_tiny_base

BODY = {"model": "tiny", "messages": [{"role": "user", "content": "피킹이란?"}], "max_tokens": 900, "n": 8}


class Watched(ChatProcess):
    """The real chat process; what it is told is kept."""

    def __init__(self, log: Path, **more: Any) -> None:
        super().__init__(log, **more)
        self.events: list[str] = []
        self.cancelled: list[str] = []

    def ask(self, request: dict[str, Any], tell: Tell) -> str:
        def noted(event: dict[str, Any]) -> None:
            self.events.append(event["type"])
            tell(event)

        return super().ask(request, noted)

    def cancel(self, request_id: str) -> None:
        child = self._child
        if child is not None and request_id in child.open:
            self.cancelled.append(request_id)
        super().cancel(request_id)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    build_tiny_base(tmp_path / "models" / "tiny", MANUAL_DIR)
    services = open_services(Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models"))
    yield services
    services.store.dispose()


@pytest.fixture
def running(services: Services) -> Iterator[tuple[str, Watched]]:
    """Address of a served application and its chat process, which shares one GPU with the jobs."""
    app = create_app(services)
    process = Watched(services.folder("logs") / "chat.log", leases=Leases(services.store, "gpu"))
    app.state.chat = process
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/v1/chat/completions", process
    server.should_exit = True
    thread.join(30)


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_training_that_holds_the_gpu_is_told_of(services: Services, running: tuple[str, Watched]) -> None:
    address, process = running
    job = services.jobs.submit("train", {}, resources=["gpu"])
    answer = httpx.post(address, json=BODY)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    error = answer.json()["error"]
    assert error["code"] == "gpu_busy"
    assert job.id in error["message"]
    assert not process.loaded


@pytest.mark.long
def test_a_client_that_leaves_stops_its_generation(running: tuple[str, Watched]) -> None:
    address, process = running
    with httpx.stream("POST", address, json=BODY | {"stream": True}, timeout=60) as response:
        lines = response.iter_lines()
        assert next(lines).startswith("data: ")
    wait_until(lambda: len(process.cancelled) == 1)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(address, json=BODY, timeout=httpx.Timeout(60, read=0.3))
    wait_until(lambda: len(process.cancelled) == 2)
    assert "end" not in process.events
    # Both are gone from the child too: what is asked next is alone, and comes to its end.
    assert httpx.post(address, json=BODY | {"max_tokens": 2, "n": 1}, timeout=60).status_code == 200
    assert process.events[-1] == "end"
    assert process.cancelled == process.cancelled[:2]
