"""Curation of files: ``malmoi curate`` and ``malmoi import`` without a server or a store.

The same ``BulkCurator`` as the service's jobs, so the same decisions. What could not be read is a rejected row with its
line, like any other rejection: rows = accepted + rejected.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from app.services.outputs import WholeFiles
from corpora.errors import InvalidInputError, MalmoiError
from corpora.exporters import export_line
from corpora.ids import content_id
from corpora.importers import BadRow, ImportedRow, read_rows
from corpora.readers import READERS, read_document
from corpora.records import Candidate, Provenance, Sample, Verdict
from generators.curation.bulk import BulkCurator, BulkRow
from generators.curation.conversation import IMPORTED, asked_text, whole_text
from generators.curation.decontamination import Contamination
from generators.curation.report import Report, write_report
from generators.curation.settings import CurationSettings
from generators.curation.splits import SplitRow, assign_sides
from generators.imported import imported_rows
from retrieval.clusters import DuplicateGraph
from retrieval.near_duplicates import LexicalDuplicates, Tokenized

__all__ = ["Counts", "CurationFiles", "curate_files", "import_files", "protect"]

#: Rows between two reports of progress.
TICK = 500
#: Two questions this much alike never stand on different sides of a split, whatever the threshold of curation.
LEAK_THRESHOLD = "0.5"
SHOWN_BAD_ROWS = 20
Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class CurationFiles:
    """Where a curation reads and writes."""

    inputs: tuple[Path, ...]  #: Files or Hugging Face folders, in order.
    output: Path  #: Accepted rows, JSONL in the messages schema.
    rejected: Path | None = None  #: Rejected rows with their verdicts, JSONL.
    report: Path | None = None  #: ``.json``, ``.html``, or a folder for both and the plots.
    test: Path | None = None  #: Test rows, taken out of the output.
    test_fraction: str = "0.1"  #: Share of the test, a decimal.
    format: str | None = None  #: Name in ``corpora.importers.FORMATS``; found by looking when None.
    metadata: bool = False  #: Whether output lines carry id, source and flags.


@dataclass(kw_only=True, slots=True)
class Counts:
    """What became of the rows: ``rows = accepted + rejected``, rows that could not be read among the rejected."""

    rows: int = 0  #: Rows found.
    accepted: int = 0  #: Rows kept, the test's too.
    test: int = 0  #: Of these, rows of the test.
    rejected: Counter[str] = field(default_factory=Counter)  #: Rows dropped, by reason.
    unreadable: int = 0  #: Of these, rows that could not be read.
    shown: list[str] = field(default_factory=list)  #: The first of those, each with its line and reason.
    seconds: dict[str, float] = field(default_factory=dict)  #: Time by stage.

    def add(self, sample: Sample) -> None:
        """Count a row."""
        self.rows += 1
        if sample.accepted:
            self.accepted += 1
            return
        self.rejected[sample.verdict.reason] += 1
        if sample.candidate.malformed is not None:
            self.note(sample.candidate.malformed)

    def note(self, fault: str) -> None:
        """Remember a row that could not be read."""
        self.unreadable += 1
        if len(self.shown) < SHOWN_BAD_ROWS:
            self.shown.append(fault)

    def check(self) -> None:
        """Every row is accounted for, and one at least was a row.

        Raises:
            InvalidInputError: nothing could be read.
            MalmoiError: the numbers do not add up: a fault of ours, so nothing is written.
        """
        if self.rows != self.accepted + self.rejected.total():
            raise MalmoiError(f"{self.rows} rows went in, {self.accepted} + {self.rejected.total()} came out.")
        if self.rows == self.unreadable:
            first = f" The first: {self.shown[0]}" if self.shown else ""
            raise InvalidInputError(f"None of the {self.rows} rows can be read.{first}", code="nothing_fits")


def _rows(files: CurationFiles) -> Iterator[BulkRow]:
    names = [path.name for path in files.inputs]
    for number, path in enumerate(files.inputs):
        # Ids come from the name; of two files with one name each gets its own.
        name = path.name if names.count(path.name) == 1 else f"{number}/{path.name}"
        try:
            found: Iterable[ImportedRow | BadRow] = read_rows(path, files.format)
        except InvalidInputError as exc:
            if len(files.inputs) == 1:
                raise
            # One file among several that cannot be read is one more row that cannot.
            found = [BadRow(line=1, reason=exc.code, message=exc.message, excerpt="", file=path.name)]
        yield from imported_rows(found, name, files.format)


def curate_files(
    files: CurationFiles,
    settings: CurationSettings,
    *,
    semantic: bool = True,
    contamination: Contamination | None = None,
    progress: Progress = lambda _rows: None,
) -> Counts:
    """Curate files.

    Args:
        files: What is read and written.
        settings: Thresholds.
        semantic: Whether near-duplicates by meaning are looked for too.
        contamination: Texts that nothing accepted may give away.
        progress: Told how many rows are done, now and then.

    Raises:
        InvalidInputError: no row can be read (``nothing_fits``), an input is of no known format.
        OutputError: an output cannot be written; earlier outputs are untouched.
    """
    counts, report = Counts(), Report()
    curation = BulkCurator(settings, semantic=semantic, contamination=contamination)
    with WholeFiles() as outputs:
        # With a test the sides are known at the end only.
        kept = outputs.open(files.output) if files.test is None else outputs.spool(files.output)
        dropped = outputs.open(files.rejected) if files.rejected else None
        accepted: list[tuple[SplitRow, Tokenized]] = []
        comparing = LexicalDuplicates(LEAK_THRESHOLD, settings.tokenizer, (), settings.domain_nouns)
        for sample in curation.run(lambda: _rows(files)):
            counts.add(sample)
            report.add(sample)
            if sample.accepted:
                kept.write(_line(sample, metadata=files.metadata))
                if files.test is not None:
                    accepted.append((_split_row(sample), comparing.tokenized(asked_text(sample.candidate))))
            elif dropped is not None:
                dropped.write(_rejected_line(sample))
            if counts.rows % TICK == 0:
                progress(counts.rows)
        progress(counts.rows)
        counts.check()
        if files.test is not None:
            counts.test = _divide(files, outputs, kept, accepted, settings)
        # Before anything is replaced: a report that cannot be written leaves the earlier outputs too.
        if files.report is not None:
            write_report(report.to_json(), files.report)
        outputs.publish()
    counts.seconds = dict(curation.seconds)
    return counts


def _line(sample: Sample, *, metadata: bool) -> str:
    extra = None
    if metadata:
        candidate = sample.candidate
        extra = {"id": sample.id, "source": candidate.provenance.prompt, "flags": sample.flags}
        group = candidate.group_id or candidate.provenance.group
        extra |= {"group_id": group} if group is not None else {}
    return export_line(sample.candidate.messages, "messages", extra) + "\n"


def _rejected_line(sample: Sample) -> str:
    candidate = sample.candidate
    row: dict[str, Any] = {
        "messages": [{"role": message.role, "content": message.content} for message in candidate.messages],
        "verdict": asdict(sample.verdict),
        "id": sample.id,
        "source": candidate.provenance.prompt,
    }
    if candidate.malformed is not None:
        row["raw"] = candidate.raw
    return json.dumps(row, ensure_ascii=False) + "\n"


def _split_row(sample: Sample) -> SplitRow:
    candidate = sample.candidate
    group = candidate.provenance.document_id or candidate.provenance.group or candidate.group_id
    # By what it says, not by where it stands: the same rows in another order get the same sides.
    key = content_id("row", *(f"{message.role}:{message.content}" for message in candidate.messages))
    return SplitRow(key=key, group=group, stratum=candidate.provenance.generator)


def _divide(
    files: CurationFiles,
    outputs: WholeFiles,
    spool: IO[str],
    accepted: Sequence[tuple[SplitRow, Tokenized]],
    settings: CurationSettings,
) -> int:
    """Write the accepted lines to the file of their side; returns how many are the test's."""
    assert files.test is not None
    rows = [row for _, row in accepted]
    graph = DuplicateGraph.build(rows, LEAK_THRESHOLD, tokenizer=settings.tokenizer, guards=settings.guards)
    sides = assign_sides([row for row, _ in accepted], files.test_fraction, duplicates=graph.pairs())
    train, test = outputs.open(files.output), outputs.open(files.test)
    spool.seek(0)
    for line, side in zip(spool, sides, strict=True):
        (test if side == "test" else train).write(line)
    return sides.count("test")


def import_files(files: CurationFiles, progress: Progress = lambda _rows: None) -> Counts:
    """Convert files into the messages schema, without judging them; only rows that cannot be read are left out.

    Raises:
        InvalidInputError: no row can be read (``nothing_fits``), an input is of no known format.
        OutputError: an output cannot be written; earlier outputs are untouched.
    """
    counts = Counts()
    with WholeFiles() as outputs:
        kept = outputs.open(files.output)
        dropped = outputs.open(files.rejected) if files.rejected else None
        for row in _rows(files):
            verdict = Verdict(stage="parse", reason="malformed_row", evidence={"why": row.candidate.malformed})
            readable = row.candidate.malformed is None
            sample = Sample(id=row.key, candidate=row.candidate, accepted=readable, verdict=verdict)
            counts.add(sample)
            if readable:
                kept.write(_line(sample, metadata=files.metadata))
            elif dropped is not None:
                dropped.write(_rejected_line(sample))
            if counts.rows % TICK == 0:
                progress(counts.rows)
        progress(counts.rows)
        counts.check()
        outputs.publish()
    return counts


def protect(paths: Sequence[Path]) -> Contamination:
    """What a model will be tested on: documents (Markdown, text) whole, datasets row by row.

    Raises:
        InvalidInputError: a file is neither.
    """
    found = Contamination()
    for path in paths:
        if path.suffix.lower() in READERS:
            found.protect_text(path.name, read_document(path.read_bytes(), path.name).text)
            continue
        for row in read_rows(path):
            if isinstance(row, BadRow):
                raise InvalidInputError(f"{path.name}, line {row.line}: {row.message}", code="unreadable_benchmark")
            candidate = Candidate(messages=row.messages, provenance=Provenance(generator=IMPORTED, slot=0))
            where = f"{row.file or path.name}:{row.line}"
            found.protect_row(where, asked_text(candidate), whole_text(candidate))
    return found
