"""Near-duplicates by wording: ROUGE-L F1 over Korean content morphemes, exact, fast, with evidence.

Two texts are near-duplicates iff ``2 * L * den > num * (m + n)``, where L is the longest common subsequence of their
tokens, m and n their lengths, and num/den the threshold read from its decimal string: integers, because
rouge-score's floats call half of the exact ties "above". (The tokenizer ``english`` is the reference mode and keeps
rouge-score's own float expression.) Rows grounded in documents are duplicates when question *and* answer are; free
instructions by the instruction; variants of one group are not compared. Guards veto what shares its words and differs
in meaning (``retrieval.guards``).

One index serves one candidate at a time (``find``, ``add``) and whole files (``join``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from rapidfuzz.distance import LCSseq

from corpora.korean.rouge import tokenize
from retrieval.guards import GUARDS, Guard, guard_nouns
from retrieval.noun_index import NounIndex
from retrieval.overlap_index import Among, Encoded, OverlapIndex

__all__ = ["DEFAULT_GUARDS", "DuplicateHit", "LexicalDuplicates", "Pair", "Tokenized", "overlap"]

#: ``predicate_substitution`` is left to choose: a third of what it parts asks the same (docs/curation.md).
DEFAULT_GUARDS = ("negation", "noun_substitution", "opposites", "argument_order")


@dataclass(frozen=True, kw_only=True, slots=True)
class DuplicateHit:
    """What a candidate repeats."""

    key: str  #: Key of the kept row.
    question: str  #: Its question or instruction.
    score: float  #: ROUGE-L F1 of the questions.
    answer_score: float | None = None  #: ROUGE-L F1 of the answers, where both are grounded.


@dataclass(frozen=True, slots=True)
class Pair:
    """A kept row above the threshold; the score is ``2 * common / total`` of the side that has less in common."""

    row: int  #: Its number in order of keeping.
    common: int  #: Tokens in common, in order.
    total: int  #: Tokens of both.


@dataclass(frozen=True, slots=True)
class Tokenized:
    """A row ready to be compared."""

    question: str  #: Question or instruction.
    tokens: tuple[str, ...]  #: Its tokens.
    answer: tuple[str, ...] | None = None  #: Tokens of the answer, where grounded.
    group_id: str | None = None  #: Variants of one group are not compared.


class LexicalDuplicates:
    """Kept rows, searchable for one that a candidate repeats; first kept wins."""

    def __init__(
        self,
        threshold: str = "0.7",
        tokenizer: str = "content_morphemes",
        guards: Sequence[str] = DEFAULT_GUARDS,
        dictionary: tuple[str, ...] = (),
    ) -> None:
        self.threshold = threshold
        self.tokenizer = tokenizer
        self._dictionary = dictionary
        self.guards = tuple(guards)
        self._guards: tuple[Guard, ...] = tuple(GUARDS[name] for name in guards)
        exact = Fraction(threshold)
        self._num, self._den = exact.numerator, exact.denominator
        self._float = float(threshold) if tokenizer == "english" else None
        # Floats call some exact ties "above", so the reference mode looks at ties too.
        self._index = OverlapIndex(exact, strict=self._float is None)
        self._keys: list[str] = []
        self._rows: list[Tokenized] = []
        #: Rows that the noun guard would refuse anyway are not compared.
        by_noun = "noun_substitution" in self.guards
        self._by_noun = NounIndex(lambda number: guard_nouns(self._rows[number].question)) if by_noun else None
        #: Texts without any token are compared letter by letter.
        self._blank: dict[str, list[int]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def tokenized(self, question: str, answer: str | None = None, group_id: str | None = None) -> Tokenized:
        """A row in tokens; ``answer`` only where it is grounded in documents."""
        grounded = tokenize(self.tokenizer, answer, self._dictionary) if answer is not None else None
        return Tokenized(question, tokenize(self.tokenizer, question, self._dictionary), grounded, group_id)

    def add(self, key: str, question: str, answer: str | None = None, group_id: str | None = None) -> None:
        """Keep a row."""
        self.add_tokens(key, self.tokenized(question, answer, group_id))

    def find(self, question: str, answer: str | None = None, group_id: str | None = None) -> DuplicateHit | None:
        """The first kept row that this one repeats, or None."""
        return self.find_tokens(self.tokenized(question, answer, group_id))

    def nearest(self, question: str, answer: str | None = None, group_id: str | None = None) -> DuplicateHit | None:
        """The kept row that this one repeats most closely (earliest on ties), or None."""
        hits = self.find_all(self.tokenized(question, answer, group_id))
        return max(hits, key=lambda hit: hit.score, default=None)

    def add_tokens(self, key: str, row: Tokenized) -> None:
        """Keep a row that is tokenized already."""
        self._keep(key, row, self._index.encode(row.tokens))

    def find_tokens(self, row: Tokenized) -> DuplicateHit | None:
        """The first kept row that ``row`` repeats, or None."""
        return next(self._hits(row, self._index.encode(row.tokens)), None)

    def find_all(self, row: Tokenized) -> list[DuplicateHit]:
        """Every kept row that ``row`` repeats, in order of keeping."""
        return list(self._hits(row, self._index.encode(row.tokens)))

    def join(self, rows: Iterable[tuple[str, Tokenized]]) -> Iterator[DuplicateHit | None]:
        """For each row, under its key, what it repeats; a row that repeats nothing is kept, and None.

        The same as ``find_tokens`` and, where that is None, ``add_tokens``, row after row.
        """
        for key, row in rows:
            encoded = self._index.encode(row.tokens)
            hit = next(self._hits(row, encoded), None)
            if hit is None:
                self._keep(key, row, encoded)
            yield hit

    def _keep(self, key: str, row: Tokenized, encoded: Encoded) -> None:
        if not row.tokens:
            self._blank.setdefault(" ".join(row.question.split()), []).append(len(self._rows))
        self._index.add(encoded)
        self._keys.append(key)
        self._rows.append(row)

    def _hits(self, row: Tokenized, encoded: Encoded) -> Iterator[DuplicateHit]:
        if not row.tokens:
            blank = self._find_blank(row)
            if blank is not None:
                yield blank
            return
        for number, common in self._index.above(encoded, self._among(row)):
            hit = self._verify(number, row, common)
            if hit is not None:
                yield hit

    def _among(self, row: Tokenized) -> Among | None:
        """Which rows of a crowd the noun guard may let through, where it is on."""
        return None if self._by_noun is None else self._by_noun.among(lambda: guard_nouns(row.question))

    def pairs(self, row: Tokenized) -> Iterator[Pair]:
        """Every kept row that ``row`` repeats, in order of keeping, with the exact overlap behind the score."""
        if not row.tokens:
            yield from (Pair(number, 1, 2) for number in self._same_blank(row))
            return
        for number, common in self._index.above(self._index.encode(row.tokens), self._among(row)):
            if self._verify(number, row, common) is not None:
                yield self._pair(number, row, common)

    def _pair(self, number: int, row: Tokenized, common: int) -> Pair:
        """The overlap of the questions, or of the answers where that is the lower score."""
        kept = self._rows[number]
        total = len(row.tokens) + len(kept.tokens)
        if row.answer is None or kept.answer is None or row.answer == kept.answer:
            return Pair(number, common, total)
        shared, length = int(LCSseq.similarity(row.answer, kept.answer)), len(row.answer) + len(kept.answer)
        return Pair(number, shared, length) if shared * total < common * length else Pair(number, common, total)

    def _find_blank(self, row: Tokenized) -> DuplicateHit | None:
        number = next(iter(self._same_blank(row)), None)
        if number is None:
            return None
        return DuplicateHit(key=self._keys[number], question=self._rows[number].question, score=1.0)

    def _same_blank(self, row: Tokenized) -> list[int]:
        """Kept rows without tokens that are the same letter by letter, but for variants of one group."""
        same = self._blank.get(" ".join(row.question.split()), [])
        return [n for n in same if row.group_id is None or self._rows[n].group_id != row.group_id]

    def _above(self, common: int, m: int, n: int) -> bool:
        """Whether ``common`` of m and n tokens is above the threshold; ``m`` is the candidate's length."""
        if self._float is None:
            return 2 * common * self._den > self._num * (m + n)
        if common == 0:
            return False
        precision, recall = common / n, common / m
        return 2 * precision * recall / (precision + recall) > self._float

    def _answers(self, first: tuple[str, ...], second: tuple[str, ...]) -> float | None:
        """The F1 of two answers when it is above the threshold, else None."""
        if first == second:
            return 1.0
        m, n = len(first), len(second)
        if min(m, n) < self._index.least(m, n):
            return None
        common = int(LCSseq.similarity(first, second))
        return 2 * common / (m + n) if self._above(common, m, n) else None

    def _verify(self, number: int, row: Tokenized, common: int) -> DuplicateHit | None:
        """The kept row where all but the common subsequence of the questions is still to be looked at."""
        kept = self._rows[number]
        if row.group_id is not None and kept.group_id == row.group_id:
            return None
        m, n = len(row.tokens), len(kept.tokens)
        if not self._above(common, m, n):
            return None
        answer_score = None
        if row.answer is not None and kept.answer is not None:
            answer_score = self._answers(row.answer, kept.answer)
            if answer_score is None:
                return None
        if any(guard(kept.question, kept.tokens, row.question, row.tokens) for guard in self._guards):
            return None
        return DuplicateHit(
            key=self._keys[number], question=kept.question, score=2 * common / (m + n), answer_score=answer_score
        )


def overlap(first: Sequence[str], second: Sequence[str]) -> float:
    """ROUGE-L F1 of two texts in tokens, from 0 to 1; 0 where one has none."""
    total = len(first) + len(second)
    return 2 * int(LCSseq.similarity(first, second)) / total if first and second else 0.0
