"""What other thresholds would keep: the rows that passed every gate, and all their pairs, found once.

Everything but the near-duplicate threshold stays as it was set: what repeats a seed, or is near in meaning to a row
that stays, goes too. So the numbers are those that a run at that threshold would give.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from corpora.bundled.loader import SeedTask
from corpora.korean.analyse import forget, prefetch
from generators.curation.curator import Curator
from retrieval.clusters import DuplicateGraph
from retrieval.near_duplicates import Tokenized
from retrieval.semantic_duplicates import SemanticDuplicates

__all__ = ["PassedRows"]

#: Rows that are embedded together.
BATCH = 1024


class PassedRows:
    """Rows in the order in which near-duplicates were decided."""

    def __init__(self, curator: Curator) -> None:
        self._curator = curator
        self._tokens: list[Tokenized] = []
        #: Question, answer where it is compared, group.
        self._texts: list[tuple[str, str | None, str | None]] = []

    def add(self, rows: Sequence[tuple[str, str | None, str | None]], tokenized: Sequence[Tokenized]) -> None:
        """Take in the next rows: question, answer where it is compared, group; and the same in tokens."""
        self._tokens += tokenized
        self._texts += rows

    def graph(self, floor: str, before: Sequence[Tokenized] = ()) -> DuplicateGraph:
        """Every near-duplicate pair from ``floor`` up, of ``before`` and the rows."""
        settings = self._curator.settings
        return DuplicateGraph.build(
            [*before, *self._tokens], floor, tokenizer=settings.tokenizer, guards=settings.guards
        )

    def preview(self, thresholds: Sequence[str], seeds: Sequence[SeedTask]) -> dict[str, int]:
        """How many rows each near-duplicate threshold would keep."""
        fixed = [self._curator.lexical.tokenized(task.instruction) for task in seeds]
        graph = self.graph(min(thresholds, key=Fraction), fixed)
        near = list(self._near(seeds))
        return {t: sum(graph.kept(t, also=near, fixed=len(fixed))) - len(fixed) for t in thresholds}

    def _near(self, seeds: Sequence[SeedTask]) -> Iterator[tuple[int, int]]:
        """Pairs of rows, seeds first, that are near in meaning."""
        semantic = self._curator.semantic
        if semantic is None:
            return
        rows = [*((task.instruction, None, None) for task in seeds), *self._texts]
        index = SemanticDuplicates(semantic.embedder, semantic.threshold)
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            prefetch(text for question, answer, _ in part for text in (question, answer) if text is not None)
            batch = index.prepare(part)
            for place in range(len(part)):
                yield from ((other, start + place) for other in batch.near(place))
                batch.keep(place, str(start + place))
            batch.close()
            forget()
