"""Exports of a dataset: accepted samples as JSONL, streamed out of one snapshot of the store.

``open_export`` is for HTTP, ``export_file`` makes the immutable file that a training job is given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from app.services.context import Services
from app.services.datasets import require_dataset
from app.store.queries import listed
from app.store.tables import SampleRow
from corpora.errors import InvalidInputError
from corpora.messages import message_line

__all__ = ["Export", "Split", "export_file", "open_export"]

#: Rows fetched at a time while streaming.
BATCH = 500
Split = Literal["train", "test", "all"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """An export about to be streamed."""

    etag: str  #: Changes exactly when the bytes may: with the dataset's version and with what is asked for.
    lines: Iterator[bytes]  #: Some lines at a time.


def open_export(services: Services, dataset_id: str, split: Split, *, metadata: bool = False) -> Export:
    """Accepted samples in the messages schema, in order of acceptance; the same version gives the same bytes.

    Version and rows come from one snapshot, so that the tag is that of the bytes whatever is written meanwhile.

    Raises:
        NotFoundError: there is no such dataset.
    """
    blocks = _blocks(services, dataset_id, split, metadata=metadata)
    version = next(blocks).decode()
    tag = hashlib.sha256(f"{dataset_id}:{version}:{split}:{metadata}".encode()).hexdigest()[:32]
    return Export(etag=tag, lines=blocks)


def _blocks(services: Services, dataset_id: str, split: Split, *, metadata: bool) -> Iterator[bytes]:
    """The dataset's version, then its lines."""
    conditions = [SampleRow.dataset_id == dataset_id, SampleRow.status == "accepted"]
    if split != "all":
        conditions.append(SampleRow.split == split)
    with services.store.snapshot() as session:
        yield str(require_dataset(session, dataset_id).version).encode()
        last = 0
        while rows := listed(session, SampleRow, *conditions, SampleRow.seq > last, limit=BATCH):
            last = rows[-1].seq
            block = b"".join(_line(row, metadata=metadata) for row in rows)
            session.expunge_all()
            yield block


def _line(row: SampleRow, *, metadata: bool) -> bytes:
    extra = None
    if metadata:
        extra = {"id": row.id, "split": row.split, "provenance": row.provenance}
    return (message_line(row.messages, extra) + "\n").encode()


def export_file(services: Services, dataset_id: str, split: Split) -> tuple[str, int]:
    """The export as an immutable blob: (sha256, bytes). For training, which must not see later changes.

    Raises:
        InvalidInputError: there is no accepted sample in that split.
    """
    lines = open_export(services, dataset_id, split).lines
    first = next(lines, None)
    if first is None:
        raise InvalidInputError(
            f"Dataset '{dataset_id}' has no accepted sample in split '{split}'.",
            param="training_file",
            code="dataset_empty",
        )

    def blocks() -> Iterator[bytes]:
        yield first
        yield from lines

    return services.blobs.put(blocks(), None)
