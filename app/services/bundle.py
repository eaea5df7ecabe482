"""The bundle: a zip of a dataset card, JSONL and Parquet, which ``datasets.load_dataset`` opens once it is unpacked.

::

    data/train.jsonl  data/train-00000-of-00001.parquet  data/test.jsonl  data/test-00000-of-00001.parquet  README.md

The same rows lie there twice, for people and for programs; the card's ``configs`` name the Parquet files alone, so
that a loader reads each row once. A split without rows has no files. Order, times and modes are fixed: the same rows
and facts give the same bytes. Rows are written straight into the zip, one pass a file.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import IO, BinaryIO, cast

from app.services.dataset_card import CardFacts, Making, render_card
from app.services.export_rows import export_row, export_rows
from app.store.accepted import accepted_samples
from app.store.queries import Session
from corpora.exporters import ExportReport, ExportRow, write_export

__all__ = ["PARQUET_FILE", "write_bundle"]

#: As the Hub names the only shard of a split.
PARQUET_FILE = "data/{split}-00000-of-00001.parquet"
_JSONL_FILE = "data/{split}.jsonl"
#: The earliest time that a zip can tell.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNIX, _MODE = 3, 0o100644 << 16


def write_bundle(session: Session, facts: CardFacts, stream: BinaryIO, *, metadata: bool) -> ExportReport:
    """Write the zip.

    Args:
        session: The snapshot that ``facts`` are from.
        facts: What the card tells.
        stream: Where it goes; must be seekable.
        metadata: Whether id, split, group and provenance of each row are in both kinds of files.

    Returns:
        How many rows are in it, and which ones neither kind of file can carry, by reason.
    """
    making, written, refused = Making(), dict[str, int](), dict[str, int]()
    with zipfile.ZipFile(stream, "w") as archive:
        for split in facts.splits:
            rows = _noted(session, facts.dataset_id, split, making, metadata=metadata)
            with _member(archive, _JSONL_FILE.format(split=split), zipfile.ZIP_DEFLATED) as member:
                report = write_export(rows, member, "messages")
            for reason, count in report.refused.items():
                refused[reason] = refused.get(reason, 0) + count
            written[split] = report.written
            # Parquet is compressed already.
            with _member(archive, PARQUET_FILE.format(split=split), zipfile.ZIP_STORED) as member:
                write_export(export_rows(session, facts.dataset_id, split, metadata=metadata), member, "parquet")
        files = {split: PARQUET_FILE.format(split=split) for split, rows_of in written.items() if rows_of}
        card = render_card(facts, making, files=files, written=written, refused=refused, metadata=metadata)
        with _member(archive, "README.md", zipfile.ZIP_DEFLATED) as member:
            member.write(card.encode())
    return ExportReport(written=sum(written.values()), refused=refused)


def _member(archive: zipfile.ZipFile, name: str, compression: int) -> BinaryIO:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type, info.create_system, info.external_attr = compression, _UNIX, _MODE
    # How long it will be is not known, and over 2 GiB the header differs.
    member: IO[bytes] = archive.open(info, "w", force_zip64=True)
    return cast(BinaryIO, member)


def _noted(session: Session, dataset_id: str, split: str, making: Making, *, metadata: bool) -> Iterator[ExportRow]:
    """The rows of a split; what they were made with is counted on the way."""
    for sample in accepted_samples(session, dataset_id, split, provenance=True):
        assert sample.provenance is not None
        making.add(sample.provenance)
        yield export_row(sample, metadata=metadata)
