"""``malmoi`` as its user meets it: settings that keep their secrets, one line for each failure, nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.demo.road import DemoError, run_demo

MALMOI = (sys.executable, "-m", "app.cli")


def malmoi(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [*MALMOI, *arguments]
    environment = os.environ | environ
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=120, check=False)


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def processes_naming(folder: Path) -> list[int]:
    """Ids of all processes, zombies apart, that name ``folder`` on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if str(folder).encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_settings_show_no_password(tmp_path: Path) -> None:
    ended = malmoi("settings", cwd=tmp_path, MALMOI_DATABASE_URL="postgresql+psycopg://u:geheim@h/db")
    assert ended.returncode == 0, ended.stderr
    assert "DATABASE_URL = postgresql+psycopg://u:**********@h/db  [environment]" in ended.stdout
    assert "geheim" not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("arguments", "database_url", "code", "words"),
    [
        (["--config", "nope.toml"], None, 2, "nope.toml"),
        ([], "nonsense", 2, "DATABASE_URL"),
        ([], "postgresql+psycopg://u:geheim@127.0.0.1:{port}/db", 1, "cannot be opened"),
    ],
)
def test_failures_of_serve_are_one_line(
    tmp_path: Path, arguments: list[str], database_url: str | None, code: int, words: str
) -> None:
    environ = {} if database_url is None else {"MALMOI_DATABASE_URL": database_url.format(port=free_port())}
    ended = malmoi("serve", "--port", "0", "--data-dir", "d", *arguments, cwd=tmp_path, **environ)
    assert ended.returncode == code, ended.stderr
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("malmoi: ")
    assert words in ended.stderr
    assert "geheim" not in ended.stderr


def test_settings_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    ended = malmoi("settings", "--config", "nope.toml", cwd=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)


def test_a_service_ends_when_the_pipe_from_its_parent_closes(tmp_path: Path) -> None:
    command = [*MALMOI, "serve", "--isolated", "--exit-with-parent", "--port", "0", "--data-dir", str(tmp_path / "d")]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        assert child.stdout.readline().startswith(b"malmoi: http")
        assert child.poll() is None
        child.stdin.close()
        # As after SIGTERM: it stopped in order, which is its exit code's sense.
        assert child.wait(60) in (0, -signal.SIGTERM)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A demonstration in a folder whose settings would lead it to somebody's database, out of its first step."""
    (tmp_path / "malmoi.toml").write_text(f'database_url = "sqlite:///{tmp_path}/theirs.db"\n', encoding="utf-8")
    child = subprocess.Popen(
        [*MALMOI, "demo", "--output", str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"MALMOI_DATABASE_URL": f"sqlite:///{tmp_path}/theirs.db", "MALMOI_WORKERS": "nonsense"},
    )
    assert child.stdout is not None
    assert child.stderr is not None
    yield child
    child.kill()
    child.wait()
    child.stdout.close()
    child.stderr.close()
    until(lambda: not processes_naming(tmp_path), 60)


@pytest.mark.parametrize(
    "how", [signal.SIGTERM, *(pytest.param(how, marks=pytest.mark.long) for how in (signal.SIGINT, signal.SIGKILL))]
)
def test_a_stopped_demonstration_leaves_no_process_and_no_trace_elsewhere(
    demo: subprocess.Popen[str], tmp_path: Path, how: signal.Signals
) -> None:
    assert demo.stdout is not None
    assert demo.stderr is not None
    assert demo.stdout.readline().startswith("[1/6]")
    # The service and, before long, the worker that indexes the manual.
    until(lambda: len(processes_naming(tmp_path)) >= 3)
    demo.send_signal(how)
    assert demo.wait(60) == (-how if how == signal.SIGKILL else 1)
    if how != signal.SIGKILL:
        assert demo.stderr.read() == "malmoi: stopped\n"
    until(lambda: not processes_naming(tmp_path), 60)
    assert not (tmp_path / "theirs.db").exists()
    assert len(list((tmp_path / "out").glob("*/data/malmoi.db"))) == 1


def test_a_demonstration_that_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("여기에는 파일이 있습니다.", encoding="utf-8")
    ended = malmoi("demo", "--output", "out", cwd=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)


def test_a_demonstration_that_fails_says_where_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho '창고 문이 잠겼습니다.' >&2\nexit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(DemoError, match="did not start; it said: 창고 문이 잠겼습니다") as caught:
        run_demo(tmp_path / "out")
    (run,) = (tmp_path / "out").iterdir()
    assert str(run / "service.log") in caught.value.hint
    assert "Run the demonstration again" in caught.value.hint
    assert (run / "service.log").read_text(encoding="utf-8") == "창고 문이 잠겼습니다.\n"


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_whole_demonstration(tmp_path: Path) -> None:
    ended = subprocess.run(
        [*MALMOI, "demo", "--output", "out"], capture_output=True, text=True, cwd=tmp_path, timeout=1700, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    source = ended.stdout.partition("원문의 답: ")[2].splitlines()[0]
    # The smoke-test model answers a question of its training word for word, and stops by itself.
    assert f"학습 후 (stop): {source}\n" in ended.stdout
    assert [int(step) for step in re.findall(r"^\[([1-6])/6\]", ended.stdout, re.M)] == [1, 2, 3, 4, 5, 6]
    until(lambda: not processes_naming(tmp_path), 30)
