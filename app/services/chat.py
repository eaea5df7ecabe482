"""Chat with a base or a fine-tuned model, through one child process that is started on demand.

``ChatProcess`` runs ``python -m training serve`` and speaks JSON lines with it; torch never enters the service. One
request is answered at a time; the child ends with the service (its standard input closes) and after idling.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.services.children import torch_environment
from app.services.context import Services
from app.services.models import chat_target
from corpora.errors import InvalidInputError, MalmoiError, UnavailableError

__all__ = ["ChatProcess", "ChatRequest", "complete"]

#: Seconds without a request after which the model is unloaded.
IDLE_S = 600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRequest:
    """One chat completion, checked."""

    model: str  #: Base or fine-tuned model.
    messages: list[dict[str, str]]  #: Conversation, last turn the user's.
    max_tokens: int  #: Most tokens to generate.
    temperature: float  #: 0 is greedy.
    top_p: float  #: Nucleus.
    seed: int | None = None  #: Makes sampling repeatable.
    stop: list[str] = field(default_factory=list)  #: Strings to end at.


class ChatProcess:
    """The child that holds the model; safe to share between threads. What its libraries say goes to ``log``."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._ids = itertools.count(1)
        self._idle: threading.Timer | None = None

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send one request and wait for its answer.

        Raises:
            UnavailableError: the child died while it answered.
            MalmoiError: the child reported an error.
        """
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            child = self._running()
            assert child.stdin is not None
            assert child.stdout is not None
            request_id = f"chat-{next(self._ids)}"
            try:
                child.stdin.write(json.dumps(request | {"id": request_id}, ensure_ascii=False) + "\n")
                child.stdin.flush()
                line = child.stdout.readline()
            except OSError:
                line = ""
            if not line:
                child.wait()
                self._child = None
                raise UnavailableError(
                    f"The chat process ended with code {child.returncode}; ask again. Its log: {self._log}",
                    code="chat_process_died",
                )
            self._idle = threading.Timer(IDLE_S, self.close)
            self._idle.daemon = True
            self._idle.start()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            error = answer["error"]
            if error.get("status", 500) < 500:
                raise InvalidInputError(error["message"], code=error.get("code"), param=error.get("param"))
            raise MalmoiError(error["message"], code=error.get("code"))
        return answer

    def _running(self) -> subprocess.Popen[str]:
        if self._child is None or self._child.poll() is not None:
            with self._log.open("ab") as log:
                self._child = subprocess.Popen(
                    [sys.executable, "-m", "training", "serve"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    encoding="utf-8",
                    env=torch_environment(),
                )
        return self._child

    def close(self) -> None:
        """End the child; the next question starts another."""
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None
        child.stdin.close()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        assert child.stdout is not None
        child.stdout.close()


def complete(services: Services, chat: ChatProcess, request: ChatRequest) -> dict[str, Any]:
    """A chat completion in OpenAI's shape.

    Raises:
        NotFoundError: there is no such model.
        UnavailableError: the model is not built yet.
    """
    target = chat_target(services, request.model)
    answer = chat.ask(
        {
            "model": {"base": target.base_path, "adapter": target.adapter_path, "recipe": target.recipe},
            "messages": request.messages,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": request.seed,
            "stop": request.stop,
        }
    )
    message = {"role": "assistant", "content": answer["text"], "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": answer["finish_reason"], "logprobs": None}
    prompt, completion = answer["prompt_tokens"], answer["completion_tokens"]
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request.model,
        "choices": [choice],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion},
    }
