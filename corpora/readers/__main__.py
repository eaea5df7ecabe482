"""``python -m corpora.readers``: reads documents in a process of its own, with limits on memory, time and output.

A line of JSON on standard input (``name``, ``media_type``, ``memory``, ``seconds``), then the bytes; one line of JSON
on standard output: ``{"document": …}`` or ``{"error": …}``. With ``archive`` (``{"skip": […], "characters": n}``) the
bytes are a zip, and each member gives two lines: ``{"begin": name}``, then ``{"member": …}`` with its document or
error. The limits are set before a byte is parsed: libraries of office formats are native code, and what a stranger
sent may make them grow, hang or crash. Opens no connection.
"""

from __future__ import annotations

import ctypes
import json
import resource
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, NoReturn

from corpora.errors import MalmoiError
from corpora.readers import ReadDocument, read_document

#: <sched.h>
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000


def _no_network(*_: object, **__: object) -> NoReturn:
    raise OSError("a parser opens no connection")


def leave_network() -> bool:
    """Move this process into a network namespace of its own, where nothing can be reached; False where it may not.

    Native code of a parser is held by it too. Root may do it at once, others in a user namespace of their own, unless
    the kernel is told not to allow that; then only Python's own sockets are closed off.
    """
    unshare = getattr(ctypes.CDLL(None, use_errno=True), "unshare", None)
    if unshare is None:
        return False
    return any(unshare(flags) == 0 for flags in (CLONE_NEWNET, CLONE_NEWUSER | CLONE_NEWNET))


def _confine(memory: int, seconds: int) -> None:
    leave_network()
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    # Readers work in memory: no file is written, no core is left.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    socket.socket = _no_network  # type: ignore[misc, assignment]


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=True).encode() + b"\n")
    sys.stdout.buffer.flush()


def _told(found: ReadDocument | MalmoiError) -> dict[str, Any]:
    if isinstance(found, ReadDocument):
        return {"document": asdict(found)}
    missing = type(found).__name__ == "MissingExtraError"
    return {"error": {"message": found.message, "code": found.code, "hint": found.hint, "extra": missing}}


def _members(asked: dict[str, Any], data: bytes) -> Iterator[dict[str, Any]]:
    from corpora.readers.members import read_archive

    archive = asked["archive"]
    found = read_archive(
        data,
        asked["name"],
        skip=frozenset(archive["skip"]),
        characters=archive["characters"],
        begin=lambda name: _say({"begin": name}),
    )
    for member in found:
        about = {"name": member.name, "sha256": member.sha256, "bytes": member.bytes}
        yield {"member": about | _told(member.found)}


def main() -> int:
    """Read, answer, end."""
    asked = json.loads(sys.stdin.buffer.readline())
    _confine(asked["memory"], asked["seconds"])
    try:
        data = sys.stdin.buffer.read()
        if asked.get("archive") is None:
            _say(_told(read_document(data, asked["name"], asked["media_type"])))
        else:
            for answer in _members(asked, data):
                _say(answer)
    except MemoryError:
        message = f"'{asked['name']}' needs more than {asked['memory'] >> 20} MiB to be read; split it."
        _say({"error": {"message": message, "code": "document_too_large", "hint": "", "extra": False}})
    except MalmoiError as exc:
        _say(_told(exc))
    return 0


if __name__ == "__main__":
    sys.exit(main())
