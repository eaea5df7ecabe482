"""In which order chunks become sources, so that a small target covers a whole corpus. Knows no generators."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from corpora.records import Chunk

__all__ = ["coverage_order"]


def coverage_order(chunks: Sequence[Chunk], used: Mapping[str, int] | None = None) -> list[Chunk]:
    """Chunks in the order in which they become sources: least used first, then the documents in turn, spread by hash.

    The first slots of a small target thus touch every document, and not only their opening sections. The order depends
    on the texts and on the order of ``chunks``, not on ids: the same manuals in another corpus give the same order.

    Args:
        chunks: Chunks of one side.
        used: How often a chunk was a source already, by id; one that is not there was never used.
    """
    used = used or {}
    documents = {document_id: rank for rank, document_id in enumerate(dict.fromkeys(c.document_id for c in chunks))}
    members: dict[tuple[int, str], list[Chunk]] = {}
    for chunk in sorted(chunks, key=lambda chunk: hashlib.sha256(chunk.text.encode("utf-8")).digest()):
        members.setdefault((used.get(chunk.id, 0), chunk.document_id), []).append(chunk)
    ranked = [
        (times, rank, documents[document_id], chunk)
        for (times, document_id), group in members.items()
        for rank, chunk in enumerate(group)
    ]
    return [chunk for *_, chunk in sorted(ranked, key=lambda entry: entry[:3])]
