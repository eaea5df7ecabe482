"""A full disk as one typed error, whichever library met it.

The operating system says ENOSPC or EDQUOT; safetensors puts it into a text of its own, and torch's archive writer says
only that it could not write. Knows nothing of what is written. ``with disk_guard(folder): write()``.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from training.errors import DiskFullError

__all__ = ["disk_guard", "says_full"]

_CODES = (errno.ENOSPC, errno.EDQUOT)
_WORDS = ("no space left on device", "disk quota exceeded", f"os error {errno.ENOSPC})", f"os error {errno.EDQUOT})")
#: What torch says when its archive writer fails for whatever reason.
_TORCH = ("pytorchstreamwriter failed", "unexpected pos", "file write failed")
#: Less than this free, and a write that failed without a reason failed for want of space.
_LITTLE = 1 << 20


def says_full(error: BaseException | None, folder: Path) -> bool:
    """Whether an error, or one that led to it, means that the disk of ``folder`` is full."""
    while error is not None:
        text = str(error).lower()
        if (isinstance(error, OSError) and error.errno in _CODES) or any(word in text for word in _WORDS):
            return True
        if any(word in text for word in _TORCH) and shutil.disk_usage(folder).free < _LITTLE:
            return True
        error = error.__cause__ or error.__context__
    return False


@contextlib.contextmanager
def disk_guard(folder: Path) -> Iterator[None]:
    """Turn a write that failed for want of space into ``DiskFullError``; any other error passes as it is.

    Raises:
        DiskFullError: the disk of ``folder`` is full.
    """
    try:
        yield
    except Exception as error:
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        if not says_full(error, there):
            raise
        free = shutil.disk_usage(there).free
        raise DiskFullError(f"The disk of {folder} is full ({free:,} bytes free): {error}") from error
