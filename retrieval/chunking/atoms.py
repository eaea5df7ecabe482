"""Where a block that is too long is cut: at its seams, else between sentences, else at lines, words, characters.

``atoms(text, start, end, seams, size)`` gives ranges of at most ``size`` characters, as whole as they can be. Knows no
headings and no chunks.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from corpora.korean.analyse import sentences
from corpora.markdown import Seam

__all__ = ["Range", "atoms", "sentence_starts", "trim"]

Range = tuple[int, int]

#: Kiwi's time grows faster than the text: 0.4 s of CPU for 20,000 characters, 6.8 s for 160,000 (two cores, busy).
WINDOW = 2000
#: A word this long is none (base64, a line of Chinese): 10,000 characters of one cost Kiwi 1.8 s.
LONG_WORD = 100

_WORD = re.compile(r"\S+")
_SENTENCE_MARK = re.compile(r"[.!?。！？…](?=\s)")
_ENDS = frozenset(".!?。！？,;:、，)]")


def atoms(text: str, start: int, end: int, seams: Sequence[Seam], size: int) -> list[Range]:
    """Ranges that cover what is not blank in ``text[start:end]``, in order.

    Args:
        text: The document.
        start: Where the block or the part of it begins.
        end: Where it ends.
        seams: The block's seams, by ascending offset.
        size: No range is longer, in characters; at least 1.
    """
    start, end = trim(text, start, end)
    if start == end:
        return []
    if end - start <= size:
        return [(start, end)]
    low = bisect_left(seams, start + 1, key=_offset)
    high = bisect_left(seams, end, low, key=_offset)
    inside = seams[low:high]
    if not inside:
        return list(_prose(text, start, end, size))
    best = min(seam.depth for seam in inside)
    edges = [start, *(seam.start for seam in inside if seam.depth == best), end]
    return [part for i in range(len(edges) - 1) for part in atoms(text, edges[i], edges[i + 1], inside, size)]


def sentence_starts(text: str, start: int, end: int) -> list[int]:
    """Offsets inside ``text[start:end]`` at which a sentence begins, ``start`` itself left out."""
    found: list[int] = []
    for low, high, is_word in _windows(text, start, end):
        if is_word:
            # Chinese and Japanese end a sentence without a blank.
            found.extend(low + m.end() for m in re.finditer("[。！？]", text[low:high]))
            continue
        if low > start:
            found.append(low)
        found.extend(low + first for first, _ in sentences(text[low:high]))
    return sorted({at for at in found if start < at < end})


def trim(text: str, start: int, end: int) -> Range:
    """The range without blanks at its ends."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _offset(seam: Seam) -> int:
    return seam.start


def _prose(text: str, start: int, end: int, size: int) -> Iterator[Range]:
    """Sentences; one that is too long in pieces."""
    edges = [start, *sentence_starts(text, start, end), end]
    for i in range(len(edges) - 1):
        low, high = trim(text, edges[i], edges[i + 1])
        while high - low > size:
            at = _cut(text, low, size)
            piece = trim(text, low, at)
            yield piece
            low, high = trim(text, at, high)
        if low < high:
            yield low, high


def _windows(text: str, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """The range in parts that Kiwi reads quickly, and words that it must not see (True)."""
    low = start
    for word in _WORD.finditer(text, start, end):
        if word.end() - word.start() > LONG_WORD:
            yield from _short_windows(text, low, word.start())
            yield word.start(), word.end(), True
            low = word.end()
    yield from _short_windows(text, low, end)


def _short_windows(text: str, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    while (low := trim(text, start, end)[0]) < end:
        if end - low <= WINDOW:
            yield low, end, False
            return
        marks = [m.end() for m in _SENTENCE_MARK.finditer(text, low + WINDOW // 2, low + WINDOW)]
        start = marks[-1] if marks else _cut(text, low, WINDOW)
        yield low, start, False


def _cut(text: str, low: int, size: int) -> int:
    """Where to end a piece of at most ``size`` characters from ``low``: line end, blank, mark, else between letters."""
    high, half = low + size, low + max(1, size // 2)
    line = text.rfind("\n", half, high + 1)
    if line != -1:
        return line
    for at in range(high, half, -1):
        if text[at].isspace():
            return at
    for at in range(high, half, -1):
        if text[at - 1] in _ENDS:
            return at
    at = high
    while at > half and _clings(text, at):
        at -= 1
    return at


def _clings(text: str, at: int) -> bool:
    """Whether the character at ``at`` and the one before it are shown as one: accents, joined emoji, old Hangul."""
    here, before = text[at], text[at - 1]
    joined = here in "\u200d\ufe0f" or before == "\u200d" or "\U0001f3fb" <= here <= "\U0001f3ff"
    return joined or unicodedata.combining(here) != 0 or "\u1160" <= here <= "\u11ff"
