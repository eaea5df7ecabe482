"""Output files that appear whole at the end, or not at all: written beside their place and moved there.

``-`` is standard output; a pipe or a device is written into and never replaced. ``check_outputs`` refuses, before any
work, outputs that would replace one another, an input, or a folder.

Use::

    with WholeFiles() as outputs:
        kept = outputs.open(Path("train.jsonl"))
        kept.write(...)
        outputs.publish()       # without it nothing is replaced
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from corpora.errors import InvalidInputError, MalmoiError
from corpora.ids import new_id
from corpora.importers import printable

__all__ = ["STDOUT", "OutputError", "WholeFiles", "check_outputs", "is_stdout"]

#: Names standard output where an output file is asked for.
STDOUT = Path("-")
#: Other names of it that a shell's user may give.
_ALSO_STDOUT = frozenset({"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"})


class OutputError(MalmoiError):
    """An output could not be written; what lay there before is untouched."""

    code = "output_failed"
    hint = "Make room or choose another place, and run it again."


def is_stdout(path: Path) -> bool:
    """Whether an output of this name goes to standard output."""
    return path == STDOUT or str(path) in _ALSO_STDOUT


def check_outputs(outputs: Iterable[Path | None], inputs: Iterable[Path] = ()) -> None:
    """Refuse outputs that would do harm, before anything is done for them.

    Raises:
        InvalidInputError: two outputs are the same, one is an input, or one is a folder.
    """
    wanted = [path for path in outputs if path is not None]
    real = [STDOUT if is_stdout(path) else path.resolve() for path in wanted]
    if len(set(real)) < len(real):
        raise InvalidInputError("Two outputs have the same name.", param="output")
    read = {path.resolve() for path in inputs}
    for path, place in zip(wanted, real, strict=True):
        if place in read:
            raise InvalidInputError(f"{printable(str(path))} is an input; choose another output.", param="output")
        if place.is_dir():
            raise InvalidInputError(f"{printable(str(path))} is a folder; name a file.", param="output")


class WholeFiles:
    """Some output files of one run."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._open: list[tuple[IO[str], Path, Path]] = []
        self._pours: list[tuple[Any, Path]] = []

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
        """A new file that will replace ``target``: UTF-8, line feeds, readable from its start too.

        A link is followed and stays; standard output, a pipe or a device is written into at the end.
        """
        if is_stdout(target) or (target.exists() and not target.is_file()):
            return self._poured(target)
        target = target.resolve()
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

    def _poured(self, target: Path) -> IO[str]:
        file = tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n")  # noqa: SIM115 -- closed by the stack
        self._stack.callback(file.close)
        self._pours.append((file, target))
        return file

    def publish(self) -> None:
        """Move every file to its place, once all of them are safe on the disk."""
        for file, target in self._pours:
            file.flush()
            file.seek(0)
            if is_stdout(target):
                shutil.copyfileobj(file.buffer, sys.stdout.buffer)
                sys.stdout.buffer.flush()
            else:
                with target.open("wb") as out:
                    shutil.copyfileobj(file.buffer, out)
        for file, _, _ in self._open:
            file.flush()
            os.fsync(file.fileno())
        for _, temporary, target in self._open:
            if target.is_file():
                # As if written in place: what was private stays so.
                temporary.chmod(stat.S_IMODE(target.stat().st_mode))
            os.replace(temporary, target)
