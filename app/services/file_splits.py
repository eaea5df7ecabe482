"""Train and test of files: which accepted row goes to which output.

An input that brings a test of its own (a folder of train and test files, a column ``split``) keeps it; the rows of
other inputs are divided by ``generators.curation.splits``, stratified by file, kind of row and length of the answer.
Near-duplicates never end on different sides, but where a published split has them there.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from typing import IO

from corpora.ids import content_id
from corpora.records import Sample
from generators.curation.conversation import asked_text, is_conversation
from generators.curation.settings import CurationSettings
from generators.curation.splits import SplitRow, assign_sides
from retrieval.clusters import DuplicateGraph
from retrieval.near_duplicates import LexicalDuplicates, Tokenized

__all__ = ["LEAK_THRESHOLD", "Division"]

#: Two questions this much alike never stand on different sides of a split, whatever the threshold of curation.
LEAK_THRESHOLD = "0.5"
#: Longest answer in characters of each stratum of length but the last: a label, a sentence or two, a paragraph.
LENGTHS = (20, 100, 700)


class Division:
    """Accepted rows on their way to the side of the split that they get at the end."""

    def __init__(self, fraction: str, settings: CurationSettings) -> None:
        self._fraction, self._settings = fraction, settings
        self._rows: list[SplitRow] = []
        self._compared: list[Tokenized] = []
        self._inputs: list[int] = []
        self._comparing = LexicalDuplicates(LEAK_THRESHOLD, settings.tokenizer, (), settings.domain_nouns)

    def add(self, sample: Sample, source: int) -> None:
        """Take up an accepted row of input number ``source``."""
        row = _split_row(sample)
        self._rows.append(replace(row, side="test") if sample.split == "test" else row)
        self._compared.append(self._comparing.tokenized(asked_text(sample.candidate)))
        self._inputs.append(source)

    def write(self, spool: IO[str], *, train: IO[str], test: IO[str]) -> int:
        """Write the accepted lines to the file of their side; returns how many are the test's."""
        # An input that brings a test brings its training rows too.
        split = {source for source, row in zip(self._inputs, self._rows, strict=True) if row.side == "test"}
        rows = [
            replace(row, side="train") if row.side is None and source in split else row
            for source, row in zip(self._inputs, self._rows, strict=True)
        ]
        settings = self._settings
        graph = DuplicateGraph.build(
            self._compared, LEAK_THRESHOLD, tokenizer=settings.tokenizer, guards=settings.guards
        )
        sides = assign_sides(rows, self._fraction, duplicates=graph.pairs())
        spool.seek(0)
        for line, side in zip(spool, sides, strict=True):
            (test if side == "test" else train).write(line)
        return sides.count("test")


def _split_row(sample: Sample) -> SplitRow:
    candidate = sample.candidate
    provenance = candidate.provenance
    group = provenance.document_id or provenance.group or candidate.group_id
    # By what it says, not by where it stands: the same rows in another order get the same sides.
    key = content_id("row", *(f"{message.role}:{message.content}" for message in candidate.messages))
    kind = "grounded" if candidate.grounded else "conversation" if is_conversation(candidate) else "single"
    # Format and file, the line behind them left out.
    file = (provenance.prompt or "").rpartition(":")[0]
    length = bisect_left(LENGTHS, len(candidate.answer))
    return SplitRow(key=key, group=group, stratum=f"{provenance.generator} {kind} {length} {file}")
