"""Import and curation jobs as the API shows them; what they do is in ``importing`` and ``curating``."""

from __future__ import annotations

from typing import Any

from app.store.queries import Session, count_by, latest
from app.store.slots import slot_totals
from app.store.tables import JobRow, SampleRow

__all__ = ["CURATE", "IMPORT", "curation_body", "import_body", "import_of"]

IMPORT, CURATE = "import", "curate"


def _common(job: JobRow) -> dict[str, Any]:
    return {
        "created_at": int(job.created_at),
        "status": job.status,
        "dataset_id": job.params["dataset_id"],
        "error": job.error,
        "started_at": int(job.started_at) if job.started_at else None,
        "finished_at": int(job.finished_at) if job.finished_at else None,
    }


def import_body(session: Session, job: JobRow) -> dict[str, Any]:
    """An import job as datasets show it; counts come from what is stored."""
    totals = slot_totals(session, job.id)
    by_status: dict[str, int] = dict(count_by(session, [SampleRow.status], SampleRow.job_id == job.id))
    rejected = (SampleRow.job_id == job.id, SampleRow.status == "rejected")
    return {
        "id": job.id,
        "object": "import.job",
        **_common(job),
        "filename": job.params["filename"],
        "format": job.params["format"],
        "progress": {
            "rows": totals.candidates,
            "accepted": by_status.get("accepted", 0),
            "rejected": by_status.get("rejected", 0),
        },
        "rejections": dict(count_by(session, [SampleRow.reason], *rejected)),
    }


def curation_body(job: JobRow) -> dict[str, Any]:
    """A curation job: what it was asked, and what came out."""
    return {
        "id": job.id,
        "object": "curation.job",
        **_common(job),
        "curation": job.params["curation"],
        "preview": job.params["preview"],
        "progress": job.progress,
        "result": job.result,
    }


def import_of(session: Session, dataset_id: str) -> JobRow | None:
    """The job that imported a dataset, or None for a generated one."""
    return latest(session, JobRow, JobRow.kind == IMPORT, JobRow.params["dataset_id"].as_string() == dataset_id)
