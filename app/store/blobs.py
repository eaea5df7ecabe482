"""Bytes by their hash: uploads, training files, results. Never under a name that a client sent."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from corpora.errors import NotFoundError, TooLargeError

__all__ = ["BlobStore"]


class BlobStore:
    """A folder of immutable files named by sha256."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.root.mkdir(parents=True, exist_ok=True)

    def put(self, chunks: Iterable[bytes], limit: int | None) -> tuple[str, int]:
        """Store bytes and return (sha256, size); whole or not at all.

        Raises:
            TooLargeError: more than ``limit`` bytes came; nothing is kept.
        """
        digest, size = hashlib.sha256(), 0
        handle, name = tempfile.mkstemp(dir=self.root, prefix=".incoming-")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                for chunk in chunks:
                    size += len(chunk)
                    if limit is not None and size > limit:
                        raise TooLargeError(f"The upload is over {limit // 2**20} MB.", param="file")
                    digest.update(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            target = self.path(digest.hexdigest())
            target.parent.mkdir(exist_ok=True)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        return digest.hexdigest(), size

    def path(self, sha256: str) -> Path:
        """Where the bytes of ``sha256`` lie, or would."""
        return self.root / sha256[:2] / sha256

    def remove(self, sha256: str) -> None:
        """Forget the bytes; a no-op where they are not there. Whoever has them open keeps them."""
        self.path(sha256).unlink(missing_ok=True)

    def stored_at(self, sha256: str) -> float | None:
        """When the bytes were put there last, in Unix seconds; None where they are not there."""
        try:
            return self.path(sha256).stat().st_mtime
        except FileNotFoundError:
            return None

    def open(self, sha256: str) -> BinaryIO:
        """The bytes, for reading.

        Raises:
            NotFoundError: they are not there.
        """
        try:
            return self.path(sha256).open("rb")
        except FileNotFoundError as exc:
            raise NotFoundError(
                f"The bytes {sha256[:12]}… are gone from the data folder.", code="blob_missing"
            ) from exc
