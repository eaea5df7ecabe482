"""Tables as records: CSV, Parquet and Arrow files, streamed.

CSV is read strictly: a row with too few or too many cells and a quote that never closes are bad rows, and reading goes
on in the line behind the one where the bad row began. Cells are never altered, one that begins with ``=`` neither:
whoever opens such a file in a spreadsheet has to guard against formulas there. Knows nothing of datasets.
"""

from __future__ import annotations

import csv
import json
import unicodedata
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from corpora.errors import InvalidInputError, UnreadableDocumentError
from corpora.importers.jsonfile import Record
from corpora.importers.lines import Line, TextFile
from corpora.importers.rows import BadRow, RowError, excerpt_of

__all__ = ["arrow_rows", "csv_rows", "parquet_rows"]

#: In the order in which they are tried; the one that cuts the header into most columns wins, a tie the earlier.
_DELIMITERS = (",", "\t", ";", "|")
#: Longest row of a CSV over several lines, in characters: bounds what an unclosed quote can swallow and be re-read.
_MAX_CSV_ROW = 1 << 20
#: Rows that are turned into Python objects at once.
#: Unpacked bytes of one row group of Parquet, which are read together; writers make groups of 128 MB at most.
MAX_GROUP_BYTES = 512 << 20
_BATCH = 256


class _Source:
    """Lines with their ends for ``csv.reader``; remembers those of the row at hand, so that they can be read again."""

    def __init__(self, file: TextFile, limit: int) -> None:
        self._file, self._limit = file, limit
        self._lines = file.lines(limit)
        self._again: deque[Line] = deque()
        self.taken: list[Line] = []
        self._characters = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.taken.append(line)
        if line.too_long:
            raise RowError("line_too_long", f"{line.size:,} bytes in one line; the limit is {self._limit:,}.")
        text = self._file.text(line.data + line.end)
        self._characters += len(text)
        if len(self.taken) > 1 and self._characters > _MAX_CSV_ROW:
            raise RowError("broken_csv", f"a quote is not closed within {_MAX_CSV_ROW:,} characters.")
        return text

    def new_row(self) -> None:
        """The row at hand is done."""
        self.taken, self._characters = [], 0

    def back_up(self) -> Line:
        """Give back all lines of the row at hand but the first, which is returned."""
        first, *others = self.taken
        self._again.extendleft(reversed(others))
        self.new_row()
        return first


def csv_rows(file: TextFile, limit: int) -> Iterator[Record | BadRow]:
    """Rows of a CSV as objects by the names in its first row (NFC, lower case, trimmed).

    Raises:
        InvalidInputError: the first row is no header: a name is empty or stands twice (``csv_header``).
    """
    # The library's own limit is 131,072 characters and process-wide; lines are bounded before they come here.
    csv.field_size_limit(max(csv.field_size_limit(), limit))
    source = _Source(file, limit)
    delimiter, header = _header(source, file)
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    while True:
        source.new_row()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (csv.Error, RowError) as exc:
            fault = exc if isinstance(exc, RowError) else RowError("broken_csv", f"not valid CSV: {exc}.")
            yield _bad(source.back_up(), fault, file)
            reader = csv.reader(source, delimiter=delimiter, strict=True)
            continue
        if not cells:
            continue
        first = source.taken[0]
        if len(cells) != len(header):
            message = f"{len(cells)} cells where the header has {len(header)}."
            yield _bad(first, RowError("wrong_columns", message), file)
            continue
        yield Record(first.number, dict(zip(header, cells, strict=True)), excerpt_of(file.shown(first.data)))


def _header(source: _Source, file: TextFile) -> tuple[str, list[str]]:
    name = file.path.name
    first = ""
    while not first.strip():
        try:
            first = next(source)
        except StopIteration:
            raise InvalidInputError(f"'{name}' holds no row.", code="empty_file") from None
        except RowError as fault:
            raise InvalidInputError(
                f"'{name}': the header cannot be read: {fault.message}", code="csv_header"
            ) from None
    delimiter = max(_DELIMITERS, key=lambda d: len(next(csv.reader([first], delimiter=d), [])))
    header = [
        unicodedata.normalize("NFC", cell).strip().lower() for cell in next(csv.reader([first], delimiter=delimiter))
    ]
    if len(set(header)) < len(header) or "" in header:
        raise InvalidInputError(
            f"'{name}': the first row {header} is no header; every column needs a name of its own.",
            code="csv_header",
            hint="Put a first row such as question,answer or 질문,답변 above the data.",
        )
    return delimiter, header


def _bad(line: Line, fault: RowError, file: TextFile) -> BadRow:
    excerpt = excerpt_of(file.shown(line.data))
    return BadRow(line=line.number, reason=fault.code, message=fault.message, excerpt=excerpt)


def parquet_rows(path: Path) -> Iterator[Record | BadRow]:
    """Rows of a Parquet file.

    Raises:
        UnreadableDocumentError: it is no Parquet (``broken_parquet``).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # memory_map and pre_buffer off: only the pages of the batch at hand are held.
        with pq.ParquetFile(path, pre_buffer=False) as file:
            _refuse_bombs(path, file.metadata)
            yield from _batches(file.iter_batches(batch_size=_BATCH))
    except (pa.ArrowException, OSError) as exc:
        raise UnreadableDocumentError(f"'{path.name}' is no readable Parquet: {exc}", code="broken_parquet") from exc


def _refuse_bombs(path: Path, metadata: Any) -> None:
    """Refuse what unpacks to more than memory should hold at once: some kilobytes of Parquet can be gigabytes."""
    for number in range(metadata.num_row_groups):
        size = metadata.row_group(number).total_byte_size
        if size > MAX_GROUP_BYTES:
            raise UnreadableDocumentError(
                f"Row group {number} of '{path.name}' unpacks to {size >> 20} MB; write groups of at most "
                f"{MAX_GROUP_BYTES >> 20} MB.",
                code="row_group_too_large",
            )


def arrow_rows(path: Path) -> Iterator[Record | BadRow]:
    """Rows of an Arrow file or stream, as ``Dataset.save_to_disk`` writes them.

    Raises:
        UnreadableDocumentError: it is no Arrow (``broken_arrow``).
    """
    import pyarrow as pa
    from pyarrow import ipc

    try:
        with pa.memory_map(str(path)) as mapped:
            if mapped.read(6) == b"ARROW1":
                reader = ipc.open_file(mapped)
                batches: Iterator[Any] = (reader.get_batch(i) for i in range(reader.num_record_batches))
            else:
                mapped.seek(0)
                batches = iter(ipc.open_stream(mapped))
            yield from _batches(part for batch in batches for part in _parts(batch))
    except (pa.ArrowException, OSError) as exc:
        raise UnreadableDocumentError(f"'{path.name}' is no readable Arrow: {exc}", code="broken_arrow") from exc


def _parts(batch: Any) -> Iterator[Any]:
    for start in range(0, batch.num_rows, _BATCH):
        yield batch.slice(start, _BATCH)


def _batches(batches: Iterator[Any]) -> Iterator[Record | BadRow]:
    number = 0
    for batch in batches:
        for row in _objects(batch):
            number += 1
            if isinstance(row, RowError):
                yield BadRow(line=number, reason=row.code, message=row.message, excerpt="")
            else:
                yield Record(number, row, _beginning(row))


def _objects(batch: Any) -> Sequence[dict[str, Any] | RowError]:
    try:
        return list(batch.to_pylist())
    except UnicodeDecodeError:
        if batch.num_rows == 1:
            return [RowError("undecodable_bytes", "a text in this row is no UTF-8.")]
        return [row for index in range(batch.num_rows) for row in _objects(batch.slice(index, 1))]


def _beginning(row: dict[str, Any]) -> str:
    """A row of a table has no text of its own; its first fields stand in for it."""
    shown = {
        name: value[:200] if isinstance(value, str) else value[:1] if isinstance(value, list) else value
        for name, value in row.items()
    }
    return excerpt_of(json.dumps(shown, ensure_ascii=False, default=str))
