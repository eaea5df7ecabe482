"""Imports: a file in any known format becomes a dataset, curated like generated rows.

The job reads the stored bytes, so it can be resumed; rows are committed in slots of ``ROWS_PER_SLOT`` in the order of
the file, and a row that could not be read is a rejected sample with its line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel

from app.jobs.kinds import JobContext, JobOutcome
from app.services.context import Services
from app.services.curation_jobs import IMPORT
from app.services.curation_request import BulkCurationRequest, curation_settings
from app.services.datasets import add_dataset, dataset_body, require_dataset
from app.services.stored_files import readable_path
from app.store.generation import SqlSampleSink
from corpora.errors import InvalidInputError
from corpora.importers import FORMATS, detect, read_rows
from corpora.records import Sample
from generators.curation.bulk import BulkCurator, BulkRow
from generators.imported import GENERATOR, ContextUse, ImportOptions, fault_of, imported_rows
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
    context: ContextUse = "keep"
    own_split: bool = True


def create_import(
    services: Services,
    upload: tuple[str, Iterable[bytes]],
    *,
    name: str | None,
    format: str | None,  # noqa: A002 -- the contract's name
    curation: BulkCurationRequest,
    context: ContextUse = "keep",
    own_split: bool = True,
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
    found = format or detect(readable_path(services, sha256, filename))
    with services.store.write(durable=True) as session:
        dataset = add_dataset(session, name or PurePath(filename).stem, None, services.now())
        dataset_id = dataset.id
        params = ImportParams(
            dataset_id=dataset_id,
            filename=filename,
            sha256=sha256,
            format=found,
            curation=curation,
            context=context,
            own_split=own_split,
        )
        services.jobs.submit(
            IMPORT, params.model_dump(mode="json"), resources=[f"dataset:{dataset_id}"], session=session
        )
        session.flush()
        body = dataset_body(session, dataset)
        services.answer(session, body)
    services.wake()
    return body


def run_import(services: Services, context: JobContext, params: ImportParams) -> JobOutcome:
    """Read, judge and store every row from the first that is not stored."""
    with services.store.read() as session:
        require_dataset(session, params.dataset_id)
    path = readable_path(services, params.sha256, params.filename)
    sink = SqlSampleSink(services.store, context.job_id, context.attempt, params.dataset_id)
    committed = sink.committed()
    done = [sample for outcome in committed for sample in outcome.samples]
    curation = BulkCurator(curation_settings(params.curation), semantic=params.curation.semantic)
    options = ImportOptions(
        format=params.format, context=params.context, own_split=params.own_split, rows_per_slot=ROWS_PER_SLOT
    )
    counts = _Counts()

    def rows() -> Iterator[BulkRow]:
        counts.told.clear()
        # The name that the client knows: the stored bytes have another.
        named = (replace(row, file=params.filename) for row in read_rows(path, params.format))
        # The dataset's id: the same file imported twice gives two sets of ids.
        return imported_rows(named, params.dataset_id, options, counts.told)

    samples = curation.run(rows, done)
    slot = len(committed)
    counts.add(done)
    while batch := list(islice(samples, ROWS_PER_SLOT)):
        sink.commit(SlotOutcome(slot=slot, generator=GENERATOR, samples=tuple(batch)))
        slot += 1
        counts.add(batch)
        context.progress({"rows": counts.rows})
        wanted = context.should_stop()
        if wanted is not None:
            return JobOutcome(status="paused" if wanted == "pause" else "cancelled")
    return _outcome(context, counts, dict(curation.seconds))


class _Counts:
    """What became of the rows so far."""

    def __init__(self) -> None:
        self.rows = 0
        self.accepted = 0
        self.faults: Counter[str] = Counter()  # rows that could not be read, by what is wrong
        self.told: Counter[str] = Counter()  # see ``imported_rows``

    def add(self, samples: Iterable[Sample]) -> None:
        for sample in samples:
            self.rows += 1
            self.accepted += sample.accepted
            fault = fault_of(sample)
            if fault is not None:
                self.faults[fault] += 1

    def body(self) -> dict[str, Any]:
        return {"accepted": self.accepted, "unreadable": dict(self.faults), "told": dict(self.told)}


def _outcome(context: JobContext, counts: _Counts, seconds: dict[str, float]) -> JobOutcome:
    times = {stage: round(spent, 3) for stage, spent in seconds.items()}
    data = counts.body() | {"seconds": times}
    context.event("info", f"가져오기를 마쳤습니다: 채택 {counts.accepted}건", data=data)
    if counts.faults.total() == counts.rows:
        message = "No row of the file can be read; the dataset's rejected samples say why."
        error = {"code": "nothing_fits", "message": message, "hint": "", "retryable": False}
        return JobOutcome(status="failed", error=error)
    return JobOutcome(status="succeeded", result=counts.body())
