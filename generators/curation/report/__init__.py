"""The curation report: what was kept, what was dropped and why, as JSON, one HTML page, and plots.

Takes judged samples and nothing else; knows no store, no file of samples and no curator. Use::

    report = Report()
    for sample in judged:           # accepted and rejected, any number, in bounded memory
        report.add(sample)
    write_report(report.to_json(), Path("report.html"))     # or report.json, or a folder for everything
"""

from __future__ import annotations

from generators.curation.report.measures import Report
from generators.curation.report.openings import question_template
from generators.curation.report.page import render_html
from generators.curation.report.plots import write_plots
from generators.curation.report.writing import write_report

__all__ = ["Report", "question_template", "render_html", "write_plots", "write_report"]
