"""The child that holds the chat model: started on demand, shared by all requests, unloaded when idle.

``ChatProcess`` runs ``python -m training serve`` and speaks JSON lines with it; torch never enters the service. Several
requests are under way at once; each is told its events through a function of its own, from the reader's thread.

Where training takes every GPU (there is one, or TRAIN_GPUS says so) the child holds the resource ``gpu`` under a lease:
while a job trains it is refused, and when a training job is queued it finishes what it is answering, takes no more, and
leaves the memory. On the CPU, and on a GPU that training leaves it, it answers beside the training.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.services.children import torch_environment
from app.services.context import Services
from app.services.devices import chat_environment, gpus
from app.services.training_command import process_count
from app.store.jobs import LostLeaseError
from app.store.leases import Leases, ResourceHeldError
from corpora.errors import MalmoiError, UnavailableError

__all__ = ["ChatProcess", "Limits", "Tell", "chat_process"]

logger = logging.getLogger("malmoi.chat")
Tell = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How long and how much."""

    idle_s: float = 600.0  #: Seconds without a request after which the model is unloaded.
    drain_s: float = 60.0  #: Seconds that answers may still take once a training job waits for the GPU.
    watch_s: float = 1.0  #: Seconds between two looks at the clock and the queue.
    under_way: int = 64  #: Requests at once; those beyond it are told to come again.


@dataclass(slots=True)
class _Child:
    """A running child and what it is asked."""

    process: subprocess.Popen[str]
    lease: str | None  #: Id of its lease on the GPU.
    open: dict[str, Tell] = field(default_factory=dict)  #: Requests under way.
    used_at: float = field(default_factory=time.monotonic)
    leaving_since: float | None = None  #: When it began to make room for a training job.


class ChatProcess:
    """Answers requests through one child; safe to share between threads. What its libraries say goes to ``log``."""

    def __init__(
        self,
        log: Path,
        *,
        leases: Leases | None = None,
        environ: dict[str, str] | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Nothing is started yet.

        Args:
            log: File of the child's standard error.
            leases: On the GPU, where training leaves it none of its own.
            environ: Added to the child's environment.
            limits: How long and how much.
        """
        self._log = log
        self._leases = leases
        self._environ = environ or {}
        self._limits = limits or Limits()
        self._ids = itertools.count(1)
        #: Held while a child starts or leaves; ``_lock`` only for moments.
        self._changing = threading.Lock()
        self._lock = threading.Lock()
        self._child: _Child | None = None

    def ask(self, request: dict[str, Any], tell: Tell) -> str:
        """Send a request; ``tell`` hears its events until ``end`` or ``error``.

        Args:
            request: As ``training.chat.answering.read_asked`` takes it, without an id.
            tell: Called from another thread; must not block.

        Returns:
            The id to ``cancel`` by.

        Raises:
            UnavailableError: training holds the GPU (``gpu_busy``), or too much is under way (``chat_busy``).
        """
        request_id = f"chat-{next(self._ids)}"
        with self._changing:
            child = self._running()
            with self._lock:
                if len(child.open) >= self._limits.under_way:
                    raise UnavailableError(
                        f"{len(child.open)} chats are under way, as many as are taken; ask again.", code="chat_busy"
                    )
                child.open[request_id] = tell
                child.used_at = time.monotonic()
                # Where the pipe is broken the reader ends, and tells every request that is open.
                _write(child, request | {"id": request_id})
        return request_id

    def cancel(self, request_id: str) -> None:
        """Stop answering; a request that is over is no mistake."""
        with self._lock:
            child = self._child
            if child is not None and child.open.pop(request_id, None) is not None:
                child.used_at = time.monotonic()
                _write(child, {"id": request_id, "cancel": True})

    @property
    def loaded(self) -> bool:
        """Whether a child is there."""
        return self._child is not None

    def close(self) -> None:
        """End the child; the next question starts another."""
        with self._changing:
            self._unload("the service is stopping")

    def _running(self) -> _Child:
        child = self._child
        if child is not None and child.process.poll() is not None:
            self._unload("the chat process ended")
            child = None
        if child is not None:
            if child.leaving_since is not None:
                raise _gpu_busy("A training job waits for the GPU")
            return child
        lease = self._lease()
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "training", "serve"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                env=torch_environment() | self._environ,
                # Ctrl-C in a terminal is for us: it ends an answer, not the model. The child ends with its input.
                start_new_session=True,
            )
        child = _Child(process, lease)
        self._child = child
        for target, name in ((self._read, "chat answers"), (self._watch, "chat watch")):
            threading.Thread(target=target, args=(child,), daemon=True, name=name).start()
        return child

    def _lease(self) -> str | None:
        if self._leases is None:
            return None
        try:
            return self._leases.take(f"chat-{os.getpid()}")
        except ResourceHeldError as exc:
            raise _gpu_busy(f"Training job '{exc.job_id}' has the GPU or waits for it") from exc

    def _read(self, child: _Child) -> None:
        """Hand the child's events to those who asked, until it ends."""
        assert child.process.stdout is not None
        for line in child.process.stdout:
            event = json.loads(line)
            with self._lock:
                over = event["type"] in ("end", "error")
                tell = child.open.pop(event["id"], None) if over else child.open.get(event["id"])
                child.used_at = time.monotonic()
            if tell is not None:
                tell(event)
        child.process.wait()
        self._fail_open(child, self._last_words(child))

    def _last_words(self, child: _Child) -> str:
        return f"The chat process ended with code {child.process.returncode}; ask again. Its log: {self._log}"

    def _fail_open(self, child: _Child, message: str, code: str = "chat_process_died") -> None:
        with self._lock:
            left, child.open = child.open, {}
        for request_id, tell in left.items():
            error = {"message": message, "code": code, "status": UnavailableError.status, "param": None, "hint": ""}
            tell({"id": request_id, "type": "error", "error": error})

    def _watch(self, child: _Child) -> None:
        """Renew the lease, make room for training, unload what nobody uses."""
        while child.process.poll() is None:
            time.sleep(self._limits.watch_s)
            try:
                reason = self._reason_to_leave(child)
            except LostLeaseError:
                reason = "its lease on the GPU was lost"
            except Exception:
                # A database that is away for a while is no reason to throw a model out.
                logger.exception("the chat process could not look after its lease")
                continue
            if reason is not None:
                with self._changing:
                    if self._child is child and self._may_leave(child):
                        self._unload(reason)
        with self._changing:
            if self._child is child:
                self._unload("it ended")

    def _reason_to_leave(self, child: _Child) -> str | None:
        now = time.monotonic()
        if child.lease is not None and self._leases is not None:
            self._leases.renew(child.lease)
            if child.leaving_since is None and self._leases.wanted():
                child.leaving_since = now
        if child.leaving_since is not None:
            over = now - child.leaving_since > self._limits.drain_s
            return "a training job waits for the GPU" if over or not child.open else None
        idle = not child.open and now - child.used_at > self._limits.idle_s
        return "nobody asks it" if idle else None

    def _may_leave(self, child: _Child) -> bool:
        """Whether what was found to leave for still holds: a request may have come in between."""
        idle = not child.open and time.monotonic() - child.used_at > self._limits.idle_s
        return idle or child.leaving_since is not None or child.lease is not None

    def _unload(self, reason: str) -> None:
        """End the child and only then let the GPU go: its memory is free by then. ``_changing`` is held."""
        with self._lock:
            child, self._child = self._child, None
        if child is None:
            return
        logger.info("unloading the chat model: %s", reason)
        if child.process.poll() is None:
            # Before it ends, or the reader would take it for dead.
            self._fail_open(child, f"The chat model was unloaded: {reason}. Ask again.", "chat_unloaded")
        assert child.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            child.process.stdin.close()
        try:
            child.process.wait(10)
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
        self._fail_open(child, self._last_words(child))
        if child.lease is not None and self._leases is not None:
            self._leases.give_back(child.lease)


def _write(child: _Child, line: dict[str, Any]) -> None:
    assert child.process.stdin is not None
    with contextlib.suppress(BrokenPipeError, ValueError):
        # In ASCII: half of a surrogate pair travels as an escape and is refused where messages are read.
        child.process.stdin.write(json.dumps(line) + "\n")
        child.process.stdin.flush()


def _gpu_busy(what: str) -> MalmoiError:
    return UnavailableError(
        f"{what}; chat answers again when training has ended.",
        code="gpu_busy",
        hint="Ask again later. Chat answers during training on a GPU of its own: give the machine a second one, and "
        "leave MALMOI_TRAIN_GPUS at auto or below their number.",
    )


def chat_process(services: Services) -> ChatProcess:
    """The chat process of a service, sharing the GPU with its jobs where those leave none to it."""
    usable = gpus()
    shared = 0 < len(usable) <= process_count(services.settings.train_gpus)
    leases = Leases(services.store, "gpu") if shared else None
    return ChatProcess(
        services.folder("logs") / "chat.log",
        leases=leases,
        environ=chat_environment(usable),
        limits=Limits(idle_s=services.settings.chat_idle_s),
    )
