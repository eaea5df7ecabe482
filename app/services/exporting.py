"""Exports of a dataset: accepted samples in every format, out of one snapshot of the store.

``open_export`` is for HTTP, ``export_file`` makes the immutable file that a training job is given. Formats of lines
are streamed while the snapshot is open; CSV, Parquet and the bundle are written to a nameless temporary file first, so
that their size is known and a slow reader holds no transaction. What a format cannot carry is left out and counted.

The tag changes exactly when the bytes may: with the dataset's version, with what is asked for and with what writes
them. The bundle's card also tells of rejections and of source documents, so its tag covers these too.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator, Set
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any, BinaryIO, Literal

from app.services.bundle import write_bundle
from app.services.context import Services
from app.services.dataset_card import CardFacts, card_facts
from app.services.datasets import manifest_of, require_dataset
from app.services.export_rows import export_rows, side
from app.store.accepted import accepted_samples
from app.store.queries import Session
from corpora.errors import InvalidInputError, UnavailableError
from corpora.exporters import LINE_EXPORTS, ExportReport, export_line, refusal, write_export

__all__ = [
    "MEDIA_TYPES",
    "Blocks",
    "Export",
    "ExportFormat",
    "ExportRequest",
    "Frozen",
    "Split",
    "export_file",
    "open_export",
]

Split = Literal["train", "test", "all"]
ExportFormat = Literal["messages", "alpaca", "sharegpt", "prompt_completion", "csv", "parquet", "bundle"]

#: Media type of each format; that of Parquet is registered with IANA, that of JSON Lines is in use.
MEDIA_TYPES: dict[ExportFormat, str] = {
    "messages": "application/jsonl",
    "alpaca": "application/jsonl",
    "sharegpt": "application/jsonl",
    "prompt_completion": "application/jsonl",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "bundle": "application/zip",
}
_SUFFIXES = {"csv": ".csv", "parquet": ".parquet", "bundle": ".zip"}
#: Raised when a change of this code changes the bytes of an export.
_REVISION = "2"
#: Lines sent together, and bytes of a file.
_LINES, _BLOCK = 500, 1 << 20


class ExportFailedError(UnavailableError):
    """The export could not be written to the data folder."""

    code = "export_failed"
    hint = "Make room there and ask again."


class Blocks:
    """Bytes some at a time, and what must be closed behind them: at the end, at a fault, or by ``close``."""

    def __init__(self, blocks: Iterator[bytes], held: ExitStack) -> None:
        self._blocks = blocks
        self._held = held

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._blocks)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the snapshot or the temporary file back; may be called twice."""
        self._held.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportRequest:
    """What is asked for."""

    format: ExportFormat = "messages"  #: Form of the rows.
    split: Split | None = None  #: Which side; None is ``all`` for a bundle and ``train`` otherwise.
    metadata: bool = False  #: Whether id, split, group and provenance stand beside the messages.

    @property
    def side(self) -> Split:
        """The split that is meant."""
        return self.split or ("all" if self.format == "bundle" else "train")


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """An export about to be sent."""

    etag: str  #: Without quotes.
    filename: str  #: Names the dataset's version.
    media_type: str  #: Of the bytes.
    refused: dict[str, int] = field(default_factory=dict)  #: Samples that the format cannot carry, by reason.
    length: int | None = None  #: Bytes, where known.
    blocks: Blocks | None = None  #: To be closed by who takes it; None when the client has these bytes already.
    manifest: dict[str, Any] = field(default_factory=dict)  #: The dataset's, of the version that is exported.


@dataclass(frozen=True, kw_only=True, slots=True)
class Frozen:
    """An export as it was at one moment, kept for a job."""

    sha256: str  #: Of the rows, and their name in the blob store.
    bytes: int
    manifest: dict[str, Any]  #: What these rows are: the dataset and its version, the split, hash of the rows, tools.


def open_export(services: Services, dataset_id: str, request: ExportRequest, held: Set[str] = frozenset()) -> Export:
    """Accepted samples in order of acceptance; the same version gives the same bytes.

    Args:
        services: The opened services.
        dataset_id: Which dataset.
        request: Format, split and metadata.
        held: Tags of the bytes that the client has; ``*`` stands for any.

    Raises:
        NotFoundError: there is no such dataset.
        InvalidInputError: no sample fits the format (``nothing_exportable``), or it has no room for metadata
            (``metadata_not_supported``).
        ExportFailedError: there is no room for the temporary file.
    """
    if request.metadata and request.format == "csv":
        raise InvalidInputError(
            "CSV has the two columns question and answer and no room for metadata; ask for metadata=false, or for "
            "parquet or a format of lines.",
            param="metadata",
            code="metadata_not_supported",
        )
    with ExitStack() as stack:
        session = stack.enter_context(services.store.snapshot())
        dataset = require_dataset(session, dataset_id)
        facts = card_facts(session, dataset, request.side) if request.format == "bundle" else None
        etag = _tag(dataset_id, dataset.version, request, facts)
        filename = _filename(dataset_id, dataset.version, request)
        export = Export(etag=etag, filename=filename, media_type=MEDIA_TYPES[request.format])
        if held & {etag, "*"}:
            return export
        export = replace(export, manifest=manifest_of(session, dataset))
        if request.format in LINE_EXPORTS:
            refused = _refusals(session, dataset_id, request)
            blocks = Blocks(_lines(session, dataset_id, request), stack.pop_all())
            return replace(export, refused=refused, blocks=blocks)
        # Closed with the stack unless it is handed on; the snapshot ends here in both cases.
        with ExitStack() as spool:
            file, report = _spooled(services, session, dataset_id, request, facts, spool)
            length = file.seek(0, 2)
            file.seek(0)
            blocks = Blocks(iter(lambda: file.read(_BLOCK), b""), spool.pop_all())
        return replace(export, refused=report.refused, length=length, blocks=blocks)


def _tag(dataset_id: str, dataset_version: int, request: ExportRequest, facts: CardFacts | None) -> str:
    writers = [_REVISION]
    if request.format in ("parquet", "bundle"):
        writers.append(version("pyarrow"))
    if facts is not None:
        writers += [zlib.ZLIB_RUNTIME_VERSION, facts.digest()]
    what = [dataset_id, dataset_version, request.format, request.side, request.metadata, writers]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]


def _filename(dataset_id: str, dataset_version: int, request: ExportRequest) -> str:
    name = f"{dataset_id}-v{dataset_version}-{request.side}"
    if request.format in LINE_EXPORTS:
        return f"{name}-{request.format}.jsonl"
    return name + _SUFFIXES[request.format]


def _refusals(session: Session, dataset_id: str, request: ExportRequest) -> dict[str, int]:
    """What the format cannot carry, counted before the first line is sent."""
    refused: Counter[str] = Counter()
    rows = 0
    for sample in accepted_samples(session, dataset_id, side(request.side), provenance=False):
        rows += 1
        reason = refusal(sample.messages, request.format)
        if reason is not None:
            refused[reason] += 1
    _require_some(ExportReport(written=rows - refused.total(), refused=dict(refused)), dataset_id, request)
    return dict(refused)


def _require_some(report: ExportReport, dataset_id: str, request: ExportRequest) -> None:
    """An empty dataset is an empty file; a file that is empty because nothing fits would be a lie."""
    if report.written or not (report.refused or request.format == "bundle"):
        return
    where = f"in split '{request.side}'" if request.side != "all" else "at all"
    if not report.refused:
        what = f"Dataset '{dataset_id}' has no accepted sample {where}."
    else:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(report.refused.items()))
        what = (
            f"The format '{request.format}' can carry none of the {sum(report.refused.values())} accepted samples "
            f"({reasons}); 'messages' and 'sharegpt' carry several turns and system turns."
        )
    raise InvalidInputError(what, param="format", code="nothing_exportable")


def _lines(session: Session, dataset_id: str, request: ExportRequest) -> Iterator[bytes]:
    lines: list[str] = []
    for messages, metadata in export_rows(session, dataset_id, request.side, metadata=request.metadata):
        if refusal(messages, request.format) is None:
            lines.append(export_line(messages, request.format, metadata) + "\n")
        if len(lines) == _LINES:
            yield "".join(lines).encode()
            lines.clear()
    if lines:
        yield "".join(lines).encode()


def _spooled(
    services: Services,
    session: Session,
    dataset_id: str,
    request: ExportRequest,
    facts: CardFacts | None,
    stack: ExitStack,
) -> tuple[BinaryIO, ExportReport]:
    """The export as a temporary file without a name: gone with its handle, even when the process dies."""
    try:
        file: BinaryIO = stack.enter_context(tempfile.TemporaryFile(dir=services.folder("exports")))  # noqa: SIM115 -- closed by the stack
        if facts is not None:
            report = write_bundle(session, facts, file, metadata=request.metadata)
        else:
            rows = export_rows(session, dataset_id, request.side, metadata=request.metadata)
            report = write_export(rows, file, request.format)
    except OSError as exc:
        raise ExportFailedError(f"The export cannot be written to the data folder: {exc.strerror or exc}.") from exc
    _require_some(report, dataset_id, request)
    return file, report


def export_file(services: Services, dataset_id: str, split: Split) -> Frozen:
    """The export as an immutable blob. For training, which must not see later changes.

    Raises:
        InvalidInputError: there is no accepted sample in that split, or one without an answer.
    """
    export = open_export(services, dataset_id, ExportRequest(split=split))
    assert export.blocks is not None
    with closing(export.blocks) as blocks:
        if export.refused:
            # Training on fewer rows than the dataset shows would go unnoticed.
            raise InvalidInputError(
                f"Dataset '{dataset_id}' has {sum(export.refused.values())} accepted sample(s) without an answer in "
                f"split '{split}'; curate it again.",
                param="training_file",
                code="not_exportable",
            )
        first = next(blocks, None)
        if first is None:
            raise InvalidInputError(
                f"Dataset '{dataset_id}' has no accepted sample in split '{split}'.",
                param="training_file",
                code="dataset_empty",
            )

        def whole() -> Iterator[bytes]:
            yield first
            yield from blocks

        sha256, size = services.blobs.put(whole(), None)
    manifest = {"dataset_id": dataset_id, "split": split, "rows_sha256": sha256, **export.manifest}
    return Frozen(sha256=sha256, bytes=size, manifest=manifest)
