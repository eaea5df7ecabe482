"""Curation of files: ``malmoi curate`` and ``malmoi import`` without a server or a store.

The same ``BulkCurator`` as the service's jobs, so the same decisions. What could not be read is a rejected row with its
line, like any other rejection: rows = accepted + rejected.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from app.services.export_rows import rejected_line
from app.services.file_rows import InputRows
from app.services.file_splits import Division
from app.services.outputs import WholeFiles
from corpora.errors import InvalidInputError, MalmoiError
from corpora.exporters import export_line
from corpora.importers import BadRow, printable, read_rows
from corpora.readers import READERS, read_document
from corpora.records import Candidate, Provenance, Sample, Verdict
from generators.curation.bulk import BulkCurator
from generators.curation.conversation import IMPORTED, asked_text, whole_text
from generators.curation.curator import ACCEPTED
from generators.curation.decontamination import Contamination
from generators.curation.report import Report, write_report
from generators.curation.settings import CurationSettings
from generators.imported import ContextUse, ImportOptions, fault_of

__all__ = ["Counts", "CurationFiles", "curate_files", "import_files", "protect"]

#: Reason of every verdict on a row that could not be read.
UNREAD = "malformed_reply"
#: Rows between two reports of progress.
TICK = 500
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
    test_fraction: str = "0.1"  #: Share of the test, a decimal, among rows of inputs without a split of their own.
    own_split: bool = True  #: Whether an input's own split is kept.
    context: ContextUse = "keep"  #: Whether the passage of a grounded row becomes its system turn.
    format: str | None = None  #: Name in ``corpora.importers.FORMATS``; found by looking when None.
    metadata: bool = False  #: Whether output lines carry id, source, flags, group and what else was told of a row.

    def reading(self) -> InputRows:
        """The rows of the inputs."""
        options = ImportOptions(format=self.format, context=self.context, own_split=self.own_split)
        return InputRows(self.inputs, options, carry=self.metadata)


@dataclass(kw_only=True, slots=True)
class Counts:
    """What became of the rows: ``rows = accepted + rejected``, rows that could not be read among the rejected."""

    rows: int = 0  #: Rows found.
    accepted: int = 0  #: Rows kept, the test's too.
    test: int = 0  #: Of these, rows of the test.
    rejected: Counter[str] = field(default_factory=Counter)  #: Rows dropped, by reason.
    reasons: Counter[str] = field(default_factory=Counter)  #: The same; of unreadable rows what is wrong with each.
    faults: Counter[str] = field(default_factory=Counter)  #: Of these, rows that could not be read, by what is wrong.
    told: Counter[str] = field(default_factory=Counter)  #: Rows by what became of them; see ``imported_rows``.
    shown: list[str] = field(default_factory=list)  #: The first of those, each with its line and reason.
    seconds: dict[str, float] = field(default_factory=dict)  #: Time by stage.

    def add(self, sample: Sample) -> None:
        """Count a row."""
        self.rows += 1
        if sample.accepted:
            self.accepted += 1
            return
        self.rejected[sample.verdict.reason] += 1
        self.reasons[_named(sample).verdict.reason] += 1
        fault = fault_of(sample)
        if fault is not None:
            self.faults[fault] += 1
            if len(self.shown) < SHOWN_BAD_ROWS:
                self.shown.append(sample.candidate.malformed or fault)

    def check(self) -> None:
        """Every row is accounted for, and one at least was a row.

        Raises:
            InvalidInputError: nothing could be read.
            MalmoiError: the numbers do not add up: a fault of ours, so nothing is written.
        """
        if self.rows != self.accepted + self.rejected.total():
            raise MalmoiError(f"{self.rows} rows went in, {self.accepted} + {self.rejected.total()} came out.")
        if self.rows == self.faults.total():
            first = f" The first: {self.shown[0]}" if self.shown else ""
            raise InvalidInputError(f"None of the {self.rows} rows can be read.{first}", code="nothing_fits")


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
    counts, report, reading = Counts(), Report(), files.reading()
    curation = BulkCurator(settings, semantic=semantic, contamination=contamination)
    with WholeFiles() as outputs:
        # With a test the sides are known at the end only.
        kept = outputs.open(files.output) if files.test is None else outputs.spool(files.output)
        dropped = outputs.open(files.rejected) if files.rejected else None
        division = Division(files.test_fraction, settings)
        for number, sample in enumerate(curation.run(reading.rows)):
            counts.add(sample)
            report.add(_named(sample))
            fields = reading.fields_of(number)
            if sample.accepted:
                kept.write(_line(sample, fields, metadata=files.metadata))
                if files.test is not None:
                    division.add(sample, reading.input_of(number))
            elif dropped is not None:
                dropped.write(rejected_line(_named(sample)))
            if counts.rows % TICK == 0:
                progress(counts.rows)
        progress(counts.rows)
        counts.told = reading.told
        counts.check()
        if settings.keep == "best":
            # Its decisions stand by number: they are another row's where the file is another.
            reading.check_same()
        if files.test is not None:
            counts.test = division.write(kept, train=outputs.open(files.output), test=outputs.open(files.test))
        # Before anything is replaced: a report that cannot be written leaves the earlier outputs too.
        if files.report is not None:
            write_report(report.to_json(), files.report)
        outputs.publish()
    counts.seconds = dict(curation.seconds)
    return counts


def _named(sample: Sample) -> Sample:
    """With what is wrong with an unreadable row as the reason of its verdict."""
    fault = fault_of(sample)
    return sample if fault is None else replace(sample, verdict=replace(sample.verdict, reason=fault))


def _line(sample: Sample, fields: dict[str, Any], *, metadata: bool) -> str:
    extra = None
    if metadata:
        candidate = sample.candidate
        extra = {"id": sample.id, "source": candidate.provenance.prompt, "flags": sample.flags}
        # Two different things: a group stays on one side, the variants of one row are never duplicates besides.
        told = {"group_id": candidate.group_id, "group": candidate.provenance.group}
        told["split"] = "test" if sample.split == "test" else None
        extra |= {name: value for name, value in told.items() if value is not None} | fields
    return export_line(sample.candidate.messages, "messages", extra) + "\n"


def import_files(files: CurationFiles, progress: Progress = lambda _rows: None) -> Counts:
    """Convert files into the messages schema, without judging them; only rows that cannot be read are left out.

    Raises:
        InvalidInputError: no row can be read (``nothing_fits``), an input is of no known format.
        OutputError: an output cannot be written; earlier outputs are untouched.
    """
    counts, reading = Counts(), files.reading()
    with WholeFiles() as outputs:
        kept = outputs.open(files.output)
        dropped = outputs.open(files.rejected) if files.rejected else None
        for number, row in enumerate(reading.rows()):
            verdict = Verdict(stage="parse", reason=UNREAD, evidence={"why": row.candidate.malformed})
            accepted = row.candidate.malformed is None
            sample = Sample(
                id=row.key,
                candidate=row.candidate,
                accepted=accepted,
                verdict=ACCEPTED if accepted else verdict,
                split="test" if row.split == "test" else "train",
            )
            counts.add(sample)
            fields = reading.fields_of(number)
            if sample.accepted:
                kept.write(_line(sample, fields, metadata=files.metadata))
            elif dropped is not None:
                dropped.write(rejected_line(_named(sample)))
            if counts.rows % TICK == 0:
                progress(counts.rows)
        progress(counts.rows)
        counts.told = reading.told
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
        name = printable(path.name)
        reader = READERS.get(path.suffix.lower())
        if reader is not None and not reader.dataset:
            found.protect_text(name, read_document(path.read_bytes(), name).text)
            continue
        for row in read_rows(path):
            if isinstance(row, BadRow):
                raise InvalidInputError(f"{name}, line {row.line}: {row.message}", code="unreadable_benchmark")
            candidate = Candidate(messages=row.messages, provenance=Provenance(generator=IMPORTED, slot=0))
            where = f"{row.file or name}:{row.line}"
            found.protect_row(where, asked_text(candidate), whole_text(candidate))
    return found
