"""Documents of a corpus that say nearly the same: versions of one manual, a copy under another name.

Told on both documents (``similar``) and as an event of the index job; nothing is left out for it. What counts as alike
is ``retrieval.similar_documents``'s. Exact copies never come here: the same bytes are one document.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from app.jobs.kinds import JobContext
from app.services.context import Services
from app.services.document_states import BATCH, read_conditions
from app.store.jobs import hold
from app.store.queries import Session, listed, lock, remove, values
from app.store.tables import ChunkRow, CorpusRow, DocumentRow, DocumentUnitsRow
from retrieval.similar_documents import Similar, UnitIndex, packed, units_of, unpacked

__all__ = ["forget_similar", "tell_similar"]

#: Pairs that are named in events; the others are on their documents.
MAX_TOLD = 20


def tell_similar(services: Services, context: JobContext, corpus_id: str) -> None:
    """Compare what this job has read with every document of the corpus, reading only what is new."""
    with services.store.read() as session:
        fresh = {row.id: row.filename for row in listed(session, DocumentRow, *read_conditions(corpus_id))}
    if not fresh:
        return
    units = _units(services, context, corpus_id)
    if units is None:
        return
    told = 0
    for document_id, name in fresh.items():
        if context.should_stop():
            return
        found = units.similar_to(document_id) if document_id in units else []
        with services.store.write() as session:
            hold(session, context.job_id, context.attempt)
            # Locked: a document that is deleted at this moment must not be written on.
            lock(session, CorpusRow, CorpusRow.id == corpus_id)
            pairs = _note(session, document_id, found)
        for pair in pairs:
            told += 1
            if told <= MAX_TOLD:
                context.event("warn", _sentence(name, pair), data={"code": "similar_documents"} | pair)


def _units(services: Services, context: JobContext, corpus_id: str) -> UnitIndex | None:
    """The sentences of all documents: those that were kept, and of the others out of their chunks; None to stop."""
    with services.store.read() as session:
        read = (DocumentRow.corpus_id == corpus_id, DocumentRow.chunk_count > 0)
        current: dict[str, str] = dict(values(session, [DocumentRow.id, DocumentRow.sha256], *read))
        of_corpus = DocumentUnitsRow.corpus_id == corpus_id
        kept = {
            row.document_id: unpacked(row.units)
            for row in listed(session, DocumentUnitsRow, of_corpus, order_by=DocumentUnitsRow.document_id)
            if current.get(row.document_id) == row.sha256
        }
    missing = [(name, sha256) for name, sha256 in current.items() if name not in kept]
    for start in range(0, len(missing), BATCH):
        if context.should_stop():
            return None
        kept |= _keep(services, context, corpus_id, dict(missing[start : start + BATCH]))
    units = UnitIndex()
    for name in current:
        units.add_units(name, kept.get(name, {}))
    return units


def _keep(
    services: Services, context: JobContext, corpus_id: str, documents: Mapping[str, str]
) -> dict[str, dict[int, int]]:
    """Units of documents (id to sha256) out of their chunks, kept for the next time."""
    passages: defaultdict[str, list[str]] = defaultdict(list)
    with services.store.read() as session:
        for row in listed(session, ChunkRow, ChunkRow.document_id.in_(documents)):
            passages[row.document_id].append(row.text)
    found = {name: units_of(texts) for name, texts in passages.items()}
    with services.store.write() as session:
        hold(session, context.job_id, context.attempt)
        lock(session, CorpusRow, CorpusRow.id == corpus_id)
        # Of one that was deleted or replaced since its chunks were read nothing is kept.
        same = (DocumentRow.id.in_(found), DocumentRow.corpus_id == corpus_id)
        there = {name for name, sha256 in values(session, [DocumentRow.id, DocumentRow.sha256], *same)
                 if sha256 == documents[name]}  # fmt: skip
        remove(session, DocumentUnitsRow, DocumentUnitsRow.document_id.in_(there))
        session.add_all(
            DocumentUnitsRow(document_id=name, corpus_id=corpus_id, sha256=documents[name], units=packed(found[name]))
            for name in sorted(there)
        )
    return found


def _note(session: Session, document_id: str, found: Iterable[Similar]) -> list[dict[str, Any]]:
    """Write the pairs on both documents, take back those that are no more; returns the document's own list."""
    row = lock(session, DocumentRow, DocumentRow.id == document_id)
    if row is None:
        return []
    by_id = {one.other_id: one for one in found}
    earlier = {entry["document_id"] for entry in row.similar}
    own: list[dict[str, Any]] = []
    for other in _rows(session, by_id.keys() | earlier):
        rest = [entry for entry in other.similar if entry["document_id"] != document_id]
        if (one := by_id.get(other.id)) is not None:
            own.append(_entry(other, one.share, one.other_share))
            rest.append(_entry(row, one.other_share, one.share))
        other.similar = _sorted(rest)
    row.similar = _sorted(own)
    return row.similar


def forget_similar(session: Session, documents: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
    """Take documents that are being deleted, with their lists, out of the lists of those that stay."""
    for other in _rows(session, {entry["document_id"] for entries in documents.values() for entry in entries}):
        other.similar = [entry for entry in other.similar if entry["document_id"] not in documents]


def _rows(session: Session, ids: Iterable[str]) -> list[DocumentRow]:
    wanted = sorted(ids)
    found: list[DocumentRow] = []
    for start in range(0, len(wanted), BATCH):
        found.extend(listed(session, DocumentRow, DocumentRow.id.in_(wanted[start : start + BATCH])))
    return found


def _entry(row: DocumentRow, share: float, other_share: float) -> dict[str, Any]:
    return {
        "document_id": row.id,
        "filename": row.filename,
        "share": round(share, 4),
        "other_share": round(other_share, 4),
    }


def _sorted(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(entries, key=lambda entry: (-max(entry["share"], entry["other_share"]), entry["document_id"]))


def _sentence(name: str, pair: Mapping[str, Any]) -> str:
    share = max(pair["share"], pair["other_share"])
    return f"'{name}'와(과) '{pair['filename']}'은(는) 거의 같은 문서입니다(같은 문장 {share:.0%})."
