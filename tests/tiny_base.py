"""A base model small enough for any test, made by the real code: ``malmoi-demo`` with other sizes."""

from __future__ import annotations

from pathlib import Path

import pytest


def build_tiny_base(folder: Path, corpus: Path) -> Path:
    """Build it into ``folder`` from the pages in ``corpus``: seconds, not a minute."""
    from training import demo_base

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"HIDDEN": 64, "LAYERS": 2, "HEAD": 32, "VOCABULARY": 600, "STEPS": 4, "BATCH": 2}.items():
            patch.setattr(demo_base, name, value)
        return demo_base.build_demo_base(corpus, folder, lambda _line: None)
