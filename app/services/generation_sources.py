"""What generators work on beside documents: seed tasks, rows of uploaded files, samples of datasets.

An entry of a generation request names them: ``seed_tasks`` (``builtin:wms`` or a file id) and ``source`` (a file id or
a dataset id). Existence is checked when the job is made; reading happens in the job, from bytes that never change and
from the accepted training samples of the dataset. Rows that do not fit are counted and told.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from app.services.context import Services
from app.services.datasets import require_dataset
from app.services.files import require_file
from app.services.stored_files import readable_path
from app.store.queries import Session, listed
from app.store.samples import row_to_sample
from app.store.tables import FileRow, SampleRow
from corpora.bundled import SeedTask, seed_tasks
from corpora.bundled.loader import parse_seed_tasks
from corpora.errors import InvalidInputError
from corpora.importers import BadRow, ImportedRow, read_rows
from corpora.records import Message
from generators.base import SourceItem
from generators.registry import GENERATORS

__all__ = ["MAX_ITEMS", "Sources", "check_sources", "read_sources"]

#: Rows that one entry may bring: they are held in memory while the job runs.
MAX_ITEMS = 200_000
BUILTIN = "builtin:"


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What a job's entries name, read."""

    seeds: tuple[SeedTask, ...] = ()  #: Seed tasks of all entries, each once.
    items: dict[str, tuple[SourceItem, ...]] = field(default_factory=dict)  #: Of the training side, by generator.
    heldout: dict[str, tuple[SourceItem, ...]] = field(default_factory=dict)  #: Held-out rows of files, by generator.
    skipped: Counter[str] = field(default_factory=Counter)  #: Rows that do not fit, by reason.


def check_sources(session: Session, entries: Iterable[dict[str, Any]]) -> None:
    """Refuse entries that name what is not there.

    Raises:
        NotFoundError: no such file or dataset; ``param`` names the field.
        InvalidInputError: the generator takes no source.
    """
    for position, entry in enumerate(entries):
        seeds, source = entry["seed_tasks"], entry.get("source")
        if not seeds.startswith(BUILTIN):
            require_file(session, seeds, param=f"generators.{position}.seed_tasks")
        if source is None:
            continue
        param = f"generators.{position}.source"
        if not GENERATORS[entry["type"]].takes_source:
            raise InvalidInputError(f"Generator '{entry['type']}' takes no source.", param=param)
        if source.startswith("file-"):
            require_file(session, source, param=param)
        else:
            require_dataset(session, source)


def read_sources(services: Services, entries: Iterable[dict[str, Any]], heldout_fraction: float) -> Sources:
    """Everything that ``entries`` name.

    Args:
        services: The opened store.
        entries: Of the job.
        heldout_fraction: Share of a file's groups of rows that is held out, rounded down.

    Raises:
        InvalidInputError: a file is in no known format, holds no row that fits, or holds too many.
        NotFoundError: a file was deleted since the job was made.
    """
    seeds: dict[str, SeedTask] = {}
    items: dict[str, tuple[SourceItem, ...]] = {}
    heldout: dict[str, tuple[SourceItem, ...]] = {}
    skipped: Counter[str] = Counter()
    for entry in entries:
        name = entry["type"]
        if GENERATORS[name].takes_seeds:
            seeds.update({task.id: task for task in _seeds(services, entry["seed_tasks"], skipped)})
        source = entry.get("source")
        if source is not None:
            if source.startswith("file-"):
                rows = tuple(_capped(_file_items(services, source, skipped), source))
                items[name], held = _hold_out(rows, heldout_fraction)
                if held:
                    heldout[name] = held
            else:
                items[name] = tuple(_capped(_samples(services, source), source))
    return Sources(seeds=tuple(seeds.values()), items=items, heldout=heldout, skipped=skipped)


def _hold_out(rows: Sequence[SourceItem], fraction: float) -> tuple[tuple[SourceItem, ...], tuple[SourceItem, ...]]:
    """Training rows and held-out rows; rows of one group (an article, a dialogue) stay together.

    Who is held out goes by the hash of what a group says, as with documents: the same file gives the same test rows in
    every job.
    """
    texts: dict[str, list[str]] = {}
    for row in rows:
        said = row.text or "\n".join(message.content for message in row.messages)
        texts.setdefault(row.group or row.id, []).append(said)
    ranked = sorted(texts, key=lambda group: hashlib.sha256("\n".join(texts[group]).encode()).digest())
    held = frozenset(ranked[: int(Fraction(str(fraction)) * len(ranked))])
    return (
        tuple(row for row in rows if (row.group or row.id) not in held),
        tuple(row for row in rows if (row.group or row.id) in held),
    )


def _capped(items: Iterable[SourceItem], source: str) -> Iterator[SourceItem]:
    for number, item in enumerate(items):
        if number >= MAX_ITEMS:
            raise InvalidInputError(
                f"'{source}' holds more than {MAX_ITEMS} rows; split it into several.", code="source_too_large"
            )
        yield item


def _file(services: Services, file_id: str) -> FileRow:
    with services.store.read() as session:
        return require_file(session, file_id)


def _rows(services: Services, file: FileRow, skipped: Counter[str]) -> Iterator[tuple[int, ImportedRow]]:
    path = readable_path(services, file.sha256, file.filename)
    fits = 0
    for number, row in enumerate(read_rows(path)):
        if isinstance(row, BadRow):
            skipped[row.reason] += 1
        else:
            fits += 1
            yield number, row
    if not fits:
        raise InvalidInputError(f"File '{file.id}' holds no row that fits.", code="no_rows")


def _seeds(services: Services, name: str, skipped: Counter[str]) -> tuple[SeedTask, ...]:
    if name.startswith(BUILTIN):
        return seed_tasks(name)
    file = _file(services, name)
    lines = services.blobs.path(file.sha256).read_text(encoding="utf-8-sig", errors="replace").splitlines()
    if next((line for line in lines if line.strip()), "").find('"instances"') >= 0:
        return parse_seed_tasks(lines)
    return tuple(_task(file.id, number, row) for number, row in _rows(services, file, skipped))


def _task(file_id: str, number: int, row: ImportedRow) -> SeedTask:
    """A seed task of a row: the instruction up to the first blank line, what stands below it as the input."""
    question, answer = (next(m.content for m in row.messages if m.role == role) for role in ("user", "assistant"))
    instruction, _, task_input = question.partition("\n\n")
    return SeedTask(
        id=f"{file_id}:{number}",
        name="",
        instruction=instruction.strip(),
        instances=((task_input.strip(), answer),),
        is_classification=False,
    )


def _file_items(services: Services, file_id: str, skipped: Counter[str]) -> Iterator[SourceItem]:
    for number, row in _rows(services, _file(services, file_id), skipped):
        yield SourceItem(
            id=f"{file_id}:{number}",
            messages=row.messages,
            text=row.context or "",
            group=f"{file_id}:{row.group_id}" if row.group_id is not None else None,
        )


def _samples(services: Services, dataset_id: str) -> Iterator[SourceItem]:
    """The accepted training samples of a dataset; a test gives nothing to learn from."""
    conditions = (
        SampleRow.dataset_id == dataset_id,
        SampleRow.status == "accepted",
        SampleRow.split == "train",
    )
    with services.store.read() as session:
        for row in listed(session, SampleRow, *conditions, order_by=SampleRow.seq):
            sample = row_to_sample(row)
            messages: tuple[Message, ...] = sample.candidate.messages
            yield SourceItem(
                id=sample.id,
                messages=messages,
                group=sample.candidate.group_id or sample.id,
                origin=sample.candidate.provenance,
                grounded=sample.candidate.grounded,
            )
