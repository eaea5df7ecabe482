"""The guard as the last net: an unexpected error is answered, and the connection stays good."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from app.api.guard import LOOPBACK_HOSTS, Guard


async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
    """Fails, before or after the beginning of its answer."""
    if scope["path"] == "/late":
        headers = [(b"content-length", b"10")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise RuntimeError("비밀 세부 사항")


@pytest.fixture
def port() -> Iterator[int]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    guard = Guard(breaks, keys=(), allowed_hosts=(), max_body=1000)
    server = uvicorn.Server(uvicorn.Config(guard, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()
    listener.close()


def test_the_connection_outlives_an_unexpected_error(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.connect()
    first = connection.sock
    for _ in range(3):
        connection.request("POST", "/early", body=b"{}", headers={"Content-Type": "application/json"})
        response = connection.getresponse()
        error = json.loads(response.read())["error"]
        assert response.status == 500
        assert error["code"] == "internal_error"
        assert response.headers["X-Request-ID"] in error["message"]
        assert "비밀" not in error["message"]
        assert connection.sock is first
    connection.close()


def test_half_an_answer_is_not_taken_for_a_whole_one(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/late")
    with pytest.raises(http.client.IncompleteRead):
        connection.getresponse().read()
    connection.close()


def test_only_names_of_this_machine_are_loopback() -> None:
    assert {"127.0.0.1", "localhost", "::1"} == LOOPBACK_HOSTS
