"""A job's replies on SQL: stored durably before they are used, so that a resumed job never pays twice.

Nearly every request of a fresh job asks for a reply that is not there; which slots and steps have any is therefore kept
in memory, and only those are looked up. Shares its transactions with the ledger, through their common writer.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from functools import partial
from typing import cast

from sqlalchemy import Table, select
from sqlalchemy.dialects import postgresql, sqlite

from app.store.group_commit import Batch, GroupWriter
from app.store.tables import ReplyRow
from generators.ports import Reply

__all__ = ["SqlReplyCache"]

_TABLE = cast(Table, ReplyRow.__table__)


def _upserts() -> dict[str, sqlite.Insert | postgresql.Insert]:
    """By dialect: insert, or replace what lies under the same key."""
    lite, postgres = sqlite.insert(_TABLE), postgresql.insert(_TABLE)
    key = list(_TABLE.primary_key)
    return {
        "sqlite": lite.on_conflict_do_update(
            index_elements=key, set_={"reply": lite.excluded.reply, "created_at": lite.excluded.created_at}
        ),
        "postgresql": postgres.on_conflict_do_update(
            index_elements=key, set_={"reply": postgres.excluded.reply, "created_at": postgres.excluded.created_at}
        ),
    }


class SqlReplyCache:
    """Replies of one job; an attempt that was overtaken cannot write."""

    def __init__(self, writer: GroupWriter) -> None:
        self._writer = writer
        self._put_statement = _upserts()[writer.store.engine.dialect.name]
        self._known: set[tuple[int, str]] | None = None
        self._opening = asyncio.Lock()

    async def get(self, slot: int, step: str, request_hash: str) -> Reply | None:
        """The stored reply, or None."""
        known = self._known if self._known is not None else await self._open()
        return await asyncio.to_thread(self._find, slot, step, request_hash) if (slot, step) in known else None

    async def put(self, slot: int, step: str, request_hash: str, reply: Reply) -> None:
        """Store a reply durably.

        Raises:
            LostLeaseError: another attempt has taken over.
        """
        known = self._known if self._known is not None else await self._open()
        row = {
            "job_id": self._writer.job_id,
            "slot": slot,
            "step": step,
            "request_hash": request_hash,
            "reply": asdict(reply),
            "created_at": time.time(),
        }
        await self._writer.run(partial(self._put, row))
        known.add((slot, step))

    def _put(self, row: dict[str, object], batch: Batch) -> None:
        batch.add(self._put_statement, row)

    async def _open(self) -> set[tuple[int, str]]:
        """Which slots and steps earlier attempts have replies of; read once."""
        async with self._opening:
            if self._known is None:
                self._known = await asyncio.to_thread(self._stored)
            return self._known

    def _stored(self) -> set[tuple[int, str]]:
        with self._writer.store.read() as session:
            rows = session.execute(
                select(ReplyRow.slot, ReplyRow.step).where(ReplyRow.job_id == self._writer.job_id).distinct()
            )
            return {(slot, step) for slot, step in rows}

    def _find(self, slot: int, step: str, request_hash: str) -> Reply | None:
        with self._writer.store.read() as session:
            row = session.get(ReplyRow, (self._writer.job_id, slot, step, request_hash))
        return Reply(**row.reply) if row is not None else None
