"""The files of a zip that comes again, and which of its members each of them is.

By name first, by bytes where a file has only moved. Knows no transaction and changes no row: that is
``archive_revisions``'.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from app.store.tables import DocumentRow
from corpora.errors import MalmoiError
from corpora.readers import ReadDocument

__all__ = ["File", "match_files", "was_read"]


@dataclass(slots=True)
class File:
    """A file of the newer zip."""

    filename: str
    sha256: str
    bytes: int
    told: tuple[str, ...]  #: What was changed in the name.
    found: ReadDocument | MalmoiError
    document_id: str | None = None  #: The document that it is, or becomes.
    twin: File | None = None  #: Another file of the zip that has the same bytes.
    same: bool = False  #: It was read from these bytes under this name.

    def pending(self) -> dict[str, Any]:
        """As ``DocumentRow.pending`` has it."""
        named = {"media_type": "", "title": "", "warnings": list(self.told)}
        return {"sha256": self.sha256, "bytes": self.bytes} | named


def match_files(files: Sequence[File], rows: Sequence[DocumentRow]) -> None:
    """Find each file's document among the members; of files with the same bytes one stands for all."""
    names = {row.filename for row in rows}
    exact = {(row.filename, row.sha256) for row in rows}
    first: dict[str, File] = {}
    # Under one name (and ending) the bytes may be a document that they are not under another.
    for one in sorted(
        files,
        key=lambda file: (
            not isinstance(file.found, ReadDocument),
            (file.filename, file.sha256) not in exact,
            file.filename not in names,
        ),
    ):
        one.twin = first.setdefault(one.sha256, one)
        one.twin = None if one.twin is one else one.twin
    left = {row.id: row for row in rows}
    for key in (attrgetter("filename", "sha256"), attrgetter("filename"), attrgetter("sha256")):
        waiting: defaultdict[Any, deque[DocumentRow]] = defaultdict(deque)
        for row in left.values():
            waiting[key(row)].append(row)
        for one in files:
            if one.twin is None and one.document_id is None and waiting[key(one)]:
                row = waiting[key(one)].popleft()
                del left[row.id]
                one.document_id = row.id
                one.same = was_read(row) and (row.filename, row.sha256) == (one.filename, one.sha256)


def was_read(row: DocumentRow) -> bool:
    """Whether it has a text, or members; it may wait for the index."""
    return row.status != "failed" and row.encoding is not None
