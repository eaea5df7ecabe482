"""A database that goes away while something waits for it: real outages of PostgreSQL, real locks of SQLite."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.store import database, patience
from app.store.database import Store, open_store
from app.store.patience import StoreUnavailableError, patiently, unavailable
from app.store.queries import count
from app.store.tables import CorpusRow
from tests.integration.outages import Outage
from tests.integration.store.test_database import corpus


def write(store: Store, name: str) -> None:
    with store.write() as session:
        session.add(corpus(name))


def test_connections_that_a_restart_left_dead_are_not_used(postgres: Callable[[], str], tmp_path: Path) -> None:
    store, other = (open_store(url, tmp_path / "data") for url in [postgres()] * 2)
    with store.engine.connect() as connection:
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
    with other.engine.connect() as connection:
        assert connection.scalar(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    time.sleep(0.2)
    # Without patience: the pool asks the connection before it is used.
    write(store, "냉장 창고")
    for each in (store, other):
        each.dispose()


def test_a_transaction_that_is_cut_off_is_done_again(postgres: Callable[[], str], tmp_path: Path) -> None:
    url = postgres()
    store, other = (open_store(url, tmp_path / "data") for _ in range(2))
    tries: list[int] = []

    def cut_off_once() -> None:
        with store.write() as session:
            tries.append(session.scalar(text("SELECT pg_backend_pid()")) or 0)
            session.add(corpus("냉장 창고"))
            session.flush()
            if len(tries) == 1:
                with other.engine.connect() as connection:
                    connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": tries[0]})

    patiently(cut_off_once)
    assert len(tries) == 2
    with store.read() as session:
        assert count(session, CorpusRow) == 1
    for each in (store, other):
        each.dispose()


def test_a_database_that_is_away_is_waited_for(outage: Outage) -> None:
    store = outage.store
    write(store, "가")
    outage.begin()
    with pytest.raises(OperationalError) as caught:
        write(store, "나")
    found = unavailable(caught.value)
    assert found is not None
    assert (found.code, found.retryable, found.status) == ("database_unavailable", True, 503)
    assert found.hint
    back = threading.Timer(1.5, outage.end)
    back.start()
    began = time.monotonic()
    patiently(lambda: write(store, "나"))
    assert time.monotonic() - began > 1
    back.join()
    with store.read() as session:
        assert count(session, CorpusRow) == 2


def test_patience_ends(outage: Outage) -> None:
    outage.begin()
    began = time.monotonic()
    with pytest.raises(StoreUnavailableError, match="The database does not answer: ") as caught:
        patiently(lambda: write(outage.store, "가"), 1.0)
    assert 0.9 < time.monotonic() - began < 20
    assert isinstance(caught.value.__cause__, OperationalError)
    assert unavailable(caught.value) is caught.value


def test_other_faults_pass_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong() -> None:
        with store.read() as session:
            session.execute(text("SELECT nothing FROM nowhere"))

    def twice() -> None:
        with store.write() as session:
            session.add_all([corpus("가"), corpus("가")])

    def ours() -> None:
        raise ValueError("우리의 잘못")

    monkeypatch.setattr(patience, "PATIENCE_S", 60.0)
    for work in (wrong, twice, ours):
        began = time.monotonic()
        with pytest.raises(Exception) as caught:
            patiently(work)
        assert time.monotonic() - began < 5
        assert unavailable(caught.value) is None
    assert unavailable(None) is None


def test_a_full_pool_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(None, tmp_path / "data")
    monkeypatch.setattr(store.engine.pool, "_timeout", 0.1)
    held = [store.engine.connect() for _ in range(15)]

    def let_go() -> None:
        for each in held:
            each.close()

    threading.Timer(0.5, let_go).start()
    patiently(lambda: write(store, "가"))
    store.dispose()


def test_a_lock_of_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_MS", 100)
    store = open_store(None, tmp_path / "data")
    lock = sqlite3.connect(tmp_path / "data" / "malmoi.db", isolation_level=None, check_same_thread=False)
    lock.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError, match="database is locked"):
        patiently(lambda: write(store, "가"), 0.5)
    threading.Timer(0.5, lambda: lock.execute("ROLLBACK")).start()
    patiently(lambda: write(store, "가"))
    lock.close()
    store.dispose()
