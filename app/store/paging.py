"""Pages of a table by id: stable under insert, since rows are ordered by a number that stays theirs."""

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
    session: Session,
    table: type[Row],
    *,
    filters: Sequence[Any],
    after: str | None,
    limit: int,
    order: str,
    by: str = "seq",
) -> tuple[list[Row], bool]:
    """Rows behind the object ``after``, at most ``limit``, and whether more follow.

    Args:
        session: The caller's transaction.
        table: What is listed.
        filters: Conditions on its rows.
        after: Id of the last object of the page before.
        limit: Rows of a page.
        order: ``asc`` or ``desc``.
        by: Column that orders them; its values differ among the rows that fit.

    Raises:
        InvalidInputError: there is no object ``after``.
    """
    columns = table.__table__.c
    place = columns[by]
    statement = select(table).where(*filters)
    if after is not None:
        start = session.scalar(select(place).where(columns.id == after))
        if start is None:
            raise InvalidInputError(f"There is no object '{after}' to go on after.", param="after")
        statement = statement.where(place < start if order == "desc" else place > start)
    statement = statement.order_by(place.desc() if order == "desc" else place.asc()).limit(limit + 1)
    rows = list(session.scalars(statement))
    return rows[:limit], len(rows) > limit
