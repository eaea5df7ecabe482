"""The report of an evaluation as one HTML page in Korean: styles inside, no script, no network.

Every text of a row, an answer or a judge is escaped by the template engine: what a model writes is data.
"""

from __future__ import annotations

import math
from importlib import resources
from typing import Any

import jinja2

__all__ = ["render_page"]

TEMPLATE = "evaluation.html.jinja"
#: Rows that the page shows side by side; the JSON report and the file of answers have more.
MAX_SHOWN = 200
_CAUSES = {
    "context_length_exceeded": "질문이 문맥보다 깁니다",
    "encoding_failed": "글을 토큰으로 바꾸지 못했습니다",
    "not_answered": "답이 없습니다",
}
_OUTCOMES = {"win": "이김", "tie": "비김", "lose": "짐", "inconsistent": "엇갈림", None: "읽지 못함"}
_BAD = {"shuffled": "다른 질문의 답", "truncated": "끊긴 답", "wrong_number": "틀린 숫자", "all": "모두"}


def render_page(report: dict[str, Any]) -> str:
    """The page.

    Args:
        report: What ``evaluation_report.build_report`` gave.

    Returns:
        A whole HTML document that loads nothing.
    """
    source = resources.files("app.services").joinpath(TEMPLATE).read_text(encoding="utf-8")
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "figure": _figure,
        "share": lambda value: "–" if value is None else f"{value:.1%}",
        "signed": _signed,
        "number": lambda value: "–" if value is None else f"{value:,}",
        "cause": lambda code: _CAUSES.get(code, code),
        "outcome": lambda code: _OUTCOMES.get(code, code),
        "bad": lambda code: _BAD.get(code, code),
    }
    environment.tests["better"] = _is_better
    environment.tests["worse"] = _is_worse
    return environment.from_string(source).render(
        report=report,
        shown=report["outputs"][:MAX_SHOWN],
        left_out=report["outputs_left_out"] + max(0, len(report["outputs"]) - MAX_SHOWN),
        roles={"system": "지시", "user": "질문", "assistant": "답"},
    )


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    if unit == "share":
        return f"{value:.1%}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.2f}"


def _signed(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    sign = "+" if value > 0 else "−" if value < 0 else "±"
    if unit == "share":
        return f"{sign}{abs(value) * 100:.1f}%p"
    return sign + _figure(abs(value), unit)


def _direction(metric: dict[str, Any]) -> int:
    """1 where the whole interval of the difference is an improvement, -1 where it is the opposite, else 0."""
    low, high = metric["difference"]["low"], metric["difference"]["high"]
    if metric["better"] is None or low is None or high is None or low <= 0 <= high:
        return 0
    return int(math.copysign(1, low)) * (1 if metric["better"] == "higher" else -1)


def _is_better(metric: dict[str, Any]) -> bool:
    return _direction(metric) > 0


def _is_worse(metric: dict[str, Any]) -> bool:
    return _direction(metric) < 0
