"""Writes a report: JSON, HTML, or a folder with both and the plots; each file whole or not at all.

Everything is made before the first byte is written, and each file replaces its predecessor in one step.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from corpora.errors import InvalidInputError
from generators.curation.report.files import write_whole
from generators.curation.report.page import render_html
from generators.curation.report.plots import draw_plots

__all__ = ["write_report"]

TITLE = "데이터셋 정제 보고서"


def write_report(report_json: dict[str, Any], path: Path) -> list[Path]:
    """Write a report as the name says: ``….json``, ``….html``, any other name a folder.

    Args:
        report_json: What ``Report.to_json`` gave.
        path: A file, or a folder for ``report.json``, ``report.html`` and the plots; made where it is missing.

    Returns:
        What was written.

    Raises:
        InvalidInputError: ``path`` is a file of another kind, or a folder with a file's name.
        MissingExtraError: a folder is wanted and the plotting library is not installed; nothing was written.
        OSError: the place cannot be written; earlier files are untouched.
    """
    suffix = path.suffix.lower()
    if suffix in (".json", ".html", ".htm"):
        if path.is_dir():
            raise InvalidInputError(f"{path} is a folder; a report named {suffix} is a file.", param="report")
        text = _json(report_json) if suffix == ".json" else render_html(report_json, TITLE)
        path.parent.mkdir(parents=True, exist_ok=True)
        return [write_whole(path, text.encode("utf-8"))]
    if path.exists() and not path.is_dir():
        raise InvalidInputError(f"{path} is a file; a report is .json, .html or a folder.", param="report")
    made = dict(draw_plots(report_json))
    made["report.html"] = render_html(report_json, TITLE).encode("utf-8")
    made["report.json"] = _json(report_json).encode("utf-8")
    path.mkdir(parents=True, exist_ok=True)
    return [write_whole(path / name, content) for name, content in made.items()]


def _json(report_json: dict[str, Any]) -> str:
    return json.dumps(report_json, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
