"""Samples between their record and their row."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from app.store.tables import SampleRow
from corpora.records import Candidate, Message, Provenance, Sample, Span, Verdict

__all__ = ["row_to_sample", "sample_to_row", "stored_message"]


def sample_to_row(sample: Sample, *, dataset_id: str, job_id: str, position: int, now: float) -> SampleRow:
    """The row of a decided sample."""
    candidate, verdict = sample.candidate, sample.verdict
    return SampleRow(
        id=sample.id,
        dataset_id=dataset_id,
        job_id=job_id,
        slot=candidate.provenance.slot,
        position=position,
        status="accepted" if sample.accepted else "rejected",
        split=sample.split,
        generator=candidate.provenance.generator,
        document_id=candidate.provenance.document_id,
        stage=verdict.stage,
        reason=verdict.reason,
        score=verdict.score,
        evidence=dict(verdict.evidence),
        messages=[stored_message(message) for message in candidate.messages],
        provenance=asdict(candidate.provenance),
        grounded=candidate.grounded,
        malformed=candidate.malformed,
        raw=candidate.raw,
        flags=dict(sample.flags),
        group_id=candidate.group_id,
        source_deleted=False,
        created_at=now,
    )


def stored_message(message: Message) -> dict[str, Any]:
    """A turn; its weight only where it has one."""
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    return turn if message.weight is None else turn | {"weight": message.weight}


def row_to_sample(row: SampleRow) -> Sample:
    """The record of a stored sample; equal to the one that was stored."""
    stored = dict(row.provenance)
    stored["chunk_ids"] = tuple(stored["chunk_ids"])
    stored["seed_ids"] = tuple(stored["seed_ids"])
    stored["spans"] = tuple(Span(**span) for span in stored["spans"])
    candidate = Candidate(
        messages=tuple(Message(**message) for message in row.messages),
        provenance=Provenance(**stored),
        grounded=row.grounded,
        malformed=row.malformed,
        raw=row.raw,
        group_id=row.group_id,
    )
    split: Literal["train", "test"] = "test" if row.split == "test" else "train"
    verdict = Verdict(stage=row.stage, reason=row.reason, score=row.score, evidence=dict(row.evidence))
    return Sample(
        id=row.id,
        candidate=candidate,
        accepted=row.status == "accepted",
        verdict=verdict,
        split=split,
        flags=dict(row.flags),
    )
