"""Opening, migrating, reading and writing; refusals that say what to do."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import IntegrityError

from app.store import database
from app.store.database import DataDirError, Store, open_store
from app.store.paging import page
from app.store.queries import count, find
from app.store.tables import Base, CorpusRow
from corpora.errors import InvalidInputError, MalmoiError
from tests.integration.conftest import OpenStore


def corpus(name: str) -> CorpusRow:
    return CorpusRow(
        id=f"corpus_{name}",
        name=name,
        description="",
        language="ko",
        created_at=1.0,
        index_generation=0,
        embedder_fingerprint=None,
        embedder_state=None,
        heldout_fraction=None,
    )


def test_migrations_and_tables_agree(store: Store) -> None:
    with store.engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    assert [entry for entry in found if entry[0] != "remove_table"] == []


def test_opening_again_finds_everything(opened: OpenStore) -> None:
    with opened().write() as session:
        session.add(corpus("냉장 창고"))
    with opened().read() as session:
        found = find(session, CorpusRow, CorpusRow.name == "냉장 창고")
        assert found is not None


def test_many_open_at_once(opened: OpenStore) -> None:
    failures: list[BaseException] = []

    def open_it() -> None:
        try:
            opened()
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_an_exception_rolls_back(store: Store) -> None:
    def fail_half_way() -> None:
        with store.write() as session:
            session.add(corpus("a"))
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    with pytest.raises(IntegrityError), store.write() as session:
        session.add_all([corpus("b"), corpus("b")])
    with store.read() as session:
        assert count(session, CorpusRow) == 0


def test_writers_wait_for_one_another(store: Store) -> None:
    def write(name: str) -> None:
        for number in range(15):
            with store.write() as session:
                count(session, CorpusRow)
                session.add(corpus(f"{name}-{number}"))

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as session:
        assert count(session, CorpusRow) == 90


def test_pages_are_stable_under_insert(store: Store) -> None:
    with store.write() as session:
        session.add_all([corpus(str(number)) for number in range(5)])
    with store.read() as session:
        first, more = page(session, CorpusRow, filters=(), after=None, limit=2, order="desc")
    assert ([row.name for row in first], more) == (["4", "3"], True)
    with store.write() as session:
        session.add(corpus("5"))
    with store.read() as session:
        rest, more = page(session, CorpusRow, filters=(), after=first[-1].id, limit=9, order="desc")
        assert ([row.name for row in rest], more) == (["2", "1", "0"], False)
        with pytest.raises(InvalidInputError, match="no object 'corpus_x'"):
            page(session, CorpusRow, filters=(), after="corpus_x", limit=2, order="asc")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(DataDirError, match="--data-dir") as caught:
        open_store(None, file / "data")
    assert caught.value.code == "data_dir_unwritable"


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/a / nfs4 rw 0 0\nserver:/b {tmp_path} nfs4 rw 0 0\n")

    class Mounted(type(Path())):  # type: ignore[misc]
        def __new__(cls, *parts: object) -> Path:  # type: ignore[misc]
            return mounts if parts == ("/proc/mounts",) else Path(*map(str, parts))

    monkeypatch.setattr(database, "Path", Mounted)
    with pytest.raises(DataDirError) as caught:
        open_store(None, tmp_path / "data")
    assert caught.value.code == "network_file_system"


def test_other_databases_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="'mysql' is not supported"):
        open_store("mysql://localhost/x", tmp_path)
    with pytest.raises(MalmoiError) as caught:
        open_store("postgresql+psycopg://nobody@127.0.0.1:9/x", tmp_path)
    assert caught.value.code == "database_unavailable"
