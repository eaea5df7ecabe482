"""What all tables share: the declarative base, running numbers, and how deletions spread."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Integer
from sqlalchemy.orm import DeclarativeBase

__all__ = ["AUTO", "CASCADE", "Base", "Seq"]

# SQLite only counts up by itself on INTEGER; PostgreSQL deserves 64 bits.
Seq = BigInteger().with_variant(Integer, "sqlite")
CASCADE = "CASCADE"
AUTO = {"sqlite_autoincrement": True}


class Base(DeclarativeBase):
    """Declarative base; strings are TEXT, dictionaries and lists JSON."""

    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON}  # noqa: RUF012 -- SQLAlchemy's own convention
    #: SQLite gives a deleted row's number away again unless told not to: a cursor or an index file would then point
    #: at another object.
    __table_args__: Any = AUTO
