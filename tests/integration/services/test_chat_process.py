"""The real chat process on a tiny model: what it does while training wants the GPU, when idle, and when it dies."""

from __future__ import annotations

import os
import queue
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.services.chat_process import ChatProcess, Limits
from app.store.database import open_store
from app.store.jobs import JobStore
from app.store.leases import Leases, ResourceHeldError
from corpora.bundled import MANUAL_DIR
from corpora.errors import UnavailableError
from tests.tiny_base import build_tiny_base

QUICK = Limits(watch_s=0.05)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_base(tmp_path_factory.mktemp("models") / "tiny", MANUAL_DIR)


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[JobStore]:
    store = open_store(None, tmp_path / "data")
    yield JobStore(store)
    store.dispose()


@pytest.fixture
def started(tmp_path: Path, jobs: JobStore) -> Iterator[Callable[[Limits], ChatProcess]]:
    """Chat processes that share one GPU with the jobs."""
    made: list[ChatProcess] = []

    def start(limits: Limits) -> ChatProcess:
        process = ChatProcess(tmp_path / "chat.log", leases=Leases(jobs._store, "gpu"), limits=limits)
        made.append(process)
        return process

    yield start
    for process in made:
        process.close()


class Asked:
    """A request and what is told of it."""

    def __init__(self, process: ChatProcess, base: Path, **more: Any) -> None:
        self._inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        model = {"base": str(base), "adapter": None, "recipe": "demo"}
        messages = [{"role": "user", "content": "피킹이란 무엇인가요?"}]
        request = {"model": model, "messages": messages, "max_tokens": 4, "temperature": 0}
        self.id = process.ask(request | more, self._inbox.put)

    def until(self, *kinds: str) -> dict[str, Any]:
        while True:
            event = self._inbox.get(timeout=120)
            if event["type"] in kinds:
                return event


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_free(jobs: JobStore) -> bool:
    """Whether nobody holds the GPU."""
    leases = Leases(jobs._store, "gpu")
    try:
        leases.give_back(leases.take("somebody else"))
    except ResourceHeldError:
        return False
    return True


def test_training_gets_the_gpu_once_the_answers_are_out(
    started: Callable[[Limits], ChatProcess], jobs: JobStore, base: Path
) -> None:
    process = started(QUICK)
    answering = Asked(process, base, max_tokens=400)
    answering.until("start")
    training = jobs.submit("train", {}, resources=["gpu"])
    assert jobs.claim("worker", ["train"]) is None
    wait_until(lambda: process._child is None or process._child.leaving_since is not None)
    with pytest.raises(UnavailableError) as caught:
        Asked(process, base)
    assert (caught.value.code, caught.value.status) == ("gpu_busy", 503)
    assert answering.until("end", "error")["type"] == "end"
    wait_until(lambda: not process.loaded)
    wait_until(lambda: jobs.claim("worker", ["train"]) is not None)
    with pytest.raises(UnavailableError, match=training.id):
        Asked(process, base)


@pytest.mark.long
def test_an_answer_too_long_to_wait_for_is_cut_short(
    started: Callable[[Limits], ChatProcess], jobs: JobStore, base: Path
) -> None:
    process = started(Limits(watch_s=0.05, drain_s=0.2))
    answering = Asked(process, base, max_tokens=100_000, logit_bias={"1": -100, "2": -100})
    answering.until("start")
    jobs.submit("train", {}, resources=["gpu"])
    assert answering.until("end", "error")["error"]["code"] == "chat_unloaded"
    wait_until(lambda: jobs.claim("worker", ["train"]) is not None)


@pytest.mark.long
def test_a_dead_child_is_told_of_and_an_idle_one_leaves(
    started: Callable[[Limits], ChatProcess], jobs: JobStore, base: Path
) -> None:
    process = started(Limits(watch_s=0.05, idle_s=1.0))
    answering = [Asked(process, base, max_tokens=900) for _ in range(2)]
    answering[0].until("start")
    assert process._child is not None
    os.kill(process._child.process.pid, signal.SIGKILL)
    for asked in answering:
        assert asked.until("end", "error")["error"]["code"] == "chat_process_died"
    again = Asked(process, base)
    assert again.until("end", "error")["type"] == "end"
    wait_until(lambda: not process.loaded)
    wait_until(lambda: is_free(jobs))
    assert Asked(process, base).until("end", "error")["type"] == "end"


@pytest.mark.long
def test_a_cancelled_request_frees_its_place(started: Callable[[Limits], ChatProcess], base: Path) -> None:
    process = started(Limits(watch_s=0.05, under_way=1))
    first = Asked(process, base, max_tokens=900)
    with pytest.raises(UnavailableError) as caught:
        Asked(process, base)
    assert caught.value.code == "chat_busy"
    process.cancel(first.id)
    assert Asked(process, base).until("end", "error")["type"] == "end"
