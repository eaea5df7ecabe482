"""Documents of strangers, read in a process with limits: the service neither grows, hangs nor crashes with them.

Plain text and Markdown of ordinary size are read here, at once; everything else in ``python -m corpora.readers``, which
is killed when it exceeds memory, time or output. What came of it is a document or an error that says which limit it
was. A zip gives a document or an error for each member, and the one of which the parser dies does not take the others
along.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import IO, Any

from corpora.errors import MalmoiError, MissingExtraError, UnreadableDocumentError
from corpora.readers import Mark, ReadDocument, format_suffix, read_document
from corpora.readers.members import ArchiveMember

__all__ = ["is_archive", "parse_archive", "parse_document", "parsed_here"]

#: Formats whose readers are a few lines of ours.
_PLAIN = frozenset({".md", ".markdown", ".txt", ".text"})
#: Up to this many bytes they are read without a process: starting one takes longer than reading 150 manuals.
PLAIN_BYTES = 4 << 20
MEMORY_BYTES = 1 << 30
CPU_SECONDS = 60
#: Seconds to wait for a document, or for the next member of a zip.
WALL_SECONDS = 90
#: Bytes of the answer: 20 million characters as JSON, each up to six bytes, would be refused by the reader before.
OUTPUT_BYTES = 160 << 20
#: Parsers that one zip may use up.
MAX_PARSERS = 10


class _ParserEndedError(UnreadableDocumentError):
    """The parser ended before it had answered; ``code`` says why."""


def is_archive(name: str, media_type: str | None = None) -> bool:
    """Whether the file is a zip of documents."""
    return format_suffix(name, media_type) == ".zip"


def parsed_here(name: str, media_type: str | None, size: int) -> bool:
    """Whether a file of this name and size is read in this process: text and Markdown, and what nobody reads."""
    suffix = format_suffix(name, media_type)
    return not suffix or (suffix in _PLAIN and size <= PLAIN_BYTES)


def parse_document(data: bytes, name: str, media_type: str | None = None) -> ReadDocument:
    """Read a document without trusting it; a zip becomes one document of all its members.

    Raises:
        UnreadableDocumentError: it cannot be read; ``code`` says why, limits included: ``document_too_large`` (memory
            or output), ``parser_timeout``, ``parser_crashed``.
        MissingExtraError: the library for this format is not installed.
    """
    if parsed_here(name, media_type, len(data)):
        return read_document(data, name, media_type)
    for answer in _answers({"name": name, "media_type": media_type}, data):
        if "error" in answer:
            raise _error(answer["error"])
        return _document(answer["document"])
    raise UnreadableDocumentError(f"'{name}' cannot be read: the parser said nothing.", code="parser_crashed")


def parse_archive(data: bytes, name: str) -> Iterator[ArchiveMember]:
    """Read the members of a zip without trusting it, each as it comes.

    A member of which the parser dies is told as unreadable, and another parser goes on behind it.

    Raises:
        UnreadableDocumentError: the zip itself cannot be opened, or uses up ten parsers (``parser_timeout``); members
            that came before are good.
    """
    done: set[str] = set()
    characters = 0
    for _ in range(MAX_PARSERS):
        before, begun = len(done), ""
        asked = {"name": name, "media_type": None, "archive": {"skip": sorted(done), "characters": characters}}
        try:
            for answer in _answers(asked, data):
                if "error" in answer:
                    raise _error(answer["error"])
                if "begin" in answer:
                    begun = answer["begin"]
                    continue
                member = _member(answer["member"])
                done.add(member.name)
                characters += len(member.found.text) if isinstance(member.found, ReadDocument) else 0
                yield member
            return
        except _ParserEndedError as exc:
            if not begun:
                raise  # of the zip itself
            if exc.code == "parser_crashed" or len(done) == before:
                done.add(begun)
                yield ArchiveMember(name=begun, sha256=None, bytes=0, found=exc)
    raise UnreadableDocumentError(
        f"'{name}' takes too long: {len(done):,} of its files were read; split it.", code="parser_timeout"
    )


def _answers(asked: dict[str, Any], data: bytes) -> Iterator[dict[str, Any]]:
    """What a parser says, line by line.

    Raises:
        _ParserEndedError: it exceeded a limit or died.
    """
    head = asked | {"memory": MEMORY_BYTES, "seconds": CPU_SECONDS}
    with subprocess.Popen(
        [sys.executable, "-m", "corpora.readers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,
    ) as child:
        assert child.stdin is not None
        first = json.dumps(head, ensure_ascii=True).encode() + b"\n"
        writer = threading.Thread(target=_feed, args=(child.stdin, first, data), daemon=True)
        writer.start()
        name, room = str(asked["name"]), OUTPUT_BYTES
        try:
            while line := _line(child, name, room):
                room -= len(line)
                answer: dict[str, Any] = json.loads(line)
                name = answer.get("begin", name)
                yield answer
            child.wait()
            if child.returncode != 0:
                raise _ended(child, name)
        finally:
            child.kill()
            writer.join()


def _line(child: subprocess.Popen[bytes], name: str, room: int) -> bytes:
    """The next whole line, or nothing at the end."""
    assert child.stdout is not None
    expired = threading.Event()

    def stop() -> None:
        expired.set()
        child.kill()

    timer = threading.Timer(WALL_SECONDS, stop)
    timer.start()
    try:
        line = child.stdout.readline(room + 1)
    finally:
        timer.cancel()
    if expired.is_set():
        raise _too_slow(name)
    if len(line) > room:
        raise _ParserEndedError(f"'{name}' gives too much text; split it.", code="document_too_large")
    if line and not line.endswith(b"\n"):
        child.wait()
        raise _ended(child, name)
    return line


def _ended(child: subprocess.Popen[bytes], name: str) -> _ParserEndedError:
    if child.returncode == -signal.SIGXCPU:
        return _too_slow(name)
    how = signal.Signals(-child.returncode).name if child.returncode < 0 else f"code {child.returncode}"
    message = f"'{name}' cannot be read: the parser ended with {how}. It is damaged, or too large."
    return _ParserEndedError(message, code="parser_crashed")


def _too_slow(name: str) -> _ParserEndedError:
    return _ParserEndedError(f"'{name}' could not be read within {CPU_SECONDS} s; split it.", code="parser_timeout")


def _feed(pipe: IO[bytes], head: bytes, data: bytes) -> None:
    try:
        pipe.write(head)
        pipe.write(data)
        pipe.close()
    except BrokenPipeError:
        # The parser has ended already; what it said, or how it ended, is told.
        return


def _document(found: dict[str, Any]) -> ReadDocument:
    marks = tuple(Mark(**mark) for mark in found["marks"])
    return ReadDocument(**{**found, "warnings": tuple(found["warnings"]), "marks": marks})


def _member(told: dict[str, Any]) -> ArchiveMember:
    found = _document(told["document"]) if "document" in told else _error(told["error"])
    return ArchiveMember(name=told["name"], sha256=told["sha256"], bytes=told["bytes"], found=found)


def _error(told: dict[str, Any]) -> MalmoiError:
    if told["extra"]:
        return MissingExtraError("documents", told["message"].partition(" needs the extra ")[0])
    return UnreadableDocumentError(told["message"], code=told["code"], hint=told["hint"] or None)
