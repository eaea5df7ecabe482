"""The rows of several input files, numbered in order: what a curation of files reads, more than once where it must.

Knows which input a row is from, what could not be carried (``told``), and whether a second reading found the same rows.
Files are named as a person knows them; a name in another encoding than UTF-8 is shown with escapes.

Use::

    reading = InputRows((Path("a.jsonl"), Path("모음/")), ImportOptions())
    for number, row in enumerate(reading.rows()):
        reading.input_of(number)    # 0 or 1
    reading.check_same()
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from corpora.errors import ConflictError, InvalidInputError
from corpora.importers import BadRow, ImportedRow, printable, read_rows
from generators.curation.bulk import BulkRow
from generators.imported import ImportOptions, imported_rows

__all__ = ["InputRows", "input_names"]

#: Fields of a source that an output with metadata carries, since no candidate has a place for them.
CARRIED = ("title", "other_answers")


def input_names(paths: Sequence[Path]) -> list[str]:
    """How each path is called: its name, with its folder where two have one name, whole where that is one too."""
    names = [printable(path.name) for path in paths]
    longer = [printable("/".join(path.parts[-2:])) for path in paths]
    found = []
    for path, name, more in zip(paths, names, longer, strict=True):
        if names.count(name) == 1:
            found.append(name)
        else:
            found.append(more if longer.count(more) == 1 else printable(str(path)))
    return found


class InputRows:
    """Rows of files and folders; ``rows`` may be called again and starts anew."""

    def __init__(self, paths: Sequence[Path], options: ImportOptions, *, carry: bool = False) -> None:
        self.told: Counter[str] = Counter()
        self._paths = paths
        self._options = options
        self._carry = carry
        self._starts: list[int] = []
        self._digests: set[str] = set()
        #: Fields of rows that were read and not yet asked for, by number.
        self._fields: dict[int, dict[str, Any]] = {}

    def rows(self) -> Iterator[BulkRow]:
        """Every row, from the first.

        Raises:
            InvalidInputError: the only input cannot be read; among several such a one is one bad row.
        """
        self.told, self._starts, self._fields = Counter(), [], {}
        digest, number = hashlib.sha256(), 0
        names = [printable(path.name) for path in self._paths]
        for place, (path, shown) in enumerate(zip(self._paths, input_names(self._paths), strict=True)):
            self._starts.append(number)
            # Ids come from the name; of two files with one name each gets its own.
            source = names[place] if names.count(names[place]) == 1 else f"{place}/{names[place]}"
            read = self._noted(self._read(path, shown), number)
            for row in imported_rows(read, source, self._options, self.told):
                number += 1
                candidate = row.candidate
                digest.update(repr((row.key, row.split, candidate.messages, candidate.malformed)).encode("utf-8"))
                yield row
        self._digests.add(digest.hexdigest())

    def input_of(self, number: int) -> int:
        """Which input a row that was read is from, both counted from 0."""
        return bisect_right(self._starts, number) - 1

    def fields_of(self, number: int) -> dict[str, Any]:
        """What no candidate has a place for, where ``carry`` was asked; once for each row."""
        return self._fields.pop(number, {})

    def check_same(self) -> None:
        """Every whole reading found the same rows, to the last letter.

        Raises:
            ConflictError: a file was changed in between.
        """
        if len(self._digests) > 1:
            raise ConflictError("The rows changed while they were curated; run it again.", code="rows_changed")

    def _read(self, path: Path, shown: str) -> Iterator[ImportedRow | BadRow]:
        folder, line = path.is_dir(), 0
        try:
            for row in read_rows(path, self._options.format):
                line = row.line
                yield replace(row, file=f"{shown}/{row.file}" if folder and row.file else shown)
        except InvalidInputError as exc:
            if len(self._paths) == 1:
                raise
            # One file among several that cannot be read, or not to its end, is one more row that cannot.
            why = printable(exc.message)
            yield BadRow(line=line + 1, reason=exc.code or "unreadable", message=why, excerpt="", file=shown)

    def _noted(self, rows: Iterable[ImportedRow | BadRow], first: int) -> Iterator[ImportedRow | BadRow]:
        for number, row in enumerate(rows, start=first):
            if self._carry and isinstance(row, ImportedRow):
                fields = {name: row.metadata[name] for name in CARRIED if name in row.metadata}
                if fields:
                    self._fields[number] = fields
            yield row
