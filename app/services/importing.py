"""Imports: a file in any known format becomes a dataset, curated like generated rows.

The job reads the stored bytes, so it can be resumed; rows are committed in slots of ``ROWS_PER_SLOT`` in the order of
the file, and a row that could not be read is a rejected sample with its line.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

from pydantic import BaseModel

from app.jobs.kinds import JobContext, JobOutcome
from app.services.context import Services
from app.services.curation_jobs import IMPORT
from app.services.curation_request import BulkCurationRequest, curation_settings
from app.services.datasets import add_dataset, dataset_body, require_dataset
from app.store.generation import SqlSampleSink
from corpora.errors import InvalidInputError
from corpora.importers import FORMATS, detect, read_rows
from generators.curation.bulk import BulkCurator, BulkRow
from generators.imported import GENERATOR, imported_rows
from generators.ports import SlotOutcome

__all__ = ["ImportParams", "create_import", "run_import"]

#: Rows of one transaction.
ROWS_PER_SLOT = 500


class ImportParams(BaseModel):
    """What an import job is asked."""

    dataset_id: str
    filename: str
    sha256: str
    format: str
    curation: BulkCurationRequest


def create_import(
    services: Services,
    upload: tuple[str, Iterable[bytes]],
    *,
    name: str | None,
    format: str | None,  # noqa: A002 -- the contract's name
    curation: BulkCurationRequest,
) -> dict[str, Any]:
    """Store the upload, make the dataset and queue its import job.

    Raises:
        InvalidInputError: an empty file, an unknown format, or a file that fits none.
        TooLargeError: the upload is over the limit.
    """
    filename, blocks = upload
    source = iter(blocks)
    first = next(source, b"")
    if not first:
        raise InvalidInputError(f"The file '{filename}' is empty.", param="file", code="empty_file")
    if format is not None and format not in FORMATS:
        raise InvalidInputError(
            f"There is no format '{format}'; known are {', '.join(FORMATS)}.", param="format", code="unknown_format"
        )

    def whole() -> Iterator[bytes]:
        yield first
        yield from source

    sha256, _ = services.blobs.put(whole(), services.settings.max_upload_mb * 2**20)
    found = format or detect(_readable(services, sha256, filename))
    with services.store.write(durable=True) as session:
        dataset = add_dataset(session, name or PurePath(filename).stem, None, services.now())
        dataset_id = dataset.id
        params = ImportParams(dataset_id=dataset_id, filename=filename, sha256=sha256, format=found, curation=curation)
        services.jobs.submit(
            IMPORT, params.model_dump(mode="json"), resources=[f"dataset:{dataset_id}"], session=session
        )
        session.flush()
        body = dataset_body(session, dataset)
        services.answer(session, body)
    services.wake()
    return body


def _readable(services: Services, sha256: str, filename: str) -> Path:
    """The stored bytes under a name with the upload's suffix, which tells CSV from text; a link, not a copy."""
    suffix = PurePath(filename).suffix.lower()
    path = services.folder("imports") / f"{sha256}{suffix if suffix.isascii() and len(suffix) < 12 else ''}"
    if not path.exists():
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        os.link(services.blobs.path(sha256), temporary)
        os.replace(temporary, path)
    return path


def run_import(services: Services, context: JobContext, params: ImportParams) -> JobOutcome:
    """Read, judge and store every row from the first that is not stored."""
    with services.store.read() as session:
        require_dataset(session, params.dataset_id)
    path = _readable(services, params.sha256, params.filename)
    sink = SqlSampleSink(services.store, context.job_id, context.attempt, params.dataset_id)
    committed = sink.committed()
    done = [sample for outcome in committed for sample in outcome.samples]
    curation = BulkCurator(curation_settings(params.curation), semantic=params.curation.semantic)

    def rows() -> Iterator[BulkRow]:
        # The dataset's id: the same file imported twice gives two sets of ids.
        return imported_rows(read_rows(path, params.format), params.dataset_id, params.format, ROWS_PER_SLOT)

    samples = curation.run(rows, done)
    slot = len(committed)
    accepted = sum(sample.accepted for sample in done)
    readable = sum(sample.candidate.malformed is None for sample in done)
    while batch := list(islice(samples, ROWS_PER_SLOT)):
        sink.commit(SlotOutcome(slot=slot, generator=GENERATOR, samples=tuple(batch)))
        slot += 1
        accepted += sum(sample.accepted for sample in batch)
        readable += sum(sample.candidate.malformed is None for sample in batch)
        context.progress({"rows": len(done) + (slot - len(committed)) * ROWS_PER_SLOT})
        wanted = context.should_stop()
        if wanted is not None:
            return JobOutcome(status="paused" if wanted == "pause" else "cancelled")
    return _outcome(context, accepted, readable, dict(curation.seconds))


def _outcome(context: JobContext, accepted: int, readable: int, seconds: dict[str, float]) -> JobOutcome:
    times = {stage: round(spent, 3) for stage, spent in seconds.items()}
    context.event("info", f"가져오기를 마쳤습니다: 채택 {accepted}건", data={"accepted": accepted, "seconds": times})
    if not readable:
        message = "No row of the file can be read; the dataset's rejected samples say why."
        error = {"code": "nothing_fits", "message": message, "hint": "", "retryable": False}
        return JobOutcome(status="failed", error=error)
    return JobOutcome(status="succeeded", result={"accepted": accepted})
