"""Documents of strangers, read in a process with limits: the service neither grows, hangs nor crashes with them.

Plain text and Markdown are read here, at once; every other format in ``python -m corpora.readers``, which is killed
when it exceeds memory, time or output. What came of it is a document or an error that says which limit it was.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import PurePath
from typing import IO, Any

from corpora.errors import MalmoiError, MissingExtraError, UnreadableDocumentError
from corpora.readers import Mark, ReadDocument, read_document

__all__ = ["parse_document"]

#: Formats whose readers are a few lines of ours.
_PLAIN = frozenset({".md", ".markdown", ".txt", ".text"})
MEMORY_BYTES = 1 << 30
CPU_SECONDS = 60
WALL_SECONDS = 90
#: Bytes of the answer: 20 million characters as JSON, each up to six bytes, would be refused by the reader before.
OUTPUT_BYTES = 160 << 20


def parse_document(data: bytes, name: str, media_type: str | None = None) -> ReadDocument:
    """Read a document without trusting it.

    Raises:
        UnreadableDocumentError: it cannot be read; ``code`` says why, limits included: ``document_too_large`` (memory
            or output), ``parser_timeout``, ``parser_crashed``.
        MissingExtraError: the library for this format is not installed.
    """
    suffix = PurePath(name.replace("\0", "")).suffix.lower()
    if suffix in _PLAIN or (not suffix and (media_type or "text/").startswith("text/")):
        return read_document(data, name, media_type)
    asked = {"name": name, "media_type": media_type, "memory": MEMORY_BYTES, "seconds": CPU_SECONDS}
    with subprocess.Popen(
        [sys.executable, "-m", "corpora.readers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,
    ) as child:
        answer = _talk(child, json.dumps(asked, ensure_ascii=True).encode() + b"\n", data, name)
    return _document(answer, name)


def _talk(child: subprocess.Popen[bytes], head: bytes, data: bytes, name: str) -> dict[str, Any]:
    assert child.stdin is not None
    assert child.stdout is not None
    expired = threading.Event()

    def stop() -> None:
        expired.set()
        child.kill()

    timer = threading.Timer(WALL_SECONDS, stop)
    timer.start()
    writer = threading.Thread(target=_feed, args=(child.stdin, head, data), daemon=True)
    writer.start()
    try:
        said = child.stdout.read(OUTPUT_BYTES + 1)
        if len(said) > OUTPUT_BYTES:
            child.kill()
            raise UnreadableDocumentError(f"'{name}' gives too much text; split it.", code="document_too_large")
        child.wait()
    finally:
        timer.cancel()
        child.kill()
        writer.join()
    if expired.is_set() or child.returncode == -signal.SIGXCPU:
        raise UnreadableDocumentError(
            f"'{name}' could not be read within {CPU_SECONDS} s; split it.", code="parser_timeout"
        )
    if child.returncode != 0:
        how = signal.Signals(-child.returncode).name if child.returncode < 0 else f"code {child.returncode}"
        raise UnreadableDocumentError(
            f"'{name}' cannot be read: the parser ended with {how}. It is damaged, or too large.", code="parser_crashed"
        )
    answer: dict[str, Any] = json.loads(said)
    return answer


def _feed(pipe: IO[bytes], head: bytes, data: bytes) -> None:
    try:
        pipe.write(head)
        pipe.write(data)
        pipe.close()
    except BrokenPipeError:
        # The parser has ended already; what it said, or how it ended, is told.
        return


def _document(answer: dict[str, Any], name: str) -> ReadDocument:
    error = answer.get("error")
    if error is None:
        found = answer["document"]
        marks = tuple(Mark(**mark) for mark in found.pop("marks"))
        return ReadDocument(**{**found, "warnings": tuple(found["warnings"]), "marks": marks})
    if error["extra"]:
        raise MissingExtraError("documents", f"Reading '{name}'")
    kind: type[MalmoiError] = UnreadableDocumentError
    raise kind(error["message"], code=error["code"], hint=error["hint"] or None)
