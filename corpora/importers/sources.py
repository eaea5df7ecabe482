"""Files and folders as records: what a file is made of is found by its bytes, a name only decides what they leave open.

Hugging Face folders come in two kinds: data files beside a card (``data/train-00000-of-00001.parquet``), and what
``save_to_disk`` writes, where ``state.json`` names the files of the dataset among caches. Knows nothing of datasets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from corpora.errors import InvalidInputError, NotFoundError
from corpora.importers.cutter import ARRAY_KEYS
from corpora.importers.jsonfile import Record, json_document, json_lines, parse_object
from corpora.importers.lines import TextFile
from corpora.importers.rows import BadRow, RowError, printable
from corpora.importers.tables import arrow_rows, csv_rows, parquet_rows

__all__ = ["Source", "records", "sources"]

_SUFFIXES = frozenset({".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow"})
#: Files of Hugging Face folders that describe the data and hold none.
_DESCRIPTIONS = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"})
_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2"}
_SPLIT = re.compile(r"^(train|validation|valid|dev|test)(?![a-z])", re.IGNORECASE)
#: So many lines are looked at to tell JSON Lines from a document.
_SAMPLE_LINES = 20
_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One file of a dataset."""

    path: Path  #: Where it is.
    name: str  #: Relative to the folder that was given; the file's own name where a file was.
    split: str | None = None  #: ``train``, ``validation`` or ``test`` where names say so.


def sources(path: Path) -> list[Source]:
    """The files of a dataset, in the order of their names.

    Raises:
        NotFoundError: there is nothing at ``path``.
        InvalidInputError: a folder without data files (``empty_folder``), or a saved dataset with indices
            (``unsupported_dataset``): its files hold rows that were filtered out of it.
    """
    if path.is_file():
        return [Source(path=path, name=printable(path.name))]
    if not path.is_dir():
        raise NotFoundError(f"There is no file or folder '{path.name}'.")
    found = _one_copy(sorted(_inside(path, path), key=lambda source: source.name))
    if not found:
        raise InvalidInputError(
            f"The folder '{path.name}' holds no data file ({', '.join(sorted(_SUFFIXES))}).", code="empty_folder"
        )
    return found


def _one_copy(found: list[Source]) -> list[Source]:
    """Without the text files of folders that hold Parquet too: published datasets carry their rows in both forms."""
    tables = {source.path.parent for source in found if source.path.suffix.lower() == ".parquet"}
    return [s for s in found if s.path.parent not in tables or s.path.suffix.lower() == ".parquet"]


def _inside(folder: Path, root: Path) -> Iterator[Source]:
    if (folder / "state.json").is_file():
        for name in _saved_files(folder):
            yield _source(folder / name, root)
        return
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name in _DESCRIPTIONS:
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _inside(path, root)
        elif path.is_file() and path.suffix.lower() in _SUFFIXES:
            yield _source(path, root)


def _saved_files(folder: Path) -> list[str]:
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        names = [file["filename"] for file in state["_data_files"]]
    except (ValueError, KeyError, TypeError) as exc:
        raise InvalidInputError(f"'{folder.name}/state.json' cannot be read: {exc}.", code="broken_dataset") from exc
    if state.get("_indices_data_files") or state.get("_indices_files"):
        raise InvalidInputError(
            f"'{folder.name}' is a selection of a dataset, saved with indices.",
            code="unsupported_dataset",
            hint="Save it again after dataset.flatten_indices().",
        )
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or not (folder / name).is_file():
            raise InvalidInputError(
                f"'{folder.name}/state.json' names {name!r}, no file beside it.", code="broken_dataset"
            )
    return names


def _source(path: Path, root: Path) -> Source:
    name = path.relative_to(root)
    match = next((m for part in (path.name, *reversed(name.parts[:-1])) if (m := _SPLIT.match(part))), None)
    split = match.group(1).lower() if match else None
    return Source(
        path=path,
        name=printable(name.as_posix()),
        split={"valid": "validation", "dev": "validation"}.get(split or "", split),
    )


def records(path: Path, limit: int) -> Iterator[Record | BadRow]:
    """The rows of one file; one over ``limit`` bytes is bad.

    Raises:
        InvalidInputError: packed, empty, or a table that cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(8)
    packed = next((name for magic, name in _PACKED.items() if head.startswith(magic)), None)
    if packed:
        raise InvalidInputError(f"'{path.name}' is packed with {packed}; unpack it first.", code="packed_file")
    if head.startswith(b"PAR1"):
        return parquet_rows(path)
    if head.startswith(b"ARROW1") or path.suffix.lower() == ".arrow":
        return arrow_rows(path)
    text = TextFile(path)
    kind = _text_kind(text)
    if kind == "csv":
        return csv_rows(text, limit)
    return json_lines(text, limit) if kind == "jsonl" else json_document(text, limit)


def _text_kind(file: TextFile) -> str:
    """``jsonl``, ``json`` or ``csv``."""
    suffix = file.path.suffix.lower()
    sample = next(file.blocks())
    whole = len(sample) >= file.size - 4  # but for a byte-order mark
    pieces = _LINE_END.split(sample)
    lines = [piece.strip() for piece in (pieces if whole else pieces[:-1] or pieces)]
    lines = [line for line in lines if line][:_SAMPLE_LINES]
    first = lines[0] if lines else b""
    if first.startswith(b"[") and not (suffix in (".jsonl", ".ndjson") and _any_object(file, lines[1:])):
        return "json"
    if suffix in (".jsonl", ".ndjson"):
        return "jsonl"
    if not first.startswith(b"{"):
        return "jsonl" if suffix == ".json" or _any_object(file, lines[1:]) else "csv"
    row = _object(file, first)
    if row is None:
        # A document over several lines, unless its first line is broken and others are rows.
        return "jsonl" if _any_object(file, lines[1:], behind=first) else "json"
    holds_rows = any(key in ARRAY_KEYS and isinstance(value, list) for key, value in row.items())
    return "json" if holds_rows and len(lines) == 1 else "jsonl"


def _object(file: TextFile, line: bytes) -> dict[str, object] | None:
    try:
        return parse_object(file, line)
    except RowError:
        return None


def _any_object(file: TextFile, lines: list[bytes], behind: bytes = b"") -> bool:
    """Whether a line is a whole object by itself and no element of a list that goes on around it."""
    for line in lines:
        if line.startswith(b"{") and not behind.endswith((b",", b"[")) and _object(file, line) is not None:
            return True
        behind = line
    return False
