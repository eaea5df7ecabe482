"""An exact index over token sequences: which kept ones could have a ROUGE-L F1 at or above a threshold.

Knows tokens only: no text, no Korean, no verdicts. F1 >= num/den needs a common multiset of at least
``alpha = ceil(num * (m + n) / (2 * den))`` tokens. With the tokens of every sequence in one fixed order, rarest first,
two such sequences share a token among the first ``m - alpha + 1`` and ``n - alpha + 1``, and two among one more of each
(the prefix filter of set-similarity joins). A rare token is a key by itself; once more than ``LIGHT`` kept sequences
have it, it is a key only together with a second one, or texts that share most of their words would all meet.

Use::

    index = OverlapIndex(Fraction("0.7"))
    sequence = index.encode(("입고", "예정", "등록"))
    rows = index.candidates(sequence)      # a superset of the answer, ascending; verify with ``common``
    index.add(sequence)                    # kept under the next row number
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from rapidfuzz.distance import LCSseq

__all__ = ["Encoded", "OverlapIndex"]

#: Kept sequences of one token before it needs a partner. Measured at 100,000 texts: 4 and 32 are 1.2x slower than 12.
LIGHT = 12
_SHIFT = 32
#: Surrogates cannot stand in a string that is compared, so their code points are skipped.
_SURROGATES, _SURROGATE_COUNT, _CODE_POINTS = 0xD800, 0x800, 0x110000


@dataclass(frozen=True, slots=True)
class Encoded:
    """A token sequence as the index sees it."""

    order: tuple[int, ...]  #: Ids of its token occurrences, rarest first.
    body: str | tuple[int, ...]  #: The sequence itself, a code point a token while there are enough of them.

    def __len__(self) -> int:
        return len(self.order)


#: Rows of a pair that has become common: by length and by the place of the pair's second token.
_Buckets = dict[tuple[int, int], list[int]]


class OverlapIndex:
    """Kept sequences under row numbers from 0."""

    def __init__(self, threshold: Fraction) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"the threshold is above 0 and at most 1, not {threshold}")
        self._num, self._den = threshold.numerator, threshold.denominator
        #: Token, or (token, how often it stood before in the same sequence), to a running number: a token that came
        #: late is a rare one, which is all that the order needs.
        self._ids: dict[object, int] = {}
        self._rows: list[Encoded] = []
        #: Rows of a rare token; empty where the token has become common.
        self._light: dict[int, list[int]] = {}
        self._pairs: dict[int, int | list[int] | _Buckets] = {}
        #: Rows of a common token that are so short that one shared token can be enough.
        self._tiny: dict[int, list[int]] = {}
        self._tiny_length = 2 * self._den // self._num - 1

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> Encoded:
        return self._rows[row]

    def least(self, m: int, n: int) -> int:
        """Tokens that sequences of these lengths must have in common to reach the threshold."""
        return -(-self._num * (m + n) // (2 * self._den))

    def encode(self, tokens: Sequence[str]) -> Encoded:
        """``tokens`` in the index's terms; new tokens get their number here."""
        ids = self._ids
        plain = [ids.setdefault(token, len(ids)) for token in tokens]
        order = plain
        if len(set(plain)) < len(plain):
            seen: dict[int, int] = {}
            order = []
            for number in plain:
                count = seen.get(number, 0)
                seen[number] = count + 1
                order.append(number if not count else ids.setdefault((number, count), len(ids)))
        return Encoded(tuple(sorted(order, reverse=True)), _body(plain))

    def candidates(self, sequence: Encoded) -> list[int]:
        """Rows whose F1 with ``sequence`` may reach the threshold, ascending; none that does is missing."""
        found: set[int] = set()
        order, last = sequence.order, self._last(len(sequence))
        light, pairs = self._light, self._pairs
        for position in range(last + 1):
            token = order[position]
            rows = light.get(token)
            if rows is None:
                continue
            if rows:
                found.update(rows)
                continue
            base = token << _SHIFT
            for second in range(position + 1, min(last + 2, len(order))):
                value = pairs.get(base | order[second])
                if value is None:
                    continue
                if isinstance(value, int):
                    found.add(value)
                elif isinstance(value, list):
                    found.update(value)
                else:
                    self._from_buckets(value, len(order), second, found)
            if len(sequence) <= self._tiny_length:
                found.update(self._tiny.get(token, ()))
        return sorted(found)

    def _from_buckets(self, buckets: _Buckets, m: int, second: int, found: set[int]) -> None:
        """Rows whose place of the shared pair leaves enough tokens behind it, on both sides."""
        behind = m - 1 - second
        for (n, place), rows in buckets.items():
            least = self.least(m, n)
            if least <= m and least <= n and 2 + min(behind, n - 1 - place) >= least:
                found.update(rows)

    def common(self, sequence: Encoded, row: int) -> int:
        """Length of the longest common subsequence with ``row`` where that can reach the threshold, else 0."""
        other = self._rows[row]
        m, n = len(sequence), len(other)
        least = self.least(m, n)
        if least > m or least > n:
            return 0
        if isinstance(sequence.body, str) and isinstance(other.body, str):
            return int(LCSseq.similarity(sequence.body, other.body, score_cutoff=least))
        return int(LCSseq.similarity(_numbers(sequence.body), _numbers(other.body), score_cutoff=least))

    def add(self, sequence: Encoded) -> int:
        """Keep ``sequence``; returns its row number."""
        row = len(self._rows)
        self._rows.append(sequence)
        for position in range(self._last(len(sequence)) + 1):
            token = sequence.order[position]
            rows = self._light.get(token)
            if rows is None:
                self._light[token] = [row]
            elif not rows:
                self._add_pairs(row, position)
            elif len(rows) < LIGHT:
                rows.append(row)
            else:
                for earlier in (*rows, row):
                    self._add_pairs(earlier, self._rows[earlier].order.index(token))
                rows.clear()
        return row

    def _last(self, length: int) -> int:
        """Last position at which the rarest shared token can stand: its partner may be as short as the overlap."""
        fewest = -(-self._num * length // (2 * self._den - self._num))
        return length - max(1, fewest)

    def _add_pairs(self, row: int, position: int) -> None:
        order = self._rows[row].order
        token, last = order[position], self._last(len(order))
        base, pairs = token << _SHIFT, self._pairs
        for second in range(position + 1, min(last + 2, len(order))):
            key = base | order[second]
            value = pairs.get(key)
            if value is None:
                pairs[key] = row
            elif isinstance(value, int):
                pairs[key] = [value, row]
            elif isinstance(value, list):
                value.append(row)
                if len(value) > LIGHT:
                    pairs[key] = self._bucketed(value, order[second])
            else:
                value.setdefault((len(order), second), []).append(row)
        if len(order) <= self._tiny_length:
            self._tiny.setdefault(token, []).append(row)

    def _bucketed(self, rows: list[int], token: int) -> _Buckets:
        buckets: _Buckets = {}
        for row in rows:
            order = self._rows[row].order
            buckets.setdefault((len(order), order.index(token)), []).append(row)
        return buckets


def _body(numbers: Iterable[int]) -> str | tuple[int, ...]:
    numbers = tuple(numbers)
    if any(number >= _CODE_POINTS - _SURROGATE_COUNT for number in numbers):
        return numbers
    return "".join([chr(number if number < _SURROGATES else number + _SURROGATE_COUNT) for number in numbers])


def _numbers(body: str | tuple[int, ...]) -> tuple[int, ...]:
    if not isinstance(body, str):
        return body
    return tuple(code if code < _SURROGATES else code - _SURROGATE_COUNT for code in map(ord, body))
