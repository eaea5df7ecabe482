"""``service``: ``malmoi serve`` as a child process that never outlives its parent, however that one ends."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from app.demo.patience import DemoError

__all__ = ["service"]

#: Seconds that the service gets to stop by itself.
GRACE_S = 20.0


@contextlib.contextmanager
def service(data_dir: Path, log: Path) -> Iterator[str]:
    """A really started service on a free port; yields its address, stops it at the end.

    It takes no setting from this machine: neither a settings file nor a MALMOI_ variable may lead a demonstration to
    somebody's own database. It ends when its standard input closes, which even SIGKILL of this process brings about.

    Args:
        data_dir: Its data folder.
        log: File that takes what it says on standard error.

    Raises:
        DemoError: it did not start.
    """
    command = [sys.executable, "-m", "app.cli", "serve", "--isolated", "--exit-with-parent"]
    with log.open("wb") as errors:
        child = subprocess.Popen(
            [*command, "--port", "0", "--data-dir", str(data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        line = child.stdout.readline()
        if not line.startswith("malmoi: http"):
            child.wait()
            said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise DemoError(f"The service did not start; it said: {said[-1] if said else 'nothing'}")
        yield line.removeprefix("malmoi: ").strip()
    finally:
        child.stdin.close()
        try:
            child.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        child.stdout.close()
