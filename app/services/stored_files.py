"""Stored uploads as files that readers can open: the blob under a name with the upload's suffix. A link, not a copy."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

from app.services.context import Services

__all__ = ["readable_path"]


def readable_path(services: Services, sha256: str, filename: str) -> Path:
    """The stored bytes under a name with the suffix of ``filename``, which tells CSV from text."""
    suffix = PurePath(filename).suffix.lower()
    path = services.folder("imports") / f"{sha256}{suffix if suffix.isascii() and len(suffix) < 12 else ''}"
    if not path.exists():
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        os.link(services.blobs.path(sha256), temporary)
        os.replace(temporary, path)
    return path
