"""An imported dataset is a generator too: its candidates come from a file and are judged like any others.

``imported_rows`` turns what ``corpora.importers`` reads into rows for ``curation.bulk``; a row that could not be read
is a malformed candidate with its file and line. What a candidate has no place for is counted, never dropped in silence.
Knows no store and no HTTP.

Use::

    told = Counter()
    rows = imported_rows(read_rows(path), path.name, told=told)
    ...                         # every row taken
    told["other_answers"]       # rows whose further answers were left out

Decided: the passage of a grounded row becomes its system turn, unless the caller drops it. A question without its
passage teaches a model to answer out of nowhere; in the user's turn the passage would be compared and measured as part
of the question, and all questions about one article would look alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from corpora.context import context_turn, wrap_context
from corpora.ids import content_id
from corpora.importers import BadRow, ImportedRow
from corpora.records import Candidate, Message, Provenance, Sample
from generators.curation.bulk import BulkRow
from generators.curation.conversation import IMPORTED

__all__ = ["GENERATOR", "ContextUse", "ImportOptions", "fault_of", "imported_rows"]

#: Name in provenance.
GENERATOR = IMPORTED
#: What a passage without a title is called.
UNTITLED = "지문"
ContextUse = Literal["keep", "drop"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportOptions:
    """How rows become candidates."""

    format: str | None = None  #: How they were read, where known; stands in the provenance.
    context: ContextUse = "keep"  #: Whether a passage becomes the system turn, or is left out and counted.
    own_split: bool = True  #: Whether rows keep the side of the split that the dataset gives them.
    rows_per_slot: int = 1  #: Rows that are committed together, where they are.


def imported_rows(
    rows: Iterable[ImportedRow | BadRow],
    source: str,
    options: ImportOptions | None = None,
    told: Counter[str] | None = None,
) -> Iterator[BulkRow]:
    """Rows with stable ids: the same file gives the same ids.

    Args:
        rows: What was read; ``file`` is how a person knows the file.
        source: Name of the file or dataset, part of the ids.
        options: What becomes of passages and splits.
        told: Counts rows, as they are taken, by what became of them: ``context_kept``, ``context_dropped``,
            ``other_answers`` (left out: a candidate has one), ``weights`` (turns that are not trained on) and
            ``own_test`` (on the dataset's own test side).
    """
    options = options or ImportOptions()
    told = Counter() if told is None else told
    for number, row in enumerate(rows):
        where = f"{row.file or source}:{row.line}"
        told.update(_told(row, options))
        group, split = None, "train"
        if isinstance(row, ImportedRow):
            group = row.group_id or row.variant_id
            split = (row.split if options.own_split else None) or "train"
        provenance = Provenance(
            generator=GENERATOR,
            slot=number // options.rows_per_slot,
            prompt=f"{options.format}@{where}" if options.format else where,
            group=content_id("group", source, group) if group is not None else None,
        )
        candidate = _candidate(row, provenance, source, options.context)
        yield BulkRow(key=content_id("sample", source, number), candidate=candidate, split=split)


def fault_of(sample: Sample) -> str | None:
    """The importer's own reason why a row could not be read (``broken_json``, ...); None for one that could be."""
    why = sample.candidate.malformed
    return None if why is None else why.split(":", 1)[0]


def _candidate(row: ImportedRow | BadRow, provenance: Provenance, source: str, context: ContextUse) -> Candidate:
    if isinstance(row, BadRow):
        inside = f", {row.where}" if row.where else ""
        why = f"{row.reason}: {row.file or source}, line {row.line}{inside}: {row.message}"
        return Candidate(messages=(), provenance=provenance, malformed=why, raw=row.excerpt)
    return Candidate(
        messages=_with_context(row) if context == "keep" else row.messages,
        provenance=provenance,
        grounded=row.grounded,
        # Ids of two datasets may be alike by chance.
        group_id=content_id("group", source, row.variant_id) if row.variant_id is not None else None,
    )


def _with_context(row: ImportedRow) -> tuple[Message, ...]:
    """The messages with the passage in the system turn, behind what stands there already."""
    if row.context is None:
        return row.messages
    title = row.metadata.get("title")
    label = title if isinstance(title, str) and title.strip() else UNTITLED
    shown = context_turn(wrap_context([(label, row.context)]))
    first, *others = row.messages
    if first.role != "system":
        return (Message(role="system", content=shown), first, *others)
    return (Message(role="system", content=f"{first.content}\n\n{shown}"), *others)


def _told(row: ImportedRow | BadRow, options: ImportOptions) -> Iterator[str]:
    if isinstance(row, BadRow):
        return
    if row.context is not None:
        yield "context_kept" if options.context == "keep" else "context_dropped"
    if "other_answers" in row.metadata:
        yield "other_answers"
    if any(message.weight == 0 for message in row.messages):
        yield "weights"
    if options.own_split and row.split == "test":
        yield "own_test"
