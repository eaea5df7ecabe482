"""Importers of known datasets: a file or folder in, one conversation at a time out, in bounded memory.

::

    for row in read_rows(Path("KoAlpaca_v1.1.jsonl")):
        if isinstance(row, BadRow):
            print(f"line {row.line}: {row.message}")
        else:
            use(row.messages)

A format is found by looking at the first rows; ``FORMATS`` has them by name. What does not fit is a ``BadRow`` with its
line and its reason, and reading goes on: rows in = rows out + bad rows. Conversations are kept whole, and nothing is
read out of a rendered template. Not here: filters, duplicates, the network; an imported row is judged like any other.

Decided:

- A row over 16 MiB is bad (``line_too_long``) and never held in memory; KorQuAD 2's longest articles are a few MiB.
- A file is read up to the size it had at the beginning. A last line without a line end that is no whole row is bad
  with a reason of its own, ``unfinished_line``: the file was cut off, or was still being written.
- UTF-8, UTF-16 and UTF-32 by byte-order mark; else UTF-8, or CP949 when more lines are Korean in it than are UTF-8.
- Text is NFC and otherwise unaltered, line ends inside contents too.
- A dataset's own split has two sides here: its validation is ``test`` too, since neither is to be trained on. Names of
  files tell it where both sides are in the folder; else a column ``split``, or our own export's metadata.
- Our own exports carry ``group_id`` (variants) and ``group`` (document, article) in their object ``metadata``. A
  foreign column ``group_id`` keeps rows on one side and makes them no variants: it may be any category.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from corpora.errors import InvalidInputError
from corpora.importers.formats import FORMATS, Format, best_format
from corpora.importers.jsonfile import Record
from corpora.importers.rows import BadRow, ImportedRow, OwnSplit, RowError, printable, told_beside
from corpora.importers.sources import Source, records, sources

__all__ = ["FORMATS", "MAX_LINE_BYTES", "BadRow", "Format", "ImportedRow", "detect", "printable", "read_rows"]

#: Longest row in bytes, unless told otherwise.
MAX_LINE_BYTES = 16 << 20
#: A format is found on so many rows that could be read; of so many that could not, no more are tried.
_SAMPLE_ROWS = 20
_SAMPLE_ITEMS = 400
_SIDES: dict[str, OwnSplit] = {
    "train": "train",
    "validation": "test",
    "valid": "test",
    "val": "test",
    "dev": "test",
    "test": "test",
}


def detect(path: Path, *, max_line_bytes: int = MAX_LINE_BYTES) -> str:
    """Name of the format of a file, or of the first data file of a folder.

    Raises:
        InvalidInputError: no known format fits (``unknown_format``); the message says what was seen.
        NotFoundError: there is nothing at ``path``.
    """
    return _detect(sources(path)[0], max_line_bytes)


def read_rows(
    path: Path,
    format: str | None = None,  # noqa: A002 - the name users know
    *,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> Iterator[ImportedRow | BadRow]:
    """All rows of a file or folder, in order; each either imported or bad.

    Args:
        path: File, or Hugging Face folder.
        format: Name in ``FORMATS``; found by looking when None, for each file of a folder.
        max_line_bytes: Longer rows are bad.

    Raises:
        InvalidInputError: unknown name, no known format fits, or a file that cannot be read at all. Raised by the call
            itself, before the first row, except where a table or file breaks in its middle.
        NotFoundError: there is nothing at ``path``.
    """
    if format is not None and format not in FORMATS:
        raise InvalidInputError(
            f"There is no format '{format}'; known are {', '.join(FORMATS)}.", param="format", code="unknown_format"
        )
    plan = [(source, FORMATS[format or _detect(source, max_line_bytes)]) for source in sources(path)]
    return _read(plan, max_line_bytes)


def _read(plan: list[tuple[Source, Format]], limit: int) -> Iterator[ImportedRow | BadRow]:
    # A folder of tests alone is a dataset like any other, not one whose rows must all be kept from training.
    two_sided = len({_SIDES.get(source.split or "train") for source, _ in plan}) > 1
    for source, known in plan:
        side = _SIDES[source.split or "train"] if two_sided else None
        for record in records(source.path, limit):
            if isinstance(record, BadRow):
                yield replace(record, file=source.name)
            else:
                yield from _convert(record, known, source, side)


def _convert(record: Record, known: Format, source: Source, side: OwnSplit | None) -> Iterator[ImportedRow | BadRow]:
    told = told_beside(record.value) or {}
    try:
        for row in known.convert(record.value):
            if isinstance(row, RowError):
                yield _bad(record, row, source)
                continue
            metadata = row.metadata if source.split is None else {"split": source.split, **row.metadata}
            variant = _text(told, "group_id")
            group = row.group_id or _text(told, "group") or _text(metadata, "group_id")
            own = side or _SIDES.get(str(row.metadata.get("split")).lower())
            placed = replace(row, metadata=metadata, line=record.line, file=source.name)
            yield replace(placed, group_id=group, variant_id=variant, split=own)
    except RowError as fault:
        yield _bad(record, fault, source)


def _text(told: Mapping[str, Any], name: str) -> str | None:
    value = told.get(name)
    return value if isinstance(value, str) and value else None


def _bad(record: Record, fault: RowError, source: Source) -> BadRow:
    return BadRow(
        line=record.line,
        reason=fault.code,
        message=fault.message,
        excerpt=record.excerpt,
        where=".".join(part for part in (record.where, fault.where) if part),
        file=source.name,
    )


def _detect(source: Source, limit: int) -> str:
    seen = list(islice(records(source.path, limit), _SAMPLE_ITEMS))
    rows = [item.value for item in seen if isinstance(item, Record)][:_SAMPLE_ROWS]
    name = best_format(rows)
    if name is not None:
        return name
    if rows:
        what = f"the first row has {', '.join(sorted(rows[0])[:12])}"
    elif seen and isinstance(seen[0], BadRow):
        what = f"no row could be read; line {seen[0].line}: {seen[0].message}"
    else:
        what = "it holds no row"
    raise InvalidInputError(
        f"'{source.name}' is in no known format: {what}. Known are {', '.join(FORMATS)}.",
        code="unknown_format",
        hint="Name the format, or rename the columns; a CSV needs a first row such as question,answer or 질문,답변.",
    )
