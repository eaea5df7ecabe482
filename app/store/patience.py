"""Waiting for a database that is away for a moment: restarted, locked, out of connections.

``patiently(work)`` does a piece of work again until the database answers or the patience ends; ``unavailable(error)``
says whether an error is of that sort, as one that may be tried again. The work is a whole transaction: what failed was
rolled back. Where the answer to a commit was lost it is done twice, so it must be one that may be. Knows no table.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from corpora.errors import UnavailableError

__all__ = ["PATIENCE_S", "StoreUnavailableError", "patiently", "unavailable"]

logger = logging.getLogger("malmoi.store")
#: Seconds: a restart of a database takes one minute, a failover a few. What waits for it loses nothing by waiting.
PATIENCE_S = 600.0
#: Seconds between two tries, at first and at most.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
#: SQLite calls wrong statements by the same class of error; these results may pass.
_SQLITE_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOMEM,
    }
)
Result = TypeVar("Result")


class StoreUnavailableError(UnavailableError):
    """The database does not answer."""

    code = "database_unavailable"
    hint = "See that the database runs and can be reached, then resume the job: it goes on from what it has kept."


def unavailable(error: BaseException | None) -> StoreUnavailableError | None:
    """The same error for callers where the database is away; None where its cause is another, and does not pass."""
    if isinstance(error, StoreUnavailableError):
        return error
    if not _passes(error):
        return None
    cause = str(getattr(error, "orig", None) or error).strip()
    return StoreUnavailableError(f"The database does not answer: {next(iter(cause.splitlines()), 'no reason given')}")


def _passes(error: BaseException | None) -> bool:
    if isinstance(error, PoolTimeoutError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    origin = error.orig
    if isinstance(origin, sqlite3.Error):
        # The lower byte is the result, the upper ones say more of it.
        return (getattr(origin, "sqlite_errorcode", 0) & 0xFF) in _SQLITE_PASSING
    return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)


def patiently(work: Callable[[], Result], seconds: float | None = None) -> Result:
    """What ``work`` returns, tried again while the database is away.

    Args:
        work: One transaction, or a read.
        seconds: Patience; ``PATIENCE_S`` where not given.

    Raises:
        StoreUnavailableError: the database was away for longer.
    """
    end = time.monotonic() + (PATIENCE_S if seconds is None else seconds)
    pause = FIRST_PAUSE_S
    while True:
        try:
            return work()
        except Exception as error:
            away = unavailable(error)
            if away is None:
                raise
            left = end - time.monotonic()
            if left <= 0:
                raise away from error
            logger.warning("%s Trying again for %.0f seconds.", away.message, left)
        time.sleep(min(pause, left))
        pause = min(2 * pause, LONGEST_PAUSE_S)
