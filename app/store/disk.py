"""Telling a full disk from every other fault: the work is sound and goes on once there is room."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Iterator

from sqlalchemy.exc import DBAPIError

from corpora.errors import MalmoiError

__all__ = ["DiskFullError", "is_disk_full", "telling_full_disk"]

#: PostgreSQL's SQLSTATE.
_DISK_FULL = "53100"
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


class DiskFullError(MalmoiError):
    """The disk is full; everything that was accepted is kept."""

    code = "disk_full"
    retryable = True
    status = 503
    hint = "Make room on the disk of the data folder and of the database, then resume the job."


def is_disk_full(exc: BaseException | None) -> bool:
    """Whether this fault, or what caused it, is a full disk or quota."""
    while exc is not None:
        if isinstance(exc, OSError) and exc.errno in _NO_ROOM:
            return True
        origin = exc.orig if isinstance(exc, DBAPIError) else None
        if isinstance(origin, sqlite3.Error) and getattr(origin, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return True
        if getattr(origin, "sqlstate", None) == _DISK_FULL:
            return True
        exc = exc.__cause__ or exc.__context__
    return False


@contextlib.contextmanager
def telling_full_disk(hint: str) -> Iterator[None]:
    """Whatever fails inside for want of room leaves as one error that says so.

    Raises:
        DiskFullError: with ``hint``, which says what to do once there is room.
    """
    try:
        yield
    except DiskFullError:
        raise
    except Exception as exc:
        if is_disk_full(exc):
            raise DiskFullError("The disk is full; nothing was half stored.", hint=hint) from exc
        raise
