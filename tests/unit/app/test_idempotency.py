"""The hash by which a repeated request is told: every part counts, and an upload is never held in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

from app.api.idempotency import _digest


def test_parts_are_told_apart() -> None:
    digests = {
        _digest(parts)
        for parts in (
            [b"a.jsonl", b"fine-tune", b"{}"],
            [b"a.jsonl", b"user_data", b"{}"],
            [b"a.jsonl", b"fine-tune", b"{", b"}"],
            [b"a.jsonlfine-tune", b"{}"],
        )
    }
    assert len(digests) == 4


def test_a_large_upload_is_read_block_by_block() -> None:
    def blocks() -> Iterator[bytes]:
        for number in range(64):
            yield bytes([number]) * (1 << 20)

    tracemalloc.start()
    try:
        _digest(blocks())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20
