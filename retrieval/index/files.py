"""Index folders on disk: written whole or not at all, and known by their manifest. No pickle.

A folder is filled under a temporary name beside its own, every file and folder is forced to the disk, then it is
renamed. Whoever dies before leaves a temporary folder that the next writer sweeps; a lock on it, which ends with its
process, tells the dead from the living. Knows files and hashes, not what is in them::

    with whole_folder(path) as temporary:
        (temporary / "vectors.faiss").write_bytes(...)
        seal(temporary, Manifest(...))
    manifest = open_sealed(path)          # BrokenIndexError says what differs
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from corpora.errors import MalmoiError

__all__ = [
    "MANIFEST",
    "BrokenIndexError",
    "Manifest",
    "content_hash",
    "open_sealed",
    "seal",
    "whole_file",
    "whole_folder",
]

MANIFEST = "manifest.json"
FORMAT = 2
#: Files are hashed in blocks of this size by two threads. What is looked for is damage, not malice: XXH3 reads as fast
#: as the memory, SHA-256 took half of the time of loading.
BLOCK = 16 * 2**20
#: Read at a time, so that a block is hashed while it is in the processor's cache.
PIECE = 2**20


class BrokenIndexError(MalmoiError):
    """The index on disk cannot be read or is another one; it is a cache and can be rebuilt."""

    code = "broken_index"
    hint = "Delete the file; the next index job builds it again from the store."


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What an index folder holds."""

    fingerprint: str  #: Of the embedder that made the vectors.
    dimension: int  #: Length of a vector.
    count: int  #: Rows.
    content: str  #: ``content_hash`` of their ids.
    vectors: dict[str, Any]  #: How the vectors are searched, with the measured recall.
    files: dict[str, list[int | str]] = field(default_factory=dict)  #: Size and hash of each file, by name.
    format: int = FORMAT  #: Of the folder.

    def to_bytes(self) -> bytes:
        """JSON in one canonical form, with its own hash in the last line."""
        state = dataclasses.asdict(self)
        state["seal"] = hashlib.sha256(_canonical(state)).hexdigest()
        return _canonical(state)


def _canonical(state: dict[str, Any]) -> bytes:
    return (json.dumps(state, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode("utf-8")


def content_hash(ids: Iterable[int]) -> str:
    """SHA-256 of the sorted ids, each as eight bytes, little end first."""
    numbers = np.sort(np.fromiter(ids, dtype="<i8"))
    return hashlib.sha256(numbers.tobytes()).hexdigest()


def seal(folder: Path, manifest: Manifest) -> None:
    """Hash every file in ``folder`` and write the manifest beside them."""
    found: dict[str, list[int | str]] = {path.name: list(_measured(path)) for path in sorted(folder.iterdir())}
    (folder / MANIFEST).write_bytes(dataclasses.replace(manifest, files=found).to_bytes())


def open_sealed(folder: Path) -> Manifest:
    """The manifest of ``folder``, every file in it being as it was written.

    Raises:
        BrokenIndexError: something is missing, added or different; the message says what.
    """
    path = folder / MANIFEST
    try:
        raw = path.read_bytes()
        state = json.loads(raw)
        state.pop("seal")
        manifest = Manifest(**state)
        whole = manifest.to_bytes() == raw
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
        raise BrokenIndexError(f"{path} cannot be read as a manifest: {exc}") from exc
    if not whole:
        raise BrokenIndexError(f"{path} was changed after it was written.")
    if manifest.format != FORMAT:
        raise BrokenIndexError(f"{path} is of format {manifest.format}; this version reads {FORMAT}.")
    try:
        present = {entry.name for entry in folder.iterdir()} - {MANIFEST}
        if present != set(manifest.files):
            odd = ", ".join(sorted(present ^ set(manifest.files)))
            raise BrokenIndexError(f"{folder} does not hold the files of its manifest: {odd}.")
        for name, (size, _) in manifest.files.items():
            if (folder / name).stat().st_size != size:
                raise BrokenIndexError(f"{folder / name} has {(folder / name).stat().st_size} bytes instead of {size}.")
        for name, (_, expected) in manifest.files.items():
            if _measured(folder / name)[1] != expected:
                raise BrokenIndexError(f"{folder / name} is not what was written: its hash differs.")
    except OSError as exc:
        raise BrokenIndexError(f"{folder} cannot be read: {exc}") from exc
    return manifest


def _measured(path: Path) -> tuple[int, str]:
    """Size in bytes, and SHA-256 over the XXH3 of each block."""
    size = path.stat().st_size
    with path.open("rb") as handle, ThreadPoolExecutor(2) as threads:
        blocks = threads.map(lambda start: _block(handle.fileno(), start), range(0, size, BLOCK))
        return size, hashlib.sha256(b"".join(blocks)).hexdigest()


def _block(descriptor: int, start: int) -> bytes:
    found, piece = xxhash.xxh3_128(), bytearray(PIECE)
    for at in range(start, start + BLOCK, PIECE):
        read = os.preadv(descriptor, [piece], at)
        found.update(memoryview(piece)[:read])
        if read < PIECE:
            break
    return found.digest()


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``folder`` when the block ends without an exception, and else is removed.

    A folder that is there already is replaced; a kill between its removal and the new name leaves none.
    """
    parent = folder.parent
    parent.mkdir(parents=True, exist_ok=True)
    _sweep(parent)
    temporary, lock = _locked(parent)
    old = None
    try:
        yield temporary
        for entry in sorted(temporary.iterdir()):
            _sync(entry)
        _sync(temporary)
        if folder.exists():
            old = parent / f".{uuid.uuid4().hex}.tmp"
            folder.rename(old)
        temporary.rename(folder)
        _sync(parent)
    finally:
        os.close(lock)
        for leftover in (temporary, old):
            if leftover is not None:
                shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name to write one file under, which becomes ``path`` when the block ends without an exception."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync(path.parent)


def _locked(parent: Path) -> tuple[Path, int]:
    """A new temporary folder and the open descriptor that holds its lock."""
    while True:
        temporary = parent / f".{uuid.uuid4().hex}.tmp"
        temporary.mkdir()
        # Another writer may sweep it between its creation and its lock; then there is a next one.
        try:
            lock = os.open(temporary, os.O_RDONLY)
        except FileNotFoundError:
            continue
        fcntl.flock(lock, fcntl.LOCK_EX)
        if temporary.exists():
            return temporary, lock
        os.close(lock)


def _sweep(parent: Path) -> None:
    """Remove the temporary folders of processes that are gone."""
    for path in parent.glob(".*.tmp"):
        if not path.is_dir():
            continue
        try:
            lock = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue  # Its writer has just finished.
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue  # Its writer is alive.
        else:
            shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(lock)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
