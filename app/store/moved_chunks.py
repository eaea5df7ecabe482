"""Where the chunks are that a running job read: a newer revision of a document may have moved or removed them.

A job reads its chunks once. What it commits later must point into the text that is there then: ``ChunkPlaces`` compares
where a chunk was with where it is. Works inside the caller's session and transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.store.tables import ChunkRow
from corpora.records import Chunk, Provenance

__all__ = ["ChunkPlaces", "Move", "moved_spans"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """A range of a document's text that stands elsewhere now."""

    document_id: str
    start: int  #: Where it began.
    end: int  #: Where it ended.
    by: int  #: How far it went.


def moved_spans(
    spans: Iterable[Mapping[str, Any]], document_ids: set[str], moves: Sequence[Move]
) -> tuple[list[dict[str, Any]], bool]:
    """The spans at their new offsets, and whether one pointed to text that is no more, which is left out.

    Args:
        spans: ``{document_id, start, end}`` each.
        document_ids: Documents whose text changed; spans into others stay as they are.
        moves: The ranges of them that are still there.
    """
    moved: list[dict[str, Any]] = []
    lost = False
    for span in spans:
        if span["document_id"] not in document_ids:
            moved.append(dict(span))
            continue
        inside = (
            move
            for move in moves
            if move.document_id == span["document_id"] and move.start <= span["start"] and span["end"] <= move.end
        )
        move = next(inside, None)
        if move is None:
            lost = True
        else:
            moved.append({**span, "start": span["start"] + move.by, "end": span["end"] + move.by})
    return moved, lost


class ChunkPlaces:
    """Where a job found its chunks."""

    def __init__(self, chunks: Iterable[Chunk] = ()) -> None:
        self._was = {chunk.id: chunk for chunk in chunks}

    def follow(self, session: Session, origins: Iterable[Provenance]) -> dict[int, tuple[list[dict[str, Any]], bool]]:
        """For each origin whose chunks have moved or gone, by its place: its spans now, and whether one is lost."""
        named = list(origins)
        asked = {one for origin in named for one in origin.chunk_ids if one in self._was}
        if not asked:
            return {}
        rows = session.execute(select(ChunkRow.id, ChunkRow.start).where(ChunkRow.id.in_(asked)))
        now: dict[str, int] = dict(list(rows))
        if all(now.get(one) == self._was[one].start for one in asked):
            return {}
        found: dict[int, tuple[list[dict[str, Any]], bool]] = {}
        for place, origin in enumerate(named):
            chunks = [self._was[one] for one in origin.chunk_ids if one in self._was]
            moves = [
                Move(document_id=chunk.document_id, start=chunk.start, end=chunk.end, by=now[chunk.id] - chunk.start)
                for chunk in chunks
                if chunk.id in now
            ]
            spans = [{"document_id": span.document_id, "start": span.start, "end": span.end} for span in origin.spans]
            shifted, lost = moved_spans(spans, {chunk.document_id for chunk in chunks}, moves)
            found[place] = shifted, lost or len(moves) < len(chunks)
        return found
