"""Accepted samples as rows for ``corpora.exporters``: messages, and beside them what ``metadata=true`` asks for."""

from __future__ import annotations

from collections.abc import Iterator

from app.store.accepted import AcceptedSample, accepted_samples
from app.store.queries import Session
from corpora.exporters import ExportRow

__all__ = ["export_row", "export_rows", "side"]


def side(split: str) -> str | None:
    """The split as the store asks for it; None stands for both."""
    return None if split == "all" else split


def export_row(sample: AcceptedSample, *, metadata: bool) -> ExportRow:
    """One sample; ``metadata`` holds what makes it comparable and reproducible, and what importers read again."""
    if not metadata:
        return sample.messages, None
    told = {"id": sample.id, "split": sample.split, "group_id": sample.group_id, "provenance": sample.provenance}
    return sample.messages, told


def export_rows(session: Session, dataset_id: str, split: str, *, metadata: bool) -> Iterator[ExportRow]:
    """The accepted samples of a split (``train``, ``test`` or ``all``) in order of acceptance."""
    for sample in accepted_samples(session, dataset_id, side(split), provenance=metadata):
        yield export_row(sample, metadata=metadata)
