"""An imported dataset is a generator too: its candidates come from a file and are judged like any others.

``imported_rows`` turns what ``corpora.importers`` reads into rows for ``curation.bulk``; a row that could not be read
is a malformed candidate with its line. Knows no store and no HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from corpora.ids import content_id
from corpora.importers import BadRow, ImportedRow
from corpora.records import Candidate, Provenance
from generators.curation.bulk import BulkRow
from generators.curation.conversation import IMPORTED

__all__ = ["GENERATOR", "imported_rows"]

#: Name in provenance.
GENERATOR = IMPORTED


def imported_rows(
    rows: Iterable[ImportedRow | BadRow],
    source: str,
    format: str | None = None,  # noqa: A002 -- the name users know
    rows_per_slot: int = 1,
) -> Iterator[BulkRow]:
    """Rows with stable ids: the same file gives the same ids.

    Args:
        rows: What was read.
        source: Name of the file or dataset, part of the ids and kept in the provenance.
        format: How it was read, where known.
        rows_per_slot: Rows that are committed together, where they are.
    """
    for number, row in enumerate(rows):
        where = f"{row.file or source}:{row.line}"
        group = row.group_id if isinstance(row, ImportedRow) else None
        provenance = Provenance(
            generator=GENERATOR,
            slot=number // rows_per_slot,
            prompt=f"{format}@{where}" if format else where,
            group=f"{source}:{group}" if group is not None else None,
        )
        yield BulkRow(key=content_id("sample", source, number), candidate=_candidate(row, provenance))


def _candidate(row: ImportedRow | BadRow, provenance: Provenance) -> Candidate:
    if isinstance(row, BadRow):
        why = f"{row.reason}: line {row.line}: {row.message}"
        return Candidate(messages=(), provenance=provenance, malformed=why, raw=row.excerpt)
    return Candidate(messages=row.messages, provenance=provenance, grounded=row.grounded)
