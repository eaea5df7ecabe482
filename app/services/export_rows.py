"""Accepted samples as rows for ``corpora.exporters``: messages, and beside them what ``metadata=true`` asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from app.store.accepted import AcceptedSample, accepted_samples
from app.store.queries import Session
from corpora.exporters import ExportRow
from corpora.records import Sample

__all__ = ["export_row", "export_rows", "rejected_line", "side"]


def side(split: str) -> str | None:
    """The split as the store asks for it; None stands for both."""
    return None if split == "all" else split


def export_row(sample: AcceptedSample, *, metadata: bool) -> ExportRow:
    """One sample; ``metadata`` holds what makes it comparable and reproducible, and what importers read again.

    Importers take ``group_id`` for its variants, ``group`` for what a split never parts, and ``split`` for its side.
    """
    if not metadata:
        return sample.messages, None
    provenance = sample.provenance or {}
    told = {
        "id": sample.id,
        "split": sample.split,
        "group_id": sample.group_id,
        "group": provenance.get("document_id") or provenance.get("group"),
        "provenance": sample.provenance,
    }
    return sample.messages, told


def export_rows(session: Session, dataset_id: str, split: str, *, metadata: bool) -> Iterator[ExportRow]:
    """The accepted samples of a split (``train``, ``test`` or ``all``) in order of acceptance."""
    for sample in accepted_samples(session, dataset_id, side(split), provenance=metadata):
        yield export_row(sample, metadata=metadata)


def rejected_line(sample: Sample) -> str:
    """What was left out and why, as one line of JSON."""
    candidate = sample.candidate
    row: dict[str, Any] = {
        "messages": [{"role": message.role, "content": message.content} for message in candidate.messages],
        "verdict": asdict(sample.verdict),
        "id": sample.id,
        "source": candidate.provenance.prompt,
    }
    if candidate.malformed is not None:
        row["raw"] = candidate.raw
    return json.dumps(row, ensure_ascii=False) + "\n"
