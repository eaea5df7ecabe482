"""Datasets and their samples: list, inspect, report as counts."""

from __future__ import annotations

from typing import Any

from app.services.context import Services
from app.services.curation_jobs import IMPORT, import_body, import_of
from app.services.originals import remove_original
from app.store.paging import page
from app.store.queries import Session, count_by, find, latest, listed, remove
from app.store.sample_documents import rests_on
from app.store.search import says
from app.store.tables import DatasetRow, JobRow, ReplyRow, SampleRow
from corpora.errors import ConflictError, NotFoundError
from corpora.ids import new_id

__all__ = [
    "SampleFilter",
    "add_dataset",
    "dataset_body",
    "delete_dataset",
    "get_dataset",
    "get_sample",
    "list_datasets",
    "list_samples",
    "manifest_of",
    "require_dataset",
]


def add_dataset(session: Session, name: str, corpus_id: str | None, now: float) -> DatasetRow:
    """A new empty dataset in the caller's transaction."""
    row = DatasetRow(id=new_id("dataset"), name=name, corpus_id=corpus_id, version=0, created_at=now)
    session.add(row)
    session.flush()
    return row


def require_dataset(session: Session, dataset_id: str) -> DatasetRow:
    """The dataset, or a NotFoundError."""
    row = find(session, DatasetRow, DatasetRow.id == dataset_id)
    if row is None:
        raise NotFoundError(
            f"There is no dataset '{dataset_id}'; GET /v1/datasets lists them.",
            param="dataset_id",
            code="dataset_not_found",
        )
    return row


def _counts(session: Session, dataset_id: str) -> dict[str, int]:
    return dict(count_by(session, [SampleRow.status], SampleRow.dataset_id == dataset_id))


def jobs_of(session: Session, dataset_id: str) -> list[JobRow]:
    """The jobs that write or wrote to a dataset: generation, import, curation."""
    return listed(session, JobRow, JobRow.params["dataset_id"].as_string() == dataset_id)


def dataset_body(session: Session, row: DatasetRow) -> dict[str, Any]:
    """A dataset in the contract's shape."""
    counts = _counts(session, row.id)
    imported = import_of(session, row.id)
    return {
        "id": row.id,
        "object": "dataset",
        "created_at": int(row.created_at),
        "name": row.name,
        "corpus_id": row.corpus_id,
        "version": row.version,
        "sample_count": counts.get("accepted", 0),
        "rejected_count": counts.get("rejected", 0),
        "generation_jobs": [job.id for job in jobs_of(session, row.id) if job.kind == "generate"],
        "import_job": import_body(session, imported) if imported is not None else None,
        "manifest": manifest_of(session, row),
    }


def manifest_of(session: Session, row: DatasetRow) -> dict[str, Any]:
    """What a dataset was made with: its version, and those of the tools behind its newest sample."""
    newest = latest(session, SampleRow, SampleRow.dataset_id == row.id)
    return {"version": row.version, "versions": newest.provenance.get("versions", {}) if newest else {}}


def list_datasets(services: Services, after: str | None, limit: int, order: str) -> tuple[list[dict[str, Any]], bool]:
    """A page of datasets."""
    with services.store.read() as session:
        rows, more = page(session, DatasetRow, filters=(), after=after, limit=limit, order=order)
        return [dataset_body(session, row) for row in rows], more


def get_dataset(services: Services, dataset_id: str) -> dict[str, Any]:
    """One dataset."""
    with services.store.read() as session:
        return dataset_body(session, require_dataset(session, dataset_id))


def delete_dataset(services: Services, dataset_id: str) -> dict[str, Any]:
    """Remove a dataset with its samples, the replies they were made from and the file it was imported from.

    Raises:
        ConflictError: a job is writing to it.
    """
    with services.store.write(durable=True) as session:
        row = require_dataset(session, dataset_id)
        jobs = jobs_of(session, dataset_id)
        busy = next((job.id for job in jobs if job.status in ("queued", "running", "paused")), None)
        if busy is not None:
            raise ConflictError(f"Job '{busy}' writes to '{dataset_id}'; cancel it first.", code="dataset_busy")
        remove(session, ReplyRow, ReplyRow.job_id.in_([job.id for job in jobs]))
        session.delete(row)
        for job in jobs:
            if job.kind == IMPORT:
                remove_original(services, session, job)
    return {"id": dataset_id, "object": "dataset", "deleted": True}


class SampleFilter:
    """Which samples a list shows; every part may be None."""

    def __init__(
        self,
        *,
        status: str | None = None,
        reason: str | None = None,
        generator: str | None = None,
        document_id: str | None = None,
        text: str | None = None,
    ) -> None:
        self.conditions = [
            column == value
            for column, value in (
                (SampleRow.status, status),
                (SampleRow.reason, reason),
                (SampleRow.generator, generator),
            )
            if value is not None
        ]
        if document_id is not None:
            self.conditions.append(rests_on([document_id]))
        if text is not None:
            self.conditions.append(says(text))


def _sample_body(row: SampleRow) -> dict[str, Any]:
    verdict = {"stage": row.stage, "reason": row.reason, "score": row.score, "evidence": row.evidence}
    return {
        "id": row.id,
        "object": "sample",
        "created_at": int(row.created_at),
        "dataset_id": row.dataset_id,
        "job_id": row.job_id,
        "slot": row.slot,
        "messages": row.messages,
        "status": row.status,
        "split": row.split,
        "verdict": verdict,
        "provenance": row.provenance,
        "malformed": row.malformed,
        "raw": row.raw,
        "flags": row.flags,
        "source_deleted": row.source_deleted,
        "scores": {} if row.score is None else {row.stage: row.score},
        "edited": False,
    }


def list_samples(
    services: Services, dataset_id: str, wanted: SampleFilter, after: str | None, limit: int, order: str
) -> tuple[list[dict[str, Any]], bool]:
    """A page of a dataset's samples, accepted and rejected."""
    with services.store.read() as session:
        require_dataset(session, dataset_id)
        filters = (SampleRow.dataset_id == dataset_id, *wanted.conditions)
        rows, more = page(session, SampleRow, filters=filters, after=after, limit=limit, order=order)
        return [_sample_body(row) for row in rows], more


def get_sample(services: Services, sample_id: str) -> dict[str, Any]:
    """One sample."""
    with services.store.read() as session:
        row = find(session, SampleRow, SampleRow.id == sample_id)
        if row is None:
            raise NotFoundError(f"There is no sample '{sample_id}'.", code="sample_not_found")
        return _sample_body(row)
