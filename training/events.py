"""Events of a run: one JSON object a line on standard output, for whoever started the run.

Of several processes that share an output one speaks for all; why it failed, each may say.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, TextIO

__all__ = ["Events"]

#: Bytes that a pipe takes in one piece on Linux, so that the lines of two processes never mix.
ATOMIC_BYTES = 4096


class Events:
    """Writes events; everything else in the process goes to standard error."""

    def __init__(self, stream: TextIO, *, silent: bool = False) -> None:
        self._stream = stream
        self._silent = silent

    @classmethod
    def take_stdout(cls, *, silent: bool = False) -> Events:
        """Keep the real standard output for events and point ``print`` at standard error: libraries print.

        Args:
            silent: Say nothing but errors; of several processes one speaks for all.
        """
        stream, sys.stdout = sys.stdout, sys.stderr
        return cls(stream, silent=silent)

    def emit(self, kind: str, message: str, data: dict[str, Any] | None = None, level: str = "info") -> None:
        """Write one event and flush it."""
        if self._silent:
            # Whoever waits hears of no other process's failure than by its own word: the launcher tells only a number.
            if kind == "error":
                self._write_at_once(kind, message, data, level)
            return
        self._stream.write(_line(kind, message, data, level))
        self._stream.flush()

    def say(self, message: str) -> None:
        """A plain message."""
        self.emit("message", message)

    def _write_at_once(self, kind: str, message: str, data: dict[str, Any] | None, level: str) -> None:
        """In one call, with as much of the message as a pipe takes in one piece."""
        line = _line(kind, message, data, level).encode()
        while len(line) > ATOMIC_BYTES and message:
            message = message[: len(message) * 3 // 4]
            line = _line(kind, message, data, level).encode()
        os.write(self._stream.fileno(), line)


def _line(kind: str, message: str, data: dict[str, Any] | None, level: str) -> str:
    return json.dumps({"type": kind, "level": level, "message": message, "data": data}, ensure_ascii=False) + "\n"
