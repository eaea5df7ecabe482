"""Near-duplicates by wording: ROUGE-L F1 over Korean content morphemes, exact, fast, with evidence.

Two texts are near-duplicates iff ``2 * L * den > num * (m + n)``, where L is the longest common subsequence of their
tokens, m and n their lengths, and num/den the threshold read from its decimal string: integers, because
rouge-score's floats call half of the exact ties "above". Rows grounded in documents are duplicates when question
*and* answer are; free instructions by the instruction. Texts that differ in their negation never are.

``LexicalDuplicates`` finds one kept row that a candidate repeats, by an inverted index over each text's rarest tokens:
F > t needs a common multiset of more than t*(m+n)/2 tokens, so texts that share none of a long enough prefix cannot
be near-duplicates.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from fractions import Fraction

from rapidfuzz.distance import LCSseq

from corpora.korean.rouge import tokenize

__all__ = ["DuplicateHit", "LexicalDuplicates", "lcs_length", "negation"]

#: Morphemes that turn a sentence around, by what they mean: "안 하면" and "하지 않으면" say the same.
NEGATION = {
    "않": "않",
    "안": "않",
    "못": "못",
    "말": "말",
    "아니": "아니",
    "없": "없",
    "불": "불",
    "불가": "불",
    "미": "미",
    "비": "비",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class DuplicateHit:
    """What a candidate repeats."""

    key: str  #: Key of the kept row.
    question: str  #: Its question or instruction.
    score: float  #: ROUGE-L F1 of the questions.
    answer_score: float | None = None  #: ROUGE-L F1 of the answers, where both are grounded.


@dataclass(frozen=True, slots=True)
class _Row:
    key: str
    question: str
    tokens: tuple[str, ...]
    answer: tuple[str, ...] | None
    group_id: str | None


def lcs_length(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    """Length of the longest common subsequence of two token sequences."""
    return int(LCSseq.similarity(first, second))


class LexicalDuplicates:
    """Kept rows, searchable for one that a candidate repeats; first kept wins."""

    def __init__(self, threshold: str = "0.7", tokenizer: str = "content_morphemes") -> None:
        exact = Fraction(threshold)
        if not 0 < exact <= 1:
            raise ValueError(f"the threshold is above 0 and at most 1, not {threshold}")
        self.threshold = threshold
        self.tokenizer = tokenizer
        self._num, self._den = exact.numerator, exact.denominator
        self._rows: list[_Row] = []
        self._postings: dict[str, list[int]] = defaultdict(list)
        self._frequency: Counter[str] = Counter()
        self._blank: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, key: str, question: str, answer: str | None = None, group_id: str | None = None) -> None:
        """Keep a row; ``answer`` only where it is grounded in documents."""
        tokens = tokenize(self.tokenizer, question)
        number = len(self._rows)
        grounded = tokenize(self.tokenizer, answer) if answer is not None else None
        self._rows.append(_Row(key, question, tokens, grounded, group_id))
        if not tokens:
            self._blank.setdefault(" ".join(question.split()), number)
        for token in set(tokens):
            self._postings[token].append(number)
        self._frequency.update(set(tokens))

    def find(self, question: str, answer: str | None = None, group_id: str | None = None) -> DuplicateHit | None:
        """The first kept row that this one repeats, or None."""
        tokens = tokenize(self.tokenizer, question)
        if not tokens:
            number = self._blank.get(" ".join(question.split()))
            if number is None:
                return None
            row = self._rows[number]
            return DuplicateHit(key=row.key, question=row.question, score=1.0)
        answer_tokens = tokenize(self.tokenizer, answer) if answer is not None else None
        for number in sorted(self._candidates(tokens)):
            hit = self._verify(self._rows[number], tokens, answer_tokens, group_id)
            if hit is not None:
                return hit
        return None

    def _candidates(self, tokens: tuple[str, ...]) -> set[int]:
        """Rows that share one of the rarest tokens of ``tokens``.

        A duplicate's common multiset C obeys 2C*den > num*(m+n) and n >= C, hence C*(2*den - num) > num*m: of the m
        tokens at most m - C are not shared, so any m - C + 1 of them hold a shared one.
        """
        m = len(tokens)
        least = self._num * m // (2 * self._den - self._num) + 1
        by_rarity = sorted(tokens, key=lambda token: (self._frequency[token], token))
        prefix = by_rarity[: m - least + 1]
        found: set[int] = set()
        for token in set(prefix):
            found.update(self._postings.get(token, ()))
        return found

    def _above(self, first: tuple[str, ...], second: tuple[str, ...]) -> float | None:
        """The F1 of two token sequences when it is above the threshold, else None."""
        total = len(first) + len(second)
        if 2 * min(len(first), len(second)) * self._den <= self._num * total:
            return None
        common = lcs_length(first, second)
        return 2 * common / total if 2 * common * self._den > self._num * total else None

    def _verify(
        self, row: _Row, tokens: tuple[str, ...], answer: tuple[str, ...] | None, group_id: str | None
    ) -> DuplicateHit | None:
        if group_id is not None and row.group_id == group_id:
            return None
        if negation(row.tokens) != negation(tokens):
            return None
        score = self._above(row.tokens, tokens)
        if score is None:
            return None
        answer_score = None
        if answer is not None and row.answer is not None:
            answer_score = 1.0 if row.answer == answer else self._above(row.answer, answer)
            if answer_score is None:
                return None
        return DuplicateHit(key=row.key, question=row.question, score=score, answer_score=answer_score)


def negation(tokens: tuple[str, ...]) -> Counter[str]:
    """The negating morphemes of a text by meaning, each with its count."""
    return Counter(NEGATION[token] for token in tokens if token in NEGATION)
