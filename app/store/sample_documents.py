"""Which documents a sample rests on: the one it was made for, those it cites, those whose text it shows.

A question over two passages belongs to two documents; a row that shows distractors to others still. Who deletes one of
them finds the sample by ``rests_on``. Works inside the caller's session and transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from app.store.tables import ChunkRow, DocumentRow, SampleDocumentRow, SampleRow
from corpora.records import Provenance, Sample

__all__ = ["documents_of", "existing", "rests_on"]

#: Trait that names the chunks which a row's own system turn shows.
_SHOWN = "context"


def documents_of(session: Session, samples: Iterable[Sample]) -> dict[str, set[str]]:
    """Documents by sample id. A shown chunk whose document is gone already has none; its slot's document tells."""
    named = {sample.id: sample.candidate.provenance for sample in samples}
    shown = {chunk_id for origin in named.values() for chunk_id in _shown(origin)}
    owners: Mapping[str, str] = {}
    if shown:
        rows = session.execute(select(ChunkRow.id, ChunkRow.document_id).where(ChunkRow.id.in_(shown)))
        owners = dict(list(rows))
    found: dict[str, set[str]] = {}
    for sample_id, origin in named.items():
        documents = {span.document_id for span in origin.spans} | {owners.get(one, "") for one in _shown(origin)}
        found[sample_id] = (documents | {origin.document_id or ""}) - {""}
    return found


def _shown(origin: Provenance) -> list[str]:
    return list(origin.traits.get(_SHOWN, ()))


def existing(session: Session, document_ids: Collection[str]) -> set[str]:
    """Those of the documents that are still there."""
    if not document_ids:
        return set()
    return set(session.scalars(select(DocumentRow.id).where(DocumentRow.id.in_(document_ids))))


def rests_on(document_ids: Collection[str]) -> ColumnElement[bool]:
    """The condition on samples that rest on one of these documents."""
    named = select(SampleDocumentRow.sample_id).where(SampleDocumentRow.document_id.in_(document_ids))
    return SampleRow.id.in_(named)
