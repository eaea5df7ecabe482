"""Curation of whole files and datasets: the curator's stages, in batches, in one pass, in order.

Texts are analysed on every core a batch at a time, embeddings compared as one matrix product; each decision is the one
that ``Curator`` would have reached row by row. Memory holds what later rows are compared with (the kept rows), never
the file. ``keep="best"`` looks through the rows twice and holds those that pass the gates. Knows no file format, no
store and no progress bar.

Use::

    curation = BulkCurator(import_settings())
    for sample in curation.run(lambda: rows("koalpaca.jsonl")):
        ...
    curation.seconds            # by stage
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice

from corpora.bundled.loader import SeedTask
from corpora.errors import ConflictError
from corpora.korean.analyse import forget, prefetch
from corpora.korean.prose import prose
from corpora.records import Candidate, Sample, Verdict
from generators.curation.conversation import asked_text, compared_answer
from generators.curation.curator import ACCEPTED, Curator, duplicate_verdict, fit_embedder
from generators.curation.decontamination import Contamination
from generators.curation.preview import PassedRows
from generators.curation.quality import quality
from generators.curation.repeats import Repeats
from generators.curation.settings import CurationSettings
from retrieval.embedders import Embedder

__all__ = ["BATCH", "BulkCurator", "BulkRow"]

#: Rows of a batch: enough for matrix products and for every core, few enough to show progress.
BATCH = 1024


@dataclass(frozen=True, slots=True)
class BulkRow:
    """One row on its way through."""

    key: str  #: Its stable id.
    candidate: Candidate  #: What is judged.
    split: str = "train"  #: Side that it keeps.


#: Behind the last verdict; None is one.
_END = object()
Rows = Callable[[], Iterable[BulkRow]]


class BulkCurator:
    """Judges rows in order of arrival; of two that repeat each other the first stays, or the best."""

    def __init__(
        self,
        settings: CurationSettings,
        *,
        embedder: Embedder | None = None,
        semantic: bool = True,
        contamination: Contamination | None = None,
        seeds: Sequence[SeedTask] = (),
        remember_rows: bool = False,
    ) -> None:
        self.settings = settings
        self.seconds: dict[str, float] = defaultdict(float)
        self._embedder = embedder
        self._semantic = semantic
        self._contamination = contamination
        self._seeds = seeds
        self._curator: Curator | None = None
        self._remember_rows = remember_rows
        #: Rows that passed every gate, in order, where a preview is wanted of them.
        self._passed: PassedRows | None = None
        #: Of these, what any said: a copy within a group is dropped at every threshold.
        self._seen = Repeats()

    @property
    def versions(self) -> dict[str, str]:
        """What decided, by name; empty before the first row."""
        return self._curator.versions if self._curator else {}

    def run(self, rows: Rows, done: Sequence[Sample] = ()) -> Iterator[Sample]:
        """Every row as a sample, accepted or rejected, in order.

        Args:
            rows: Gives the rows; called more than once, and must give the same each time.
            done: The first rows' samples, where an earlier run got so far; they are not given again.

        Raises:
            ConflictError: the rows were others the second time.
        """
        curator = self._ready(rows)
        if self.settings.keep == "best":
            # Which is best is known when all are known: the earlier run's decisions come out once more.
            return islice(self._best(curator, rows), len(done), None)
        self._remember(curator, done)
        left = islice(rows(), len(done), None)
        return chain.from_iterable(self._first(curator, batch) for batch in _batches(left))

    def _ready(self, rows: Rows) -> Curator:
        embedder = self._embedder
        if embedder is None and self._semantic:
            with self._timed("fit"):
                embedder = fit_embedder((row.candidate for row in rows()), self.settings)
        self._curator = Curator(self.settings, embedder, self._contamination)
        for task in self._seeds:
            self._curator.remember_seed(task)
        self._passed = PassedRows(self._curator) if self._remember_rows else None
        return self._curator

    def preview(self, thresholds: Sequence[str]) -> dict[str, int]:
        """How many rows each near-duplicate threshold would keep of those that passed the gates; after ``run``."""
        if self._passed is None:
            raise ValueError("made without remember_rows, or not run")
        return self._passed.preview(thresholds, self._seeds)

    def _remember(self, curator: Curator, done: Sequence[Sample]) -> None:
        """Take up what an earlier run accepted, without asking again."""
        for start in range(0, len(done), BATCH):
            kept = [BulkRow(sample.id, sample.candidate) for sample in done[start : start + BATCH] if sample.accepted]
            self._prefetch(kept, spoken=False)
            if curator.semantic is not None:
                batch = curator.semantic.prepare([_compared_row(row) for row in kept])
                for number, row in enumerate(kept):
                    batch.keep(number, row.key)
                batch.close()
            for row in kept:
                curator.lexical.add(row.key, *_compared_row(row))
                curator.repeats.add(row.key, row.candidate)
            self._forget()

    def _first(self, curator: Curator, batch: list[BulkRow]) -> Iterator[Sample]:
        """A batch, the first of each pair kept."""
        rows = self._cleaned(curator, batch)
        verdicts = self._gated(curator, rows)
        self._decide(curator, rows, verdicts)
        yield from self._samples(curator, rows, verdicts)
        self._forget()

    def _best(self, curator: Curator, rows: Rows) -> Iterator[Sample]:
        """Two passes: gates and scores first, then duplicates in order of quality."""
        verdicts: list[Verdict | None] = []
        waiting: list[tuple[float, int, BulkRow]] = []
        for batch in _batches(rows()):
            cleaned = self._cleaned(curator, batch)
            for row, verdict in zip(cleaned, self._gated(curator, cleaned), strict=True):
                if verdict is None:
                    waiting.append((-quality(row.candidate, self.settings.limits), len(verdicts), row))
                verdicts.append(verdict)
            self._forget()
        waiting.sort(key=lambda entry: entry[:2])
        for start in range(0, len(waiting), BATCH):
            part = waiting[start : start + BATCH]
            batch = [row for _, _, row in part]
            self._prefetch(batch, spoken=False)
            found: list[Verdict | None] = [None] * len(batch)
            self._decide(curator, batch, found)
            for (_, number, _), verdict in zip(part, found, strict=True):
                verdicts[number] = verdict
            self._forget()
        del waiting
        decided = iter(verdicts)
        for batch in _batches(rows()):
            cleaned = [replace(row, candidate=curator.clean(row.candidate)) for row in batch]
            found = list(islice(decided, len(cleaned)))
            if len(found) < len(cleaned):
                raise ConflictError("The rows changed while they were curated; run it again.", code="rows_changed")
            yield from self._samples(curator, cleaned, found)
        if next(decided, _END) is not _END:
            raise ConflictError("The rows changed while they were curated; run it again.", code="rows_changed")

    def _cleaned(self, curator: Curator, batch: Sequence[BulkRow]) -> list[BulkRow]:
        with self._timed("personal_data"):
            return [replace(row, candidate=curator.clean(row.candidate)) for row in batch]

    def _gated(self, curator: Curator, rows: Sequence[BulkRow]) -> list[Verdict | None]:
        """What is wrong with each row by itself; only rows that pass the filters are analysed."""
        verdicts: list[Verdict | None] = []
        with self._timed("filters"):
            for row in rows:
                candidate = row.candidate
                unread = candidate.malformed is not None or candidate.rejection is not None
                verdicts.append(curator.gate(candidate) if unread else curator.filtered(candidate))
        passed = [row for row, verdict in zip(rows, verdicts, strict=True) if verdict is None]
        self._prefetch(passed, spoken=any(level != "any" for level in self.settings.speech_level.values()))
        for stage, check in (
            ("speech_level", curator.spoken),
            ("personal_data", curator.private),
            ("contamination", curator.leaked),
        ):
            with self._timed(stage):
                for number, row in enumerate(rows):
                    # The test itself gives nothing away.
                    if verdicts[number] is None and not (stage == "contamination" and row.split == "test"):
                        verdicts[number] = check(row.candidate)
        return verdicts

    def _decide(self, curator: Curator, rows: Sequence[BulkRow], verdicts: list[Verdict | None]) -> None:
        """Set ``verdicts`` of the rows that repeat an earlier one; the others are remembered."""
        open_rows = [number for number, verdict in enumerate(verdicts) if verdict is None]
        compared = [_compared_row(rows[number]) for number in open_rows]
        with self._timed("near_duplicates"):
            tokenized = [curator.lexical.tokenized(*row) for row in compared]
        if self._passed is not None:
            fresh = [place for place, number in enumerate(open_rows) if self._seen.is_first(rows[number].candidate)]
            self._passed.add([compared[place] for place in fresh], [tokenized[place] for place in fresh])
        batch = None
        if curator.semantic is not None:
            with self._timed("semantic_duplicates"):
                batch = curator.semantic.prepare(compared)
        for place, number in enumerate(open_rows):
            verdicts[number] = curator.repeats.find(rows[number].candidate)
            if verdicts[number] is not None:
                continue
            with self._timed("near_duplicates"):
                hit = curator.lexical.find_tokens(tokenized[place])
            if hit is not None:
                verdicts[number] = duplicate_verdict("near_duplicate", hit, self.settings.near_duplicate_threshold)
                continue
            if batch is not None and curator.semantic is not None:
                with self._timed("semantic_duplicates"):
                    hit = batch.find(place)
                if hit is not None:
                    threshold = str(curator.semantic.threshold)
                    verdicts[number] = duplicate_verdict("semantic_duplicate", hit, threshold)
                    continue
                batch.keep(place, rows[number].key)
            curator.repeats.add(rows[number].key, rows[number].candidate)
            with self._timed("near_duplicates"):
                curator.lexical.add_tokens(rows[number].key, tokenized[place])
        if batch is not None:
            with self._timed("semantic_duplicates"):
                batch.close()

    def _samples(
        self, curator: Curator, rows: Sequence[BulkRow], verdicts: Sequence[Verdict | None]
    ) -> Iterator[Sample]:
        versions = curator.versions
        for row, verdict in zip(rows, verdicts, strict=True):
            with self._timed("flags"):
                raised = curator.flags(row.candidate)
            provenance = replace(row.candidate.provenance, versions=versions)
            yield Sample(
                id=row.key,
                candidate=replace(row.candidate, provenance=provenance),
                accepted=verdict is None,
                verdict=verdict or ACCEPTED,
                split="test" if row.split == "test" else "train",
                flags=raised,
            )

    def _prefetch(self, rows: Sequence[BulkRow], *, spoken: bool) -> None:
        """Analyse what the stages will ask for, on every core."""
        with self._timed("tokenising"):
            texts = [text for row in rows for text in _compared(row.candidate)]
            prefetch(texts, self.settings.domain_nouns)
            if spoken:
                held = [message.content for row in rows for message in row.candidate.messages]
                if self.settings.domain_nouns:
                    prefetch(held)
                prefetch(sentence.masked for text in held for sentence in prose(text))

    def _forget(self) -> None:
        forget(self.settings.domain_nouns)
        forget()

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start


def _compared_row(row: BulkRow) -> tuple[str, str | None, str]:
    """Question, answer where it is compared, group: that of a row without one is its own, which its variants name."""
    candidate = row.candidate
    return asked_text(candidate), compared_answer(candidate), candidate.group_id or row.key


def _compared(candidate: Candidate) -> Iterator[str]:
    yield asked_text(candidate)
    answer = compared_answer(candidate)
    if answer is not None:
        yield answer


def _batches(rows: Iterable[BulkRow]) -> Iterator[list[BulkRow]]:
    source = iter(rows)
    while batch := list(islice(source, BATCH)):
        yield batch
