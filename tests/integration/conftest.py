"""The store on SQLite and on PostgreSQL: every test here runs on both.

PostgreSQL is found by ``MALMOI_TEST_DATABASE_URL``; a run has a schema of its own, dropped at the end. A machine
without one skips with a reason, CI fails.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from app.store import database
from app.store.database import Store, open_store
from tests.integration.outages import Outage, away_postgres, away_sqlite

POSTGRES = os.environ.get("MALMOI_TEST_DATABASE_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test")
OpenStore = Callable[[], Store]


def _in_postgres(statement: str) -> None:
    engine = create_engine(POSTGRES, connect_args={"connect_timeout": 5})
    try:
        with engine.begin() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """Makes a fresh schema and returns a URL that lives in it."""
    schemas: list[str] = []

    def fresh() -> str:
        schema = f"malmoi_{secrets.token_hex(6)}"
        try:
            _in_postgres(f"CREATE SCHEMA {schema}")
        except OperationalError as exc:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no PostgreSQL at {POSTGRES}: {str(exc).splitlines()[0]}")
        schemas.append(schema)
        return f"{POSTGRES}?options=-csearch_path%3D{schema}"

    yield fresh
    for schema in schemas:
        _in_postgres(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """None is SQLite in the data folder."""
    if request.param == "sqlite":
        return None
    fresh: Callable[[], str] = request.getfixturevalue("postgres")
    return fresh()


@pytest.fixture
def opened(database_url: str | None, tmp_path: Path) -> Iterator[OpenStore]:
    """Opens the one database as often as asked: each time as another process would."""
    stores: list[Store] = []

    def another() -> Store:
        stores.append(open_store(database_url, tmp_path / "data"))
        return stores[-1]

    yield another
    for store in stores:
        store.dispose()


@pytest.fixture
def store(opened: OpenStore) -> Store:
    return opened()


@pytest.fixture(params=["sqlite", "postgresql"])
def outage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outage]:
    """A database of the test's own that goes away when told to."""
    if request.param == "postgresql":
        # Skips where there is no server.
        request.getfixturevalue("postgres")()
        context = away_postgres(POSTGRES, tmp_path / "data")
    else:
        monkeypatch.setattr(database, "BUSY_MS", 100)
        context = away_sqlite(tmp_path / "data")
    with context as found:
        yield found
