"""Kinds of job that only tests know; the worker imports them by name, as it does the real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel

from app.jobs.kinds import JobContext, JobKind, JobOutcome
from corpora.errors import InvalidInputError


class Params(BaseModel):
    """What the tests ask."""

    folder: Path
    times: int = 1


def echo(context: JobContext, params: Params) -> JobOutcome:
    context.progress({"half": 1})
    context.event("info", "안녕하세요", data={"attempt": context.attempt})
    return JobOutcome(status="succeeded", result={"times": params.times})


def wait(context: JobContext, params: Params) -> JobOutcome:
    """Runs until told to stop, with a child of its own; leaves a file per attempt."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (params.folder / f"attempt-{context.attempt}").write_text(f"{os.getpid()} {child.pid}")
    while True:
        wanted = context.should_stop()
        if wanted is not None:
            return JobOutcome(status="paused" if wanted == "pause" else "cancelled")
        time.sleep(0.05)


def die(context: JobContext, params: Params) -> JobOutcome:
    """Is killed in its first ``times`` attempts."""
    if context.attempt <= params.times:
        os.kill(os.getpid(), signal.SIGKILL)
    return JobOutcome(status="succeeded", result={"attempt": context.attempt})


def refuse(context: JobContext, params: Params) -> JobOutcome:
    raise InvalidInputError("그런 창고는 없습니다.", param="folder")


def break_(context: JobContext, params: Params) -> JobOutcome:
    raise ZeroDivisionError("뜻밖의 일")


def kind(name: str, run: Callable[[JobContext, Params], JobOutcome]) -> JobKind:
    return JobKind(name=name, load=lambda: (Params, run))


KINDS = {
    name: kind(name, run)
    for name, run in {"echo": echo, "wait": wait, "die": die, "refuse": refuse, "break": break_}.items()
}
