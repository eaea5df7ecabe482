"""``python -m corpora.readers``: reads one document in a process of its own, with limits on memory, time and output.

A line of JSON on standard input (``name``, ``media_type``, ``memory``, ``seconds``), then the bytes; a line of JSON on
standard output: ``{"document": …}`` or ``{"error": …}``. The limits are set before a byte is parsed: libraries of
office formats are native code, and what a stranger sent may make them grow, hang or crash. Opens no connection.
"""

from __future__ import annotations

import json
import resource
import socket
import sys
from dataclasses import asdict
from typing import Any, NoReturn

from corpora.errors import MalmoiError
from corpora.readers import read_document


def _no_network(*_: object, **__: object) -> NoReturn:
    raise OSError("a parser opens no connection")


def _confine(memory: int, seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    # Readers work in memory: no file is written, no core is left.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    socket.socket = _no_network  # type: ignore[misc, assignment]


def main() -> int:
    """Read, answer, end."""
    asked = json.loads(sys.stdin.buffer.readline())
    _confine(asked["memory"], asked["seconds"])
    answer: dict[str, Any]
    try:
        answer = {"document": asdict(read_document(sys.stdin.buffer.read(), asked["name"], asked["media_type"]))}
    except MemoryError:
        message = f"'{asked['name']}' needs more than {asked['memory'] >> 20} MiB to be read; split it."
        answer = {"error": {"message": message, "code": "document_too_large", "hint": "", "extra": False}}
    except MalmoiError as exc:
        missing = type(exc).__name__ == "MissingExtraError"
        answer = {"error": {"message": exc.message, "code": exc.code, "hint": exc.hint, "extra": missing}}
    sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=True).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
