"""``malmoi evaluate``: the lines of figures that it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.cli.evaluation import _say


def figure(name: str, unit: str, sides: tuple[float | None, float | None], change: Any) -> dict[str, Any]:
    value, low, high = change
    return {
        "name": name,
        "unit": unit,
        "base": {"value": sides[0]},
        "tuned": {"value": sides[1]},
        "difference": {"value": value, "low": low, "high": high},
    }


def said(capsys: pytest.CaptureFixture[str], *metrics: dict[str, Any]) -> list[str]:
    rows = {"total": 4, "scored": 4, "failed": 0, "failures": {}}
    results = {"rows": rows, "metrics": list(metrics), "judge": None, "notes": []}
    _say({"status": "succeeded", "results": results, "error": None}, Path("보고서"))
    return capsys.readouterr().out.splitlines()[1:-1]


def test_shares_change_by_percentage_points(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(
        capsys,
        figure("rouge1_f1", "share", (0.04, 0.06), (0.02, -0.035, 0.08)),
        figure("rouge2_f1", "share", (0.04, 0.24), (0.2, 0.1, 0.3)),
        figure("perplexity", "perplexity", (9.5, 1234.0), (1224.5, 1000.0, 1500.0)),
    )
    assert [" ".join(line.split()) for line in lines] == [
        "rouge1_f1 4.0% -> 6.0% +2.0%p [-3.5, +8.0]%p",
        "rouge2_f1 4.0% -> 24.0% +20.0%p [+10.0, +30.0]%p *",
        "perplexity 9.50 -> 1,234.00 +1,224.50 [+1,000.00, +1,500.00] *",
        "* 95% 구간에 0이 들지 않는 차이",
    ]


def test_what_was_not_measured_has_no_change(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(
        capsys,
        figure("empty", "share", (None, 0.5), (None, None, None)),
        figure("exact_match", "share", (0.0, 1.0), (1.0, None, None)),
        figure("speech_level", "share", (0.5, 0.5), (0.0, 0.0, 0.0)),
    )
    assert [" ".join(line.split()) for line in lines] == [
        "empty – -> 50.0%",
        "exact_match 0.0% -> 100.0% +100.0%p",
        "speech_level 50.0% -> 50.0% +0.0%p [+0.0, +0.0]%p",
    ]
