"""What a new version of a document changed: which chunks stayed, which came, which went.

``changed_chunks(old, new)`` compares text and heading path; a chunk that only moved is kept. Knows no store: the caller
writes new offsets to the kept ones, and embeds and indexes only what was added.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

from corpora.records import Chunk

__all__ = ["Changes", "changed_chunks"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """The difference of two versions; each tuple in the order of its version."""

    kept: tuple[tuple[Chunk, Chunk], ...]  #: Old and new, of equal text and headings; index and offsets may differ.
    added: tuple[Chunk, ...]  #: Chunks of the new version only.
    removed: tuple[Chunk, ...]  #: Chunks of the old version only.

    @property
    def unchanged(self) -> bool:
        """Whether every chunk stayed where it was, offsets included."""
        moved = any((old.index, old.start, old.end) != (new.index, new.start, new.end) for old, new in self.kept)
        return not (self.added or self.removed or moved)


def changed_chunks(old: Sequence[Chunk], new: Sequence[Chunk]) -> Changes:
    """What came, went and stayed between the chunks of two versions, in time that grows with their number.

    Of chunks that are equal the first is paired with the first, the second with the second: as their ids are counted.
    """
    waiting: defaultdict[tuple[tuple[str, ...], str], deque[Chunk]] = defaultdict(deque)
    for chunk in old:
        waiting[chunk.headings, chunk.text].append(chunk)
    kept: list[tuple[Chunk, Chunk]] = []
    added: list[Chunk] = []
    for chunk in new:
        same = waiting.get((chunk.headings, chunk.text))
        if same:
            kept.append((same.popleft(), chunk))
        else:
            added.append(chunk)
    gone = {id(chunk) for chunks in waiting.values() for chunk in chunks}
    removed = tuple(chunk for chunk in old if id(chunk) in gone)
    return Changes(kept=tuple(kept), added=tuple(added), removed=removed)
