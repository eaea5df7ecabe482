"""Checkpoints that can be trusted: sealed when whole, checked before a run goes on from one.

A kill or a power cut in mid-write leaves a folder that looks like a checkpoint. So a seal, written last and atomically,
names every file with its length and sha256; a folder without a seal that fits is no checkpoint. Knows nothing of what
the files hold.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SEAL", "Torn", "discard", "fault_of", "newest_checkpoint", "retired", "seal", "sealed_checkpoints"]

#: The file that makes a folder a checkpoint.
SEAL = "complete.json"


@dataclass(frozen=True, slots=True)
class Torn:
    """A folder that is no checkpoint any more."""

    name: str  #: As it stood in its parent.
    fault: str  #: What is wrong with it, in Korean, for the events of the run.


def _step(path: Path) -> int:
    return int(path.name.rpartition("-")[2])


def _folders(parent: Path) -> list[Path]:
    """Folders called ``checkpoint-<step>``, the oldest first."""
    named = [path for path in parent.glob("checkpoint-*") if path.is_dir() and path.name[11:].isdecimal()]
    return sorted(named, key=_step)


def _flush(path: Path) -> None:
    """Force a file or a folder's entries to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def seal(folder: Path) -> None:
    """Declare a checkpoint whole: every file on the disk first, then the seal, by rename."""
    files = {}
    for path in sorted(folder.rglob("*")):
        _flush(path)
        if path.is_file() and path != folder / SEAL:
            files[path.relative_to(folder).as_posix()] = {"bytes": path.stat().st_size, "sha256": _digest(path)}
    temporary = folder / f"{SEAL}.tmp"
    with temporary.open("w", encoding="utf-8") as handle:
        json.dump({"files": files}, handle, indent=1, ensure_ascii=False)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(temporary, folder / SEAL)
    _flush(folder)
    _flush(folder.parent)


def fault_of(folder: Path) -> str | None:
    """What keeps a folder from being a whole checkpoint, in Korean; None when nothing does. Reads every file."""
    try:
        files = json.loads((folder / SEAL).read_text(encoding="utf-8"))["files"]
        noted = {name: (int(entry["bytes"]), str(entry["sha256"])) for name, entry in files.items()}
    except FileNotFoundError:
        return "저장이 끝나기 전에 멈추었습니다"
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return f"{SEAL} 파일을 읽을 수 없습니다"
    faults = (_file_fault(folder, name, size, digest) for name, (size, digest) in noted.items())
    return next((fault for fault in faults if fault is not None), None)


def _file_fault(folder: Path, name: str, size: int, digest: str) -> str | None:
    path = folder / name
    try:
        found = path.stat().st_size
        if found != size:
            return f"{name} 파일의 길이가 {size:,}바이트가 아니라 {found:,}바이트입니다"
        return None if _digest(path) == digest else f"{name} 파일의 내용이 저장할 때와 다릅니다"
    except FileNotFoundError:
        return f"{name} 파일이 없습니다"
    except OSError as exc:
        return f"{name} 파일을 읽을 수 없습니다({exc.strerror})"


def newest_checkpoint(parent: Path) -> tuple[Path | None, list[Torn]]:
    """The newest whole checkpoint, and the torn ones that were newer.

    Torn folders are removed: they would count among the checkpoints to keep and push out a whole one.
    """
    torn: list[Torn] = []
    for folder in reversed(_folders(parent)):
        fault = fault_of(folder)
        if fault is None:
            return folder, torn
        torn.append(Torn(folder.name, fault))
        shutil.rmtree(folder)
    return None, torn


def sealed_checkpoints(parent: Path) -> list[tuple[int, Path]]:
    """Step and folder of every sealed checkpoint, the oldest first; contents are not read again."""
    return [(_step(folder), folder) for folder in _folders(parent) if (folder / SEAL).is_file()]


def retired(parent: Path, keep: int, best: int | None) -> list[tuple[int, Path]]:
    """Step and folder of sealed checkpoints that are too many: all but the newest ``keep`` and the best."""
    found = sealed_checkpoints(parent)
    return [(step, folder) for step, folder in found[: max(0, len(found) - keep)] if step != best]


def discard(folder: Path) -> None:
    """Remove a checkpoint, its seal first: cut short, it is no checkpoint any more."""
    (folder / SEAL).unlink(missing_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
