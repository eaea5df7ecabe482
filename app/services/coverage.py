"""Which passages of a corpus a dataset covers: chunks that a slot was spent on, chunks that gave an accepted sample.

Counted from plans, decided slots and samples as they are stored. Chunks of deleted documents are in no number.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from app.store.accepted import accepted_samples
from app.store.queries import Session, find, listed, values
from app.store.tables import ChunkRow, DocumentRow, JobRow, PlanRow, SlotRow

__all__ = ["coverage"]

#: Documents that are named; the others are in the sums.
MAX_DOCUMENTS = 1000


def coverage(session: Session, dataset_id: str, jobs: list[JobRow]) -> dict[str, Any] | None:
    """Chunks of the corpora that ``jobs`` read: all, tried, covered; and the same by document, least covered first.

    Args:
        session: A snapshot.
        dataset_id: The dataset.
        jobs: Its generation jobs.

    Returns:
        None where no job read a corpus.
    """
    documents = {
        document
        for job in jobs
        for side in ("train_documents", "heldout_documents")
        for document in job.params.get(side, ())
    }
    if not documents:
        return None
    names = {row.id: row.filename for row in listed(session, DocumentRow, DocumentRow.id.in_(sorted(documents)))}
    chunks: dict[str, set[str]] = defaultdict(set)
    columns = [ChunkRow.id, ChunkRow.document_id]
    for chunk_id, document_id in values(session, columns, ChunkRow.document_id.in_(sorted(names))):
        chunks[document_id].add(chunk_id)
    tried = {source for job in jobs for source in _tried(session, job)}
    given: Counter[str] = Counter()
    for sample in accepted_samples(session, dataset_id, None, provenance=True):
        given.update((sample.provenance or {}).get("chunk_ids", [])[:1])
    rows: list[dict[str, Any]] = [
        {
            "document_id": document_id,
            "filename": names[document_id],
            "chunks": len(members),
            "tried": len(members & tried),
            "covered": len(members & given.keys()),
            "samples": sum(given[chunk_id] for chunk_id in members),
        }
        for document_id, members in chunks.items()
    ]
    rows.sort(key=lambda row: (row["covered"] / row["chunks"], row["filename"], row["document_id"]))
    totals = {name: sum(row[name] for row in rows) for name in ("chunks", "tried", "covered", "samples")}
    return {**totals, "documents": len(rows), "by_document": rows[:MAX_DOCUMENTS]}


def _tried(session: Session, job: JobRow) -> set[str]:
    """Chunks that a decided slot of the job was about."""
    plan = find(session, PlanRow, PlanRow.job_id == job.id)
    if plan is None:
        return set()
    ran = {slot for (slot,) in values(session, [SlotRow.slot], SlotRow.job_id == job.id, SlotRow.failed.is_(None))}
    return {source for slot, (_, _, source) in enumerate(plan.slots) if source is not None and slot in ran}
