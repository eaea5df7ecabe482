"""What a kind of job is to the engine: a name, a parameter type and a function that returns an outcome."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic import BaseModel

from app.store.database import Store

__all__ = ["JobContext", "JobKind", "JobOutcome", "StopRequest", "load_kinds"]

StopRequest = Literal["cancel", "pause"]


@dataclass(frozen=True, kw_only=True, slots=True)
class JobOutcome:
    """How an attempt ended."""

    #: The job's status from now on; ``retry`` asks for another attempt, as if this process had died.
    status: Literal["succeeded", "incomplete", "failed", "cancelled", "paused", "retry"]
    result: dict[str, Any] | None = None  #: Kind-specific outcome.
    error: dict[str, Any] | None = None  #: code, message, hint, retryable.


@dataclass(frozen=True, kw_only=True)
class JobContext:
    """What a running job is handed."""

    store: Store  #: The opened store.
    settings: dict[str, Any]  #: The service's settings as plain values.
    job_id: str  #: The job.
    attempt: int  #: Number of this attempt; fences every write.
    stop: Callable[[], StopRequest | None]  #: What somebody asked for, as of the last heartbeat.
    log: Callable[[str, str, str, dict[str, Any] | None], None]  #: level, message, type, data.
    report: Callable[[dict[str, Any]], None]  #: Replaces the job's progress.
    advance: Callable[[], None]  #: Says that work was stored which a later attempt need not repeat.

    def should_stop(self) -> StopRequest | None:
        """``cancel`` or ``pause`` when somebody asked for it; a kind then returns within seconds."""
        return self.stop()

    def event(self, level: str, message: str, *, type: str = "message", data: dict[str, Any] | None = None) -> None:  # noqa: A002 -- OpenAI's name
        """Add a line to the job's log."""
        self.log(level, message, type, data)

    def advanced(self) -> None:
        """Say that work was stored which a later attempt need not repeat: earlier crashes are forgiven."""
        self.advance()

    def progress(self, progress: dict[str, Any]) -> None:
        """Replace the job's progress."""
        self.report(progress)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobKind:
    """A kind of job; what it needs is imported when one of it runs, so that no worker waits for the others'."""

    name: str  #: As job rows name it.
    load: Callable[[], tuple[type[BaseModel], Callable[[JobContext, Any], JobOutcome]]]  #: Its parameters and its run.

    @property
    def params(self) -> type[BaseModel]:
        """The type of its parameters."""
        return self.load()[0]

    @property
    def run(self) -> Callable[[JobContext, Any], JobOutcome]:
        """Runs one attempt."""
        return self.load()[1]


def load_kinds(path: str) -> dict[str, JobKind]:
    """The dictionary of kinds at ``module:name``; imported by name, so that the engine depends on no kind."""
    module, _, name = path.partition(":")
    return cast(dict[str, JobKind], getattr(importlib.import_module(module), name))
