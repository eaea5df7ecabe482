"""When the curves are drawn: now and then while the run goes on, and at its end. A missing library is said once.

Knows nothing of how they are drawn (``training.plots``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpora.errors import MissingExtraError
from training.events import Events
from training.plots import draw_curves

__all__ = ["Curves"]

#: Seconds between two pictures of one run; one takes less than one.
EVERY_S = 60.0


@dataclass(kw_only=True)
class Curves:
    """The picture of one run."""

    path: Path  #: Of the PNG.
    title: str
    events: Events
    wanted: bool = True  #: On the first of several processes only.
    drawn: float = field(default_factory=time.monotonic)

    def draw_now_and_then(self, rows: Mapping[int, Mapping[str, Any]]) -> None:
        """Draw when the last picture, or the beginning, is a minute ago."""
        if time.monotonic() - self.drawn >= EVERY_S:
            self.draw(rows)

    def draw(self, rows: Mapping[int, Mapping[str, Any]]) -> Path | None:
        """Draw; None where the library is missing, which is told once and ends no run."""
        self.drawn = time.monotonic()
        if not self.wanted:
            return None
        try:
            return draw_curves(rows, self.title, self.path)
        except MissingExtraError as error:
            self.wanted = False
            data = {"code": error.code}
            self.events.emit("message", f"학습 곡선을 그리지 못합니다. {error.message}", data, "warn")
            return None
