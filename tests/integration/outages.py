"""Databases that go away and come back: PostgreSQL refuses everybody, SQLite is locked by somebody else.

``Outage.begin()`` and ``end()``; the store is of a database of its own, so that nobody else is cut off.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from app.store.database import Store, open_store

__all__ = ["Outage", "away_postgres", "away_sqlite"]


@dataclass(frozen=True)
class Outage:
    """A store, and its database's way of being away."""

    store: Store
    begin: Callable[[], None]
    end: Callable[[], None]


@contextmanager
def away_postgres(server: str, folder: Path) -> Iterator[Outage]:
    """A database that takes no connections while it is away, after it has cut off those that there were."""
    name = f"malmoi_{secrets.token_hex(6)}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")

    def tell(*statements: str) -> None:
        with admin.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))

    def begin() -> None:
        ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        tell(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false", ended)

    tell(f"CREATE DATABASE {name}")
    store = open_store(make_url(server).set(database=name).render_as_string(hide_password=False), folder)
    try:
        yield Outage(store, begin, lambda: tell(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
    finally:
        store.dispose()
        tell(f"DROP DATABASE {name} WITH (FORCE)")
        admin.dispose()


@contextmanager
def away_sqlite(folder: Path) -> Iterator[Outage]:
    """A file that another process writes to for longer than a writer waits."""
    store = open_store(None, folder)
    lock = sqlite3.connect(folder / "malmoi.db", isolation_level=None, check_same_thread=False)
    try:
        yield Outage(store, lambda: _run(lock, "BEGIN IMMEDIATE"), lambda: _run(lock, "ROLLBACK"))
    finally:
        lock.close()
        store.dispose()


def _run(connection: sqlite3.Connection, statement: str) -> None:
    connection.execute(statement)
