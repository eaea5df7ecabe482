"""One line of text as the recognisers see it: folded characters, its labels, its URLs, the header of its table.

Folding maps one character to one character, so offsets hold in the text that was given: full-width forms become
ASCII, the many dashes "-", the many spaces " ", and a placeholder a run of ``BARRIER``, which no pattern crosses.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from corpora.korean.personal_data.labels import ASIDE, LABEL, Topic
from corpora.korean.personal_data.model import PLACEHOLDERS

__all__ = ["BARRIER", "LEFT", "RIGHT", "Hit", "Label", "Line", "fold"]

BARRIER = "\ue000"
#: A number stands free: not inside a longer code (A-01-02-03, 10.0.25, 12:30:15), nor beside what was masked.
LEFT = rf"(?<![0-9A-Za-z{BARRIER}])(?<![0-9A-Za-z{BARRIER}][-_])(?<![0-9][.:])"
RIGHT = rf"(?![0-9A-Za-z{BARRIER}])(?![-_][0-9A-Za-z{BARRIER}])(?![.:][0-9])"

#: "ㅡ" is what chatters type for a dash.
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\ufe58\ufe63\u3161"
_SPACES = "\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u3000\t"
_FOLD: dict[int, str] = {
    **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},
    **dict.fromkeys(map(ord, _DASHES), "-"),
    **dict.fromkeys(map(ord, _SPACES), " "),
}
_PLACEHOLDER = re.compile("|".join(map(re.escape, PLACEHOLDERS.values())))
_URL = re.compile(r"(?:https?://|www\.)[!-~]{1,2000}")
_NUMBER = re.compile(r"[0-9][0-9-]{5,}")
_LISTED = re.compile(r"[\s,/·()]{1,4}|\s?(?:및|와|과)\s?")
_FACING = re.compile(r" ?\(?|(?:은|는|이|가) ")
_NEXT_CELL = re.compile(r" *\| *")
_TOUCHING = re.compile(r"[\s:=(\[#]{0,3}")


def fold(text: str) -> str:
    """``text`` with the same length and simpler characters; masked places become barriers."""
    return _PLACEHOLDER.sub(lambda match: BARRIER * len(match[0]), text.translate(_FOLD))


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """The word that says what a number is."""

    topic: Topic  #: A kind of personal data, ``bank``, or ``code`` for what identifies goods and papers.
    word: str  #: As it stands in the text.
    touching: bool = True  #: Nothing but a colon or a space between the word and the number.


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """What a recogniser found in a line; offsets in the line."""

    start: int
    end: int
    high: bool  #: High confidence, else low.
    checksum: bool | None = None  #: Passed, failed, or None where there is none.
    label: Label | None = None  #: The label that was heeded.


class Line:
    """A folded line with what its recognisers ask of it; everything is computed once, and only when asked for."""

    def __init__(self, text: str, header: str | None = None) -> None:
        self.text = text
        self._header = header

    @cached_property
    def _labels(self) -> list[re.Match[str]]:
        return list(LABEL.finditer(self.text))

    @cached_property
    def _label_ends(self) -> list[int]:
        return [match.end() for match in self._labels]

    @cached_property
    def _urls(self) -> list[tuple[int, int]]:
        return [match.span() for match in _URL.finditer(self.text)]

    @cached_property
    def _bars(self) -> list[int]:
        return [match.start() for match in re.finditer(r"\|", self.text)]

    def matches(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        """Matches outside URLs, where digits are ids; a URL's parameter (``?tel=010…``) counts."""
        for match in pattern.finditer(self.text):
            if not self._in_url(match.start()):
                yield match

    def _in_url(self, position: int) -> bool:
        place = bisect_right(self._urls, (position, len(self.text))) - 1
        if place < 0 or position >= self._urls[place][1]:
            return False
        return self.text[position - 1] != "="

    def label(self, start: int, end: int) -> Label | None:
        """The label of the number at ``start`` to ``end``.

        The nearest before it, one right behind it, that of its column, or the cell on its left.
        """
        return (
            self._before(start, within_cell=True)
            or self._behind(end)
            or self._column(start)
            or self._before(start, within_cell=False)
        )

    def _before(self, start: int, *, within_cell: bool) -> Label | None:
        place = bisect_right(self._label_ends, start) - 1
        if place < 0:
            return None
        match = self._labels[place]
        topic = Topic(match.lastgroup or "")
        if start - match.end() > topic.reach:
            return None
        gap = self.text[match.end() : start]
        if BARRIER in gap or ("|" in gap and (within_cell or not _NEXT_CELL.fullmatch(gap))):
            return None
        between = _NUMBER.search(gap)
        # A label serves a list of numbers, not whatever number comes after its own.
        if between and not _LISTED.fullmatch(gap[between.end() :]):
            return None
        return Label(topic=topic, word=match[0], touching=bool(_TOUCHING.fullmatch(gap)))

    def _behind(self, end: int) -> Label | None:
        place = bisect_right(self._label_ends, end)
        if place == len(self._labels):
            return None
        match = self._labels[place]
        if match.start() < end or match.start() - end > ASIDE or not _FACING.fullmatch(self.text[end : match.start()]):
            return None
        return Label(topic=Topic(match.lastgroup or ""), word=match[0])

    def _column(self, start: int) -> Label | None:
        if self._header is None:
            return None
        cells = self._header.split("|")
        place = bisect_right(self._bars, start)
        match = LABEL.search(cells[place]) if place < len(cells) else None
        return Label(topic=Topic(match.lastgroup or ""), word=match[0]) if match else None
