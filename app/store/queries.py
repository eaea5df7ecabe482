"""The few statements that services need, over any table: find, list, count, group, change, remove.

Services say *which* rows with conditions on the tables' columns; how that becomes SQL stays in this package. Every
function works inside the caller's session and transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.store.tables import Base

__all__ = [
    "IntegrityError",
    "Session",
    "change",
    "count",
    "count_by",
    "find",
    "latest",
    "listed",
    "lock",
    "remove",
    "remove_batch",
    "values",
]

Row = TypeVar("Row", bound=Base)
Condition = ColumnElement[bool]


def find(session: Session, table: type[Row], *conditions: Condition) -> Row | None:
    """The one row that fits, or None."""
    return session.scalar(select(table).where(*conditions))


def lock(session: Session, table: type[Row], *conditions: Condition) -> Row | None:
    """The one row that fits, locked until the transaction ends; SQLite's writers are alone anyway."""
    return session.scalar(select(table).where(*conditions).with_for_update())


def latest(session: Session, table: type[Row], *conditions: Condition) -> Row | None:
    """The row added last among those that fit, or None."""
    return session.scalar(select(table).where(*conditions).order_by(table.__table__.c.seq.desc()).limit(1))


def listed(
    session: Session, table: type[Row], *conditions: Condition, order_by: Any = None, limit: int | None = None
) -> list[Row]:
    """The rows that fit, by ``order_by`` (default: in order of addition)."""
    statement = select(table).where(*conditions).order_by(table.__table__.c.seq if order_by is None else order_by)
    return list(session.scalars(statement if limit is None else statement.limit(limit)))


def values(session: Session, columns: Sequence[Any], *conditions: Condition) -> list[tuple[Any, ...]]:
    """These columns of the rows that fit, ordered by the first column, each combination once."""
    rows = session.execute(select(*columns).where(*conditions).order_by(columns[0]).distinct())
    return [tuple(row) for row in rows]


def count(session: Session, table: type[Row], *conditions: Condition) -> int:
    """How many rows fit."""
    return session.scalar(select(func.count()).select_from(table).where(*conditions)) or 0


def count_by(session: Session, columns: Sequence[Any], *conditions: Condition) -> list[tuple[Any, ...]]:
    """(column values …, count) of the rows that fit, largest count first, then by the columns."""
    rows = session.execute(
        select(*columns, func.count()).where(*conditions).group_by(*columns).order_by(func.count().desc(), *columns)
    )
    return [tuple(row) for row in rows]


def change(session: Session, table: type[Row], *conditions: Condition, **new: Any) -> int:
    """Set columns of the rows that fit; returns how many there were."""
    result = session.execute(update(table).where(*conditions).values(**new))
    return int(getattr(result, "rowcount", 0))


def remove(session: Session, table: type[Row], *conditions: Condition) -> int:
    """Delete the rows that fit; returns how many there were."""
    result = session.execute(delete(table).where(*conditions))
    return int(getattr(result, "rowcount", 0))


def remove_batch(session: Session, table: type[Row], *conditions: Condition, limit: int = 500) -> int:
    """Delete at most ``limit`` of the rows that fit, the oldest first; returns how many.

    For long deletions: one transaction a batch, so that heartbeats get their turn.
    """
    seq = table.__table__.c.seq
    oldest = select(seq).where(*conditions).order_by(seq).limit(limit).scalar_subquery()
    result = session.execute(delete(table).where(seq.in_(oldest)))
    return int(getattr(result, "rowcount", 0))
