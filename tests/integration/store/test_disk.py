"""A full disk is told from other faults: a really full database and a really full folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from app.store.disk import is_disk_full


def test_a_database_that_may_not_grow_is_a_full_disk(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'voll.db'}")
    with engine.connect() as connection:
        connection.execute(text("create table t (x text)"))
        connection.commit()
        connection.execute(text("pragma max_page_count = 4"))
        with pytest.raises(DBAPIError) as caught:
            connection.execute(text("insert into t values (:x)"), [{"x": "말" * 2000}] * 100)
        assert is_disk_full(caught.value)
        wrapped = RuntimeError("while a slot was committed")
        wrapped.__cause__ = caught.value
        assert is_disk_full(wrapped)
        with pytest.raises(DBAPIError) as other:
            connection.execute(text("insert into nowhere values (1)"))
        assert not is_disk_full(other.value)
    engine.dispose()


def test_a_device_without_room_is_a_full_disk() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OSError, match="No space") as caught, full.open("w") as handle:
        handle.write("말" * 100_000)
    assert is_disk_full(caught.value)
    assert not is_disk_full(FileNotFoundError(2, "none"))
