"""The trainer's process: its words, its silence, its death, and what it is told. The children are real."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from app.services import training_process
from app.services.training_command import train_command
from app.services.training_process import Ended, TrainerRun, Wanted, run_trainer
from training import events as training_events

#: Says that it runs, then does what it is told on standard input, as the trainer's contract has it.
OBEDIENT = """
import json, sys
def say(kind, **data):
    event = {"type": kind, "level": "info", "message": "한국어", "data": data}
    print(json.dumps(event, ensure_ascii=False), flush=True)
say("message", ready=True)
for line in sys.stdin:
    if line == "pause\\n":
        say("paused", step=3)
        sys.exit(0)
sys.exit(1)
"""


def run(code: str, tmp_path: Path, wanted: Any = lambda: None) -> tuple[Ended, list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    asked = TrainerRun(
        command=[sys.executable, "-c", code], log=tmp_path / "trainer.log", wanted=wanted, on_event=events.append
    )
    return run_trainer(asked), events


def when_ready(events_seen: threading.Event, wish: Wanted) -> Any:
    return lambda: wish if events_seen.is_set() else None


def test_events_and_stray_lines(tmp_path: Path) -> None:
    code = """
import sys
print('{"type": "message", "message": "안녕하세요", "level": "info"}')
print('library says hello')
print('[1, 2]')
print('{"type": "half"}')
print('trouble', file=sys.stderr)
"""
    ended, events = run(code, tmp_path)
    assert ended.returncode == 0
    assert [event["message"] for event in events] == ["안녕하세요"]
    # Nothing that was printed is lost.
    assert sorted(ended.tail) == sorted(["library says hello", "[1, 2]", '{"type": "half"}', "trouble"])
    assert sorted((tmp_path / "trainer.log").read_text().splitlines()) == sorted(ended.tail)


def test_the_last_lines_of_the_dead(tmp_path: Path) -> None:
    code = """
import os, sys
for n in range(50):
    print(f'{n}번째 줄', file=sys.stderr, flush=True)
os.kill(os.getpid(), 9)
"""
    ended, _ = run(code, tmp_path)
    assert ended.signal_name == "SIGKILL"
    assert ended.tail == [f"{n}번째 줄" for n in range(30, 50)]


@pytest.mark.parametrize(("code", "name"), [(0, None), (1, None), (2, None), (-9, "SIGKILL"), (-11, "SIGSEGV")])
def test_signals(code: int, name: str | None) -> None:
    assert Ended(returncode=code).signal_name == name


#: One process of a launch: reads what the first may read, and is killed when input ends, as by the memory guard.
PROBE = """
import json, os, signal, time
def say(message):
    print(json.dumps({"type": "message", "message": message}), flush=True)
if os.environ["RANK"] == "0":
    say("ready")
    say(os.read(0, 100).decode())
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(60)
"""


@pytest.mark.long
def test_a_launch_hears_its_orders_and_names_its_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "__init__.py").touch()
    (tmp_path / "training" / "__main__.py").write_text(PROBE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    events: list[str] = []
    ended = run_trainer(
        TrainerRun(
            command=train_command(tmp_path / "config.json", 2),
            log=tmp_path / "trainer.log",
            wanted=lambda: "pause" if events else None,
            on_event=lambda event: events.append(event["message"]),
        )
    )
    assert events == ["ready", "pause\n"]
    assert (ended.returncode, ended.signal_name) == (1, "SIGKILL")


#: Of two processes the second one's memory runs out; the first knows nothing of it and waits.
SECOND_RUNS_OUT = """
import os, sys, time
from training.events import Events
rank = os.environ["RANK"]
events = Events.take_stdout(silent=rank != "0")
events.emit("message", f"{rank}번 프로세스")
if rank == "1":
    time.sleep(1)
    data = {"code": "out_of_memory", "retryable": True, "hint": "다시", "param": None}
    events.emit("error", "메모리가 모자랍니다", data, "error")
    sys.exit(1)
time.sleep(60)
"""


@pytest.mark.long
def test_any_process_of_a_launch_may_say_why_it_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "__init__.py").touch()
    (tmp_path / "training" / "__main__.py").write_text(SECOND_RUNS_OUT, encoding="utf-8")
    (tmp_path / "training" / "events.py").write_bytes(Path(training_events.__file__).read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    events: list[dict[str, Any]] = []
    asked = TrainerRun(
        command=train_command(tmp_path / "config.json", 2),
        log=tmp_path / "trainer.log",
        wanted=lambda: None,
        on_event=events.append,
    )
    ended = run_trainer(asked)
    assert (ended.returncode, ended.signal_name) == (1, None)
    assert [event["message"] for event in events] == ["0번 프로세스", "메모리가 모자랍니다"]
    assert events[1]["data"]["retryable"]


def test_a_pause_is_a_line_and_a_cancel_the_end_of_input(tmp_path: Path) -> None:
    for wish, returncode, last in (("pause", 0, "paused"), ("cancel", 1, "message")):
        ready = threading.Event()
        events: list[dict[str, Any]] = []

        def take(event: dict[str, Any], ready: threading.Event = ready, events: list[Any] = events) -> None:
            events.append(event)
            ready.set()

        ended = run_trainer(
            TrainerRun(
                command=[sys.executable, "-c", OBEDIENT],
                log=tmp_path / "trainer.log",
                wanted=lambda ready=ready, wish=wish: wish if ready.is_set() else None,  # type: ignore[misc]
                on_event=take,
            )
        )
        assert (ended.returncode, events[-1]["type"]) == (returncode, last)


def test_a_pause_that_takes_too_long_ends_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_process, "PAUSE_GRACE_S", 0.3)
    monkeypatch.setattr(training_process, "GRACE_S", 0.3)
    deaf = "import time\nwhile True: time.sleep(1)"
    ended, _ = run(deaf, tmp_path, lambda: "pause")
    assert ended.signal_name == "SIGKILL"


def test_a_cancel_does_not_wait_for_a_pause(tmp_path: Path) -> None:
    wishes: list[Wanted] = ["pause"]
    slow = "import sys\nfor line in sys.stdin: pass\nsys.exit(7)"  # hears the pause and takes its time
    threading.Timer(0.8, lambda: wishes.__setitem__(0, "cancel")).start()
    began = time.monotonic()
    ended, _ = run(slow, tmp_path, lambda: wishes[0])
    assert ended.returncode == 7
    assert time.monotonic() - began < training_process.PAUSE_GRACE_S / 2


def test_a_broken_event_handler_leaves_no_child(tmp_path: Path) -> None:
    pid: list[int] = []

    def fail(event: dict[str, Any]) -> None:
        pid.append(event["data"]["pid"])
        raise RuntimeError("the store is gone")

    code = (
        "import json, os, time\n"
        "print(json.dumps({'type': 'message', 'message': 'm', 'data': {'pid': os.getpid()}}), flush=True)\n"
        "time.sleep(600)"
    )
    asked = TrainerRun(
        command=[sys.executable, "-c", code], log=tmp_path / "trainer.log", wanted=lambda: None, on_event=fail
    )
    with pytest.raises(RuntimeError, match="the store is gone"):
        run_trainer(asked)
    assert not Path(f"/proc/{pid[0]}").exists()
