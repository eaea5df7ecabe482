"""Near-duplicate pairs of a whole set, found once: clusters, what another threshold would keep, keep-best.

A ``DuplicateGraph`` holds every pair at or above a floor with its exact overlap, so that any threshold from the floor
up is a question of arithmetic and not of comparing texts again. Decisions are those of ``LexicalDuplicates``: the same
integers, the same guards, the first kept. Knows tokens and scores only: no stores, no verdicts.

Use::

    graph = DuplicateGraph.build(rows, floor="0.5")
    graph.kept("0.7")                 # first of each, in order of arrival
    graph.kept("0.6", quality=scores) # best of each
    graph.clusters("0.7")             # connected components, largest first
    graph.preview(["0.5", "0.6", "0.7", "0.8"])
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from rapidfuzz.distance import LCSseq

from corpora.errors import InvalidInputError
from retrieval.near_duplicates import DEFAULT_GUARDS, LexicalDuplicates, Tokenized

__all__ = ["Cluster", "DuplicateGraph", "Member"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A row of a cluster."""

    row: int  #: Its number in the set.
    score: float  #: ROUGE-L F1 of its best pair inside the cluster; 1.0 for a set of equal texts.
    nearest: int  #: The other row of that pair.


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """Rows connected by near-duplicate pairs, perhaps through others."""

    representative: int  #: The row that is kept: the first, or the best.
    members: tuple[Member, ...]  #: Every row, the representative too, in order of arrival.


class DuplicateGraph:
    """Pairs ``(earlier, later)`` with overlap and length sum of questions and, where both are grounded, of answers."""

    def __init__(self, rows: int, floor: Fraction) -> None:
        self.rows = rows
        self.floor = floor
        self._earlier = array("I")
        self._later = array("I")
        #: The lower of the pair's F1s as a fraction: 2 * common / total.
        self._common = array("I")
        self._total = array("I")
        #: The float that decides in the English reference mode; empty in every other.
        self._float = array("d")

    def __len__(self) -> int:
        return len(self._later)

    @classmethod
    def build(
        cls,
        rows: Sequence[Tokenized],
        floor: str = "0.5",
        *,
        tokenizer: str = "content_morphemes",
        guards: Sequence[str] = DEFAULT_GUARDS,
        most: int | None = None,
    ) -> DuplicateGraph:
        """Every pair of ``rows`` above ``floor`` that no guard parts.

        Args:
            rows: The set, in order of arrival.
            floor: The lowest threshold that will be asked for, a decimal.
            tokenizer: Name of the tokenizer of ``rows``.
            guards: Names in ``retrieval.guards.GUARDS``.
            most: Pairs at most; None for any number.

        Raises:
            InvalidInputError: there are more than ``most``.
        """
        found = LexicalDuplicates(floor, tokenizer, guards)
        graph = cls(len(rows), Fraction(floor))
        for number, row in enumerate(rows):
            for pair in found.pairs(row):
                graph.add(pair.row, number, pair.common, pair.total)
                if tokenizer == "english":
                    # Texts without any token were compared letter by letter.
                    graph._float.append(_reference(row, rows[pair.row]) if row.tokens else 1.0)
                if most is not None and len(graph) > most:
                    raise InvalidInputError(
                        f"More than {most:,} pairs of rows are alike above {floor}.",
                        hint="Ask for a higher threshold.",
                        param="threshold",
                        code="too_many_pairs",
                    )
            found.add_tokens(str(number), row)
        return graph

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Every pair of rows above the floor."""
        return zip(self._earlier, self._later, strict=True)

    def add(self, earlier: int, later: int, common: int, total: int) -> None:
        """Keep a pair; ``later`` never falls."""
        if self._later and later < self._later[-1]:
            raise ValueError("pairs come in order of their later row")
        self._earlier.append(earlier)
        self._later.append(later)
        self._common.append(common)
        self._total.append(total)

    def kept(
        self,
        threshold: str,
        quality: Sequence[float] | None = None,
        *,
        also: Iterable[tuple[int, int]] = (),
        fixed: int = 0,
    ) -> list[bool]:
        """Which rows stay when of each pair above ``threshold`` one must go.

        Args:
            threshold: A decimal from the floor up.
            quality: Higher is better: of a pair the better row stays, the earlier one on ties. None keeps the first.
            also: Further pairs of which one must go whatever the threshold, such as those near in meaning.
            fixed: So many rows at the beginning stay in any case, such as seed tasks.

        Returns:
            One flag a row.

        Raises:
            ValueError: the threshold lies below the floor, where pairs were not looked for.
        """
        neighbours: list[list[int]] = [[] for _ in range(self.rows)]
        for pair in self._above(threshold):
            neighbours[self._earlier[pair]].append(self._later[pair])
            neighbours[self._later[pair]].append(self._earlier[pair])
        for first, second in also:
            neighbours[first].append(second)
            neighbours[second].append(first)
        order: Sequence[int] = range(self.rows)
        if quality is not None:
            order = sorted(order, key=lambda row: (row >= fixed, -quality[row], row))
        stays = [False] * self.rows
        for row in order:
            stays[row] = row < fixed or not any(stays[other] for other in neighbours[row])
        return stays

    def clusters(self, threshold: str, quality: Sequence[float] | None = None) -> list[Cluster]:
        """Connected components of two rows or more, the largest first, then by their first row."""
        parent = list(range(self.rows))

        def root(row: int) -> int:
            while parent[row] != row:
                parent[row] = parent[parent[row]]
                row = parent[row]
            return row

        best: dict[int, tuple[float, int]] = {}
        for pair in self._above(threshold):
            first, second = self._earlier[pair], self._later[pair]
            score = 2 * self._common[pair] / self._total[pair]
            for row, other in ((first, second), (second, first)):
                if row not in best or (-score, other) < (-best[row][0], best[row][1]):
                    best[row] = (score, other)
            low, high = sorted((root(first), root(second)))
            parent[high] = low
        groups: dict[int, list[int]] = {}
        for row in sorted(best):
            groups.setdefault(root(row), []).append(row)
        found = [_cluster(rows, best, quality) for rows in groups.values()]
        return sorted(found, key=lambda cluster: (-len(cluster.members), cluster.members[0].row))

    def preview(self, thresholds: Sequence[str], quality: Sequence[float] | None = None) -> dict[str, int]:
        """How many rows each threshold would keep."""
        return {threshold: sum(self.kept(threshold, quality)) for threshold in thresholds}

    def _above(self, threshold: str) -> list[int]:
        wanted = Fraction(threshold)
        if wanted < self.floor:
            raise ValueError(f"pairs were looked for from {float(self.floor)} up, not from {threshold}")
        if self._float:
            reference = float(threshold)
            return [n for n, score in enumerate(self._float) if score > reference]
        num, den = wanted.numerator, wanted.denominator
        # Integers, as the definition has it: in floats half of the exact ties would be above.
        pairs = zip(self._common, self._total, strict=True)
        return [n for n, (common, total) in enumerate(pairs) if 2 * common * den > num * total]


def _cluster(rows: list[int], best: dict[int, tuple[float, int]], quality: Sequence[float] | None) -> Cluster:
    representative = rows[0] if quality is None else min(rows, key=lambda row: (-quality[row], row))
    members = tuple(Member(row=row, score=best[row][0], nearest=best[row][1]) for row in rows)
    return Cluster(representative=representative, members=members)


def _reference(row: Tokenized, kept: Tokenized) -> float:
    """The lower F1 of questions and answers in rouge-score's own floats, which call some exact ties "above"."""
    sides = [(row.tokens, kept.tokens)]
    if row.answer is not None and kept.answer is not None:
        sides.append((row.answer, kept.answer))
    return min(_reference_f1(*side) for side in sides)


def _reference_f1(tokens: tuple[str, ...], kept: tuple[str, ...]) -> float:
    if tokens == kept:
        return 1.0
    common = int(LCSseq.similarity(tokens, kept))
    if not common:
        return 0.0
    precision, recall = common / len(kept), common / len(tokens)
    return 2 * precision * recall / (precision + recall)
