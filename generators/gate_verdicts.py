"""The verdict of the gates of grounding. Must not know what any of them looks at."""

from __future__ import annotations

from typing import Any

from corpora.records import Verdict

__all__ = ["refused"]


def refused(reason: str, **evidence: Any) -> Verdict:
    """A verdict of this stage."""
    return Verdict(stage="grounding", reason=reason, evidence=evidence)
