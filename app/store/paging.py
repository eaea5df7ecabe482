"""Pages of a table by id: stable under insert, since rows are ordered by their running number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.store.tables import Base
from corpora.errors import InvalidInputError

__all__ = ["page"]

Row = TypeVar("Row", bound=Base)


def page(
    session: Session, table: type[Row], *, filters: Sequence[Any], after: str | None, limit: int, order: str
) -> tuple[list[Row], bool]:
    """Rows behind the object ``after``, at most ``limit``, and whether more follow.

    Raises:
        InvalidInputError: there is no object ``after``.
    """
    columns = table.__table__.c
    statement = select(table).where(*filters)
    if after is not None:
        start = session.scalar(select(columns.seq).where(columns.id == after))
        if start is None:
            raise InvalidInputError(f"There is no object '{after}' to go on after.", param="after")
        statement = statement.where(columns.seq < start if order == "desc" else columns.seq > start)
    statement = statement.order_by(columns.seq.desc() if order == "desc" else columns.seq.asc()).limit(limit + 1)
    rows = list(session.scalars(statement))
    return rows[:limit], len(rows) > limit
