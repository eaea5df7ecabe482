"""The report as one HTML file: styles inside, bars drawn by them, no script, no network, no picture.

Every text of a sample is escaped by the template engine. Light and dark as the reader's system is, printable. Needs no
plotting library.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import jinja2

from generators.curation.report import labels

__all__ = ["render_html"]

TEMPLATE = "report.html.jinja"


def render_html(report_json: dict[str, Any], title: str) -> str:
    """The page.

    Args:
        report_json: What ``Report.to_json`` gave.
        title: Heading of the page, any text.

    Returns:
        A whole HTML document that loads nothing.
    """
    source = resources.files("generators.curation.report").joinpath("pages", TEMPLATE).read_text(encoding="utf-8")
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "percent": labels.percent,
        "number": _number,
        "evidence": _evidence,
        "stage": lambda key: labels.label(labels.STAGES, key),
        "level": lambda key: labels.label(labels.LEVELS, key),
    }
    return environment.from_string(source).render(
        report=report_json, title=title, spreads=[_spread(*entry) for entry in report_json["distributions"].items()]
    )


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3g}" if abs(value) < 1 else f"{value:,.1f}"


def _evidence(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _spread(name: str, sides: dict[str, Any]) -> dict[str, Any]:
    """A distribution as rows of bars, as wide as their share of the largest."""
    before, after = sides["before"], sides["after"]
    shares = [
        (first["count"] / max(before["n"], 1), second["count"] / max(after["n"], 1))
        for first, second in zip(before["bins"], after["bins"], strict=True)
    ]
    largest = max((max(pair) for pair in shares), default=0) or 1
    rows = [
        {
            "label": labels.bin_label(entry, whole=name != "hangul_share"),
            "before": pair[0],
            "after": pair[1],
            "before_width": round(100 * pair[0] / largest, 2),
            "after_width": round(100 * pair[1] / largest, 2),
        }
        for entry, pair in zip(before["bins"], shares, strict=True)
    ]
    used = [number for number, pair in enumerate(shares) if any(pair)]
    rows = rows[used[0] : used[-1] + 1] if used else []
    return {"name": labels.label(labels.DISTRIBUTIONS, name), "rows": rows, "before": before, "after": after}
