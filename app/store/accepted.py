"""Accepted samples of a dataset as light records, some at a time: what exports read.

Works inside the caller's session, so that several passes over one snapshot see the same rows. Only the columns that
are wanted are read; a dataset of any size takes the memory of one batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.store.tables import SampleRow
from corpora.records import Message

__all__ = ["AcceptedSample", "accepted_samples"]

#: Rows fetched at a time.
BATCH = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptedSample:
    """What an export needs of a sample."""

    id: str  #: ``sample_…``.
    split: str  #: ``train`` or ``test``.
    group_id: str | None  #: Shared by variants of one sample.
    messages: tuple[Message, ...]  #: The conversation.
    provenance: dict[str, Any] | None  #: Where it came from; None where it was not asked for.


def accepted_samples(
    session: Session, dataset_id: str, split: str | None, *, provenance: bool
) -> Iterator[AcceptedSample]:
    """The accepted samples in order of acceptance.

    Args:
        session: A snapshot, where several passes must agree.
        dataset_id: Whose samples.
        split: ``train`` or ``test``; None for both.
        provenance: Whether that column is read too; it is the larger part of a row.
    """
    columns = [SampleRow.seq, SampleRow.id, SampleRow.split, SampleRow.group_id, SampleRow.messages]
    statement = select(*columns, *([SampleRow.provenance] if provenance else []))
    statement = statement.where(SampleRow.dataset_id == dataset_id, SampleRow.status == "accepted")
    if split is not None:
        statement = statement.where(SampleRow.split == split)
    last = 0
    while rows := session.execute(statement.where(SampleRow.seq > last).order_by(SampleRow.seq).limit(BATCH)).all():
        for row in rows:
            yield AcceptedSample(
                id=row.id,
                split=row.split,
                group_id=row.group_id,
                messages=tuple(Message(**m) for m in row.messages),
                provenance=row.provenance if provenance else None,
            )
        last = rows[-1].seq
