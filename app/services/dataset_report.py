"""The report of a dataset: the funnel as counts, coverage of the corpus, and on demand what the command line measures.

Counted when it is asked for, out of one snapshot of the store.
"""

from __future__ import annotations

from typing import Any

from app.services.context import Services
from app.services.coverage import coverage
from app.services.datasets import jobs_of, require_dataset
from app.store.queries import Session, count_by, listed
from app.store.samples import row_to_sample
from app.store.slots import slot_totals
from app.store.tables import SampleRow
from generators.curation.report import Report

__all__ = ["dataset_report"]

#: Rows read at a time.
BATCH = 500


def dataset_report(services: Services, dataset_id: str, *, detail: bool = False) -> dict[str, Any]:
    """Candidates = accepted + rejected + removed; rejections by reason, samples by side, chunks covered.

    Args:
        services: The opened store.
        dataset_id: Which dataset.
        detail: Whether every sample is read and measured too.

    Raises:
        NotFoundError: there is no such dataset.
    """
    with services.store.snapshot() as session:
        row = require_dataset(session, dataset_id)
        jobs = jobs_of(session, dataset_id)
        return {
            # What a report tells changes with the dataset's version.
            "id": f"report_{dataset_id}_{row.version}",
            "object": "dataset.report",
            "created_at": int(services.now()),
            "dataset_id": dataset_id,
            "version": row.version,
            # As counted when each slot was committed, so that a sample that got lost would show.
            "candidates": sum(slot_totals(session, job.id).candidates for job in jobs),
            "removed": row.removed,
            **_funnel(session, dataset_id),
            "coverage": coverage(session, dataset_id, jobs),
            "details": _details(session, dataset_id) if detail else None,
        }


def _funnel(session: Session, dataset_id: str) -> dict[str, Any]:
    columns = [SampleRow.status, SampleRow.stage, SampleRow.reason, SampleRow.generator, SampleRow.split]
    totals = {"accepted": 0, "rejected": 0}
    rejections: dict[str, dict[str, Any]] = {}
    generators: dict[str, dict[str, int]] = {}
    splits = {"train": 0, "test": 0}
    for status, stage, reason, generator, split, count in count_by(
        session, columns, SampleRow.dataset_id == dataset_id
    ):
        totals[status] += count
        by_generator = generators.setdefault(generator, {"accepted": 0, "rejected": 0})
        by_generator[status] += count
        if status == "accepted":
            splits[split] += count
        else:
            entry = rejections.setdefault(reason, {"reason": reason, "stage": stage, "count": 0})
            entry["count"] += count
    return {
        **totals,
        "rejections": sorted(rejections.values(), key=lambda entry: (-entry["count"], entry["reason"])),
        "generators": generators,
        "splits": splits,
    }


def _details(session: Session, dataset_id: str) -> dict[str, Any]:
    measured = Report()
    last = 0
    while rows := listed(session, SampleRow, SampleRow.dataset_id == dataset_id, SampleRow.seq > last, limit=BATCH):
        for row in rows:
            measured.add(row_to_sample(row))
        last = rows[-1].seq
    return measured.to_json()
