"""Events of a run: one JSON object a line on standard output, for whoever started the run."""

from __future__ import annotations

import io
import json
import sys
from typing import Any, TextIO

__all__ = ["Events"]


class Events:
    """Writes events; everything else in the process goes to standard error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @classmethod
    def take_stdout(cls, *, silent: bool = False) -> Events:
        """Keep the real standard output for events and point ``print`` at standard error: libraries print.

        Args:
            silent: Say nothing; of several processes one speaks for all.
        """
        stream, sys.stdout = sys.stdout, sys.stderr
        return cls(io.StringIO() if silent else stream)

    def emit(self, kind: str, message: str, data: dict[str, Any] | None = None, level: str = "info") -> None:
        """Write one event and flush it."""
        event = {"type": kind, "level": level, "message": message, "data": data}
        self._stream.write(json.dumps(event, ensure_ascii=False) + "\n")
        self._stream.flush()

    def say(self, message: str) -> None:
        """A plain message."""
        self.emit("message", message)
