"""A job's batches on SQL: what was sent through a Batch API and is not collected yet, for whoever starts again.

Few and seldom written, each in the next transaction of the attempt's common writer.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from sqlalchemy import delete, select

from app.store.group_commit import Batch, GroupWriter
from app.store.tables import BatchRow
from generators.ports import BatchLine, BatchRecord

__all__ = ["SqlBatchLog"]


class SqlBatchLog:
    """Batches of one job; an attempt that was overtaken cannot write."""

    def __init__(self, writer: GroupWriter) -> None:
        self._writer = writer

    async def uncollected(self) -> list[BatchRecord]:
        """Every record that was put and not removed, oldest first."""
        return await asyncio.to_thread(self._stored)

    async def put(self, record: BatchRecord) -> None:
        """Store a record durably, replacing the one of the same token.

        Raises:
            LostLeaseError: another attempt has taken over.
        """
        row = BatchRow(
            job_id=self._writer.job_id,
            token=record.token,
            batch_id=record.batch_id,
            model=record.model,
            created_at=record.created_at,
            lines=[asdict(line) for line in record.lines],
        )

        def work(batch: Batch) -> None:
            batch.session.merge(row)

        await self._writer.run(work)

    async def remove(self, token: str) -> None:
        """Forget a batch.

        Raises:
            LostLeaseError: another attempt has taken over.
        """

        def work(batch: Batch) -> None:
            mine = (BatchRow.job_id == self._writer.job_id, BatchRow.token == token)
            batch.session.execute(delete(BatchRow).where(*mine))

        await self._writer.run(work)

    def _stored(self) -> list[BatchRecord]:
        mine = select(BatchRow).where(BatchRow.job_id == self._writer.job_id)
        with self._writer.store.read() as session:
            rows = session.scalars(mine.order_by(BatchRow.created_at, BatchRow.token)).all()
        return [
            BatchRecord(
                token=row.token,
                batch_id=row.batch_id,
                model=row.model,
                created_at=row.created_at,
                lines=tuple(BatchLine(**line) for line in row.lines),
            )
            for row in rows
        ]
