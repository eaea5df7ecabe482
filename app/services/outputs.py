"""Output files that appear whole at the end, or not at all: written beside their place and moved there.

Use::

    with WholeFiles() as outputs:
        kept = outputs.open(Path("train.jsonl"))
        kept.write(...)
        outputs.publish()       # without it nothing is replaced
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO

from corpora.errors import MalmoiError
from corpora.ids import new_id
from corpora.importers import printable

__all__ = ["OutputError", "WholeFiles"]


class OutputError(MalmoiError):
    """An output could not be written; what lay there before is untouched."""

    code = "output_failed"
    hint = "Make room or choose another place, and run it again."


class WholeFiles:
    """Some output files of one run."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._open: list[tuple[IO[str], Path, Path]] = []

    def __enter__(self) -> WholeFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything and remove what was not published."""
        self._stack.close()
        if isinstance(exc, OSError):
            raise OutputError(f"An output cannot be written: {exc.strerror or exc}.") from exc

    def open(self, target: Path) -> IO[str]:
        """A new file that will replace ``target``: UTF-8, line feeds, readable from its start too."""
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            # Not mkstemp: its files are their owner's alone. The kernel applies the umask to these.
            temporary = target.parent / f".{new_id('malmoi')}"
            handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except OSError as exc:
            raise OutputError(f"{printable(str(target))} cannot be written: {exc.strerror}.") from exc
        self._stack.callback(temporary.unlink, missing_ok=True)
        file = os.fdopen(handle, "w+", encoding="utf-8", newline="\n")
        self._stack.callback(file.close)
        self._open.append((file, temporary, target))
        return file

    def spool(self, beside: Path) -> IO[str]:
        """A nameless file for what is sorted out at the end, on the same disk as ``beside``."""
        try:
            beside.parent.mkdir(parents=True, exist_ok=True)
            file = tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n", dir=beside.parent)  # noqa: SIM115 -- closed by the stack
        except OSError as exc:
            raise OutputError(f"{printable(str(beside))} cannot be written: {exc.strerror}.") from exc
        self._stack.callback(file.close)
        return file

    def publish(self) -> None:
        """Move every file to its place, once all of them are safe on the disk."""
        for file, _, _ in self._open:
            file.flush()
            os.fsync(file.fileno())
        for _, temporary, target in self._open:
            if target.is_file():
                # As if written in place: what was private stays so.
                temporary.chmod(stat.S_IMODE(target.stat().st_mode))
            os.replace(temporary, target)
