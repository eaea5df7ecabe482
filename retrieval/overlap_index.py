"""An exact index over token sequences: which kept ones have a ROUGE-L F1 above a threshold.

Knows tokens only: no text, no Korean, no verdicts. F1 > num/den needs a common multiset of at least
``alpha = floor(num * (m + n) / (2 * den)) + 1`` tokens. With the tokens of every sequence in one fixed order, rarest
first, two such sequences share a token among the first ``m - alpha + 1`` and ``n - alpha + 1``, and two among one more
of each (the prefix filter of set-similarity joins). A rare token is a key by itself; once more than ``LIGHT`` kept
sequences have it, it is a key only together with a second one, or texts that share most of their words would all meet.
What remains is compared by its longest common subsequence.

Use::

    index = OverlapIndex(Fraction("0.7"))
    sequence = index.encode(("입고", "예정", "등록"))
    for row, common in index.above(sequence):   # ascending; ``common`` is the length of the common subsequence
        ...
    index.add(sequence)                         # kept under the next row number
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from itertools import chain, count
from typing import NamedTuple

from rapidfuzz.distance import Indel, LCSseq
from rapidfuzz.process import extract

__all__ = ["Among", "Encoded", "OverlapIndex"]

#: Kept sequences of one token before it needs a partner.
LIGHT = 6
#: From so many candidates on, one call compares all instead of a loop that ends at the first.
MANY = 12
#: From so many rows on, one list of candidates is a crowd, and the caller is asked which of it matter.
CROWD = 64
#: Surrogates cannot stand in a string that is compared, so no token has their numbers.
_SURROGATES, _BEHIND_SURROGATES, _CODE_POINTS = 0xD800, 0xE000, 0x110000
#: rapidfuzz 3.14 scores a pair 0 whose similarity is above the cutoff by 1e-9 (0.3 against 0.299999999), not by 1e-7.
_SLACK = 1e-4


class Encoded(NamedTuple):
    """A token sequence as the index sees it."""

    order: list[int]  #: Numbers of its token occurrences, rarest first.
    body: str | array[int]  #: The sequence itself, a code point a token while there are enough of them.


#: Rows of a pair that has become common: by length and by how many tokens stand behind the pair's second one.
_Buckets = dict[tuple[int, int], list[int]]
#: What a common token leads to: rows by the second token.
_Pairs = dict[int, int | list[int] | _Buckets]
#: Which rows of crowds matter, others of no harm; None where all do.
Among = Callable[[Sequence[list[int]]], list[int] | None]


class OverlapIndex:
    """Kept sequences under row numbers from 0.

    ``strict`` is the rule above; without it an F1 that equals the threshold is found too.
    """

    def __init__(self, threshold: Fraction, strict: bool = True) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"the threshold is above 0 and at most 1, not {threshold}")
        self._num, self._den, self._strict = threshold.numerator, threshold.denominator, strict
        self._cutoff = float(threshold) - _SLACK
        #: Token, or (token, how often it stood before in the same sequence), to a running number: a token that came
        #: late is a rare one, which is all that the order needs.
        self._ids: defaultdict[object, int] = defaultdict(
            partial(next, chain(range(_SURROGATES), count(_BEHIND_SURROGATES)))
        )
        self._bodies: list[str | array[int]] = []
        #: The orders of all rows, one behind the other, and where each begins.
        self._orders, self._starts = array("I"), array("Q", [0])
        #: A rare token to its rows, a common one to its pairs: a small table each, near in memory.
        self._keys: dict[int, int | list[int] | _Pairs] = {}
        #: Rows of a common token that are so short that one shared token can be enough.
        self._tiny: dict[int, list[int]] = {}
        self._tiny_length = (2 * self._den - strict) // self._num - 1
        #: ``least`` by m + n, and the last position of a key by length; both grow on demand.
        self._least, self._lasts = [0], [-1]

    def __len__(self) -> int:
        return len(self._bodies)

    def least(self, m: int, n: int) -> int:
        """Tokens that sequences of these lengths must have in common to be above the threshold."""
        return self._fewest(m + n, 2 * self._den)

    def encode(self, tokens: Sequence[str]) -> Encoded:
        """``tokens`` in the index's terms; new tokens get their number here."""
        ids = self._ids
        plain = [ids[token] for token in tokens]
        order = plain
        if len(set(plain)) < len(plain):
            seen: dict[int, int] = {}
            order = []
            for number in plain:
                before = seen.get(number, 0)
                seen[number] = before + 1
                order.append(number if not before else ids[number, before])
        return Encoded(sorted(order, reverse=True), _body(plain))

    def above(self, sequence: Encoded, among: Among | None = None) -> Iterator[tuple[int, int]]:
        """Rows whose F1 with ``sequence`` is above the threshold, ascending, with the common subsequence's length.

        Args:
            sequence: An encoded sequence.
            among: Asked with the crowds among the candidates, if there are any; rows of a crowd that it leaves out
                may be missing.
        """
        rows = self._candidates(sequence.order, among)
        if not rows:
            return
        body, bodies, least = sequence.body, self._bodies, self._least
        if len(rows) > MANY:
            choices = [bodies[row] for row in rows]
            # Indel's normalised similarity is 2L / (m + n), in floats: what passes is compared in integers below.
            near = extract(body, choices, scorer=Indel.normalized_similarity, score_cutoff=self._cutoff, limit=None)
            rows = sorted([rows[place] for _, _, place in near])
        m = len(body)
        for row in rows:
            other = bodies[row]
            common = LCSseq.similarity(body, other, score_cutoff=least[m + len(other)])
            if common:
                yield row, int(common)

    def add(self, sequence: Encoded) -> int:
        """Keep ``sequence``; returns its row number."""
        order, keys = sequence.order, self._keys
        row, m = len(self._bodies), len(order)
        self._make_room(m)
        self._bodies.append(sequence.body)
        self._orders.extend(order)
        self._starts.append(len(self._orders))
        for position in range(self._lasts[m] + 1):
            token = order[position]
            rows = keys.get(token)
            if rows is None:
                keys[token] = row
            elif isinstance(rows, int):
                keys[token] = [rows, row]
            elif isinstance(rows, dict):
                self._add_pairs(rows, row, order, position)
            elif len(rows) < LIGHT:
                rows.append(row)
            else:
                pairs: _Pairs = {}
                keys[token] = pairs
                for earlier in (*rows, row):
                    other = self._order(earlier)
                    self._add_pairs(pairs, earlier, other, other.index(token))
        return row

    def _fewest(self, numerator: int, denominator: int) -> int:
        """The smallest L with ``L * denominator`` above (at, if not strict) ``threshold's numerator * numerator``."""
        product = self._num * numerator
        return product // denominator + 1 if self._strict else -(-product // denominator)

    def _make_room(self, length: int) -> None:
        """Tables for sequences of ``length`` against each other and against all shorter ones."""
        for m in range(len(self._lasts), length + 1):
            # The partner may be as short as the overlap, so this is the last place of the rarest shared token.
            self._lasts.append(m - max(1, self._fewest(m, 2 * self._den - self._num)))
        for total in range(len(self._least), 2 * length + 1):
            self._least.append(self._fewest(total, 2 * self._den))

    def _order(self, row: int) -> list[int]:
        return self._orders[self._starts[row] : self._starts[row + 1]].tolist()

    def _candidates(self, order: list[int], among: Among | None) -> list[int]:
        """Rows whose F1 with a sequence may be above the threshold, ascending; none that is above is missing."""
        m = len(order)
        if m >= len(self._lasts):
            self._make_room(m)
        found: set[int] = set()
        crowds: list[list[int]] = []
        keys = self._keys
        for position, token in enumerate(order[: self._lasts[m] + 1], 1):
            rows = keys.get(token)
            if rows is None:
                continue
            if isinstance(rows, int):
                found.add(rows)
            elif isinstance(rows, list):
                found.update(rows)
            else:
                self._from_pairs(rows, order, position, (found, crowds))
                if m <= self._tiny_length and token in self._tiny:
                    _take(self._tiny[token], found, crowds)
        if crowds:
            few = among(crowds) if among is not None else None
            for rows in crowds if few is None else (few,):
                found.update(rows)
        return sorted(found)

    def _from_pairs(
        self, pairs: _Pairs, order: list[int], position: int, taken: tuple[set[int], list[list[int]]]
    ) -> None:
        """Rows that share a token, whose pairs these are, and one of those from ``position`` on."""
        found, crowds = taken
        m, least = len(order), self._least
        for second in order[position : self._lasts[m] + 2]:
            value = pairs.get(second)
            if value is None:
                continue
            if isinstance(value, int):
                found.add(value)
            elif isinstance(value, list):
                found.update(value)
            else:
                # Enough tokens must stand behind the pair, in the row and in the sequence.
                behind = m - 1 - order.index(second)
                for (n, behind_there), rows in value.items():
                    missing = least[m + n] - 2
                    if missing <= behind and missing <= behind_there:
                        _take(rows, found, crowds)

    def _add_pairs(self, pairs: _Pairs, row: int, order: list[int], position: int) -> None:
        m, token = len(order), order[position]
        for place, second in enumerate(order[position + 1 : self._lasts[m] + 2], position + 1):
            value = pairs.get(second)
            if value is None:
                pairs[second] = row
            elif isinstance(value, int):
                pairs[second] = [value, row]
            elif isinstance(value, list):
                value.append(row)
                if len(value) > LIGHT:
                    pairs[second] = self._bucketed(value, second)
            else:
                value.setdefault((m, m - 1 - place), []).append(row)
        if m <= self._tiny_length:
            self._tiny.setdefault(token, []).append(row)

    def _bucketed(self, rows: list[int], token: int) -> _Buckets:
        buckets: _Buckets = {}
        for row in rows:
            order = self._order(row)
            buckets.setdefault((len(order), len(order) - 1 - order.index(token)), []).append(row)
        return buckets


def _take(rows: list[int], found: set[int], crowds: list[list[int]]) -> None:
    if len(rows) < CROWD:
        found.update(rows)
    else:
        crowds.append(rows)


def _body(numbers: list[int]) -> str | array[int]:
    if numbers and max(numbers) >= _CODE_POINTS:
        return array("I", numbers)
    return "".join(map(chr, numbers))
