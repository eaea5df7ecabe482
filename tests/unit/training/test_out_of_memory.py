"""Memory that runs out is told from other faults, and remembered for the next attempt. The faults are real."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from training.errors import BaseModelError
from training.oom import ran_out
from training.pieces import PIECES_FILE, forget_pieces, halve, note_pieces, read_pieces

#: More bytes than any machine has.
TOO_MANY = 1 << 50


def error_of(work: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:
        work()
    return caught.value


def loaded() -> None:
    try:
        torch.empty(TOO_MANY)
    except RuntimeError as exc:
        raise BaseModelError("The base cannot be loaded.") from exc


@pytest.mark.parametrize(
    "work",
    [
        lambda: torch.empty(TOO_MANY),
        lambda: torch.zeros(1).expand(TOO_MANY).contiguous(),
        lambda: np.empty(TOO_MANY, dtype=np.uint8),
        lambda: bytearray(TOO_MANY),
        loaded,
    ],
)
def test_real_faults_of_the_cpu(work: Callable[[], object]) -> None:
    assert ran_out(error_of(work))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("could not create a primitive"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_faults_of_others(error: Exception) -> None:
    assert ran_out(error)


@pytest.mark.parametrize(
    "work",
    [
        lambda: torch.ones(2, 3) @ torch.ones(2, 3),
        lambda: torch.ones(2).view(3),
        lambda: Path("/그런/곳은/없다").read_bytes(),
    ],
)
def test_other_faults_are_not_taken_for_it(work: Callable[[], object]) -> None:
    assert not ran_out(error_of(work))
    assert not ran_out(None)


def test_pieces_are_remembered(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert read_pieces(folder) == 1
    assert [halve(folder), halve(folder)] == [2, 4]
    note_pieces(folder, 16)
    assert read_pieces(folder) == 16
    # A file that is no file of ours costs an attempt, no more.
    for broken in ("", "[]", '{"pieces": null}', '{"pieces": -3}'):
        (folder / PIECES_FILE).write_text(broken, encoding="utf-8")
        assert read_pieces(folder) == 1
    forget_pieces(folder)
    forget_pieces(folder)
    assert list(folder.iterdir()) == []


#: Two processes of one run, whose standard output is the same pipe: the first tells all, the second why it failed.
PROCESSES = """
import sys, time
from training.events import Events
first = sys.argv[1] == "0"
events = Events.take_stdout(silent=not first)
print("라이브러리의 말")
for number in range(200):
    events.emit("message", f"{number}번째 소식 " + "가" * 200)
    if not first and number % 20 == 0:
        events.emit("error", "메모리가 모자랍니다. " * 500, {"code": "out_of_memory", "retryable": True}, "error")
"""


def test_of_several_processes_each_may_say_why_it_failed(tmp_path: Path) -> None:
    read, write = os.pipe()
    children = [
        subprocess.Popen([sys.executable, "-c", PROCESSES, rank], stdout=write, stderr=subprocess.DEVNULL)
        for rank in ("0", "1")
    ]
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as told:
        events = [json.loads(line) for line in told]
    assert [child.wait() for child in children] == [0, 0]
    messages = [event["message"] for event in events if event["type"] == "message"]
    assert [message.split("번째")[0] for message in messages] == [str(number) for number in range(200)]
    errors = [event for event in events if event["type"] == "error"]
    assert len(errors) == 10
    assert errors[0]["data"] == {"code": "out_of_memory", "retryable": True}
    # As much of the message as keeps the line in one piece.
    assert 1000 < len(json.dumps(errors[0], ensure_ascii=False).encode()) <= 4096
