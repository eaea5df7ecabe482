"""Rows of one group that are letter for letter the same: variants are not compared with one another, copies are.

Novelty goes by similarity, and rows of a group (an original and its variants, instances of one instruction) are similar
on purpose. What is the same to the last character is a copy all the same, as of a job that was run twice.
"""

from __future__ import annotations

import hashlib

from corpora.records import Candidate, Verdict

__all__ = ["Repeats"]


class Repeats:
    """Kept rows of groups by what they say; rows without a group need none of this."""

    def __init__(self) -> None:
        self._kept: dict[bytes, str] = {}

    def add(self, key: str, candidate: Candidate) -> None:
        """Keep a row."""
        if candidate.group_id is not None:
            self._kept.setdefault(_digest(candidate), key)

    def is_first(self, candidate: Candidate) -> bool:
        """Whether nothing said the same before in its group; keeps it."""
        if candidate.group_id is None:
            return True
        before = len(self._kept)
        self._kept.setdefault(_digest(candidate), "")
        return len(self._kept) > before

    def find(self, candidate: Candidate) -> Verdict | None:
        """The verdict on a copy of a kept row of its group, or None."""
        key = self._kept.get(_digest(candidate)) if candidate.group_id is not None else None
        if key is None:
            return None
        return Verdict(stage="near_duplicate", reason="exact_duplicate", score=1.0, evidence={"of": key})


def _digest(candidate: Candidate) -> bytes:
    state = hashlib.blake2b((candidate.group_id or "").encode(), digest_size=16)
    for message in candidate.messages:
        for part in (message.role, message.content):
            data = part.encode("utf-8", "surrogatepass")
            state.update(len(data).to_bytes(8, "big"))
            state.update(data)
    return state.digest()
