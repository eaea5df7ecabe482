"""Rows by their nouns: the few of a crowd that the noun guard lets through.

Rows of one template share most of their words, so that each is above the threshold with all others, and all but a few
have another noun in the slot. Comparing every pair to have the guard refuse it costs the square of their number. The
guard lets a pair through iff one side's nouns contain the other's (as multisets), so only such rows need looking at:

- rows with all nouns of the new one stand in the list of each of these nouns; the shortest lists are intersected;
- rows whose nouns the new one has stand under the two that were their rarest when they came, both nouns of its own.

``among`` is what ``OverlapIndex.above`` asks when it meets a crowd. It may give a row too many, never one too few: the
guard still decides. Nouns are looked up only for rows that stand in a crowd. Use::

    near = NounIndex(nouns_of_row)              # row number to Counter
    index.above(sequence, near.among(nouns))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import chain, combinations

__all__ = ["NounIndex"]

#: A list so many times longer than the shortest costs more to read than the rows that it rules out.
WORTHWHILE = 8


class NounIndex:
    """Kept rows by noun, entered when they are first met in a crowd."""

    def __init__(self, nouns: Callable[[int], Counter[str]]) -> None:
        self._nouns = nouns
        self._entered: set[int] = set()
        #: By the list's identity, how many of its rows are entered; lists only grow, and live as long as this.
        self._seen: dict[int, tuple[int, list[int]]] = {}
        self._having: dict[str, list[int]] = {}
        self._under: dict[tuple[str, ...], list[int]] = {}
        self._without: list[int] = []

    def among(self, nouns: Callable[[], Counter[str]]) -> Callable[[Sequence[list[int]]], list[int] | None]:
        """What ``OverlapIndex.above`` asks about crowds, for a row whose nouns ``nouns`` gives when they are needed."""
        return partial(self._comparable, nouns)

    def _comparable(self, nouns: Callable[[], Counter[str]], crowds: Sequence[list[int]]) -> list[int] | None:
        """Rows that the guard may let through, of these crowds and others; None where they are no fewer."""
        for crowd in crowds:
            self._enter(crowd)
        own = nouns()
        if not own:
            return None
        words = sorted(own)
        keys = chain(((noun,) for noun in words), combinations(words, 2))
        few = set(self._without).union(*(self._under[key] for key in keys if key in self._under))
        few.update(self._having_all(words))
        return list(few) if len(few) < sum(map(len, crowds)) else None

    def _having_all(self, words: list[str]) -> Collection[int]:
        """Rows that may have all of these nouns."""
        shortest, *others = sorted((self._having.get(noun, []) for noun in words), key=len)
        found = set(shortest)
        for rows in others:
            if len(rows) > WORTHWHILE * len(shortest):
                break
            found.intersection_update(rows)
        return found

    def _enter(self, crowd: list[int]) -> None:
        done, _ = self._seen.get(id(crowd), (0, crowd))
        if done == len(crowd):
            return
        # The list is held, so that its identity is not given to another one.
        self._seen[id(crowd)] = len(crowd), crowd
        for row in crowd[done:]:
            if row in self._entered:
                continue
            self._entered.add(row)
            nouns = self._nouns(row)
            if not nouns:
                self._without.append(row)
                continue
            rarest = sorted(nouns, key=lambda noun: (len(self._having.get(noun, ())), noun))[:2]
            for noun in nouns:
                self._having.setdefault(noun, []).append(row)
            self._under.setdefault(tuple(sorted(rarest)), []).append(row)
