"""The page: figures in Korean, colours only where the whole interval says so, everything escaped."""

from __future__ import annotations

from typing import Any

import pytest

from app.services.evaluation_page import MAX_SHOWN, render_page


def estimate(value: float | None, low: float | None = None, high: float | None = None, n: int = 40) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": n}


def metric(better: str | None, low: float | None, high: float | None, unit: str = "share") -> dict[str, Any]:
    return {"name": "m", "group": "g", "label": "지표", "unit": unit, "better": better, "base": estimate(0.25),
            "tuned": estimate(0.5, 0.4, 0.6), "difference": estimate(0.25, low, high)}  # fmt: skip


def report(**more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "object": "evaluation.report",
        "id": "eval-1",
        "base_model": "<b>기반</b>",
        "model": "ft:기반 & 물류",
        "asked": {"seed": 7, "temperature": 0.0, "max_tokens": 512, "recipes": {}},
        "rows": {"in_file": 1, "total": 1, "scored": 1, "failed": 0, "failures": {}},
        "metrics": [],
        "judge": None,
        "benchmarks": None,
        "notes": [],
        "outputs": [],
        "outputs_left_out": 0,
    }
    return made | more


def row(number: int, text: str = "네.", **more: Any) -> dict[str, Any]:
    side = {"text": text, "finish_reason": "stop", "completion_tokens": 3, "failure": None, "scores": {}}
    turns = [{"role": "user", "content": f"{number}번?"}]
    made = {"row": number, "messages": turns, "reference": "네.", "base": side, "tuned": side, "judge": None}
    return made | more


def test_names_and_texts_are_escaped() -> None:
    page = render_page(report(outputs=[row(1, "<img src=x onerror=alert(1)> {{ 7*7 }}")]))
    assert "<b>기반</b>" not in page
    assert "&lt;b&gt;기반&lt;/b&gt;" in page
    assert "<img" not in page
    assert "{{ 7*7 }}" in page  # data is no template


@pytest.mark.parametrize(
    ("better", "low", "high", "colour"),
    [
        ("higher", 0.1, 0.4, "n good"),
        ("lower", 0.1, 0.4, "n bad"),
        ("lower", -0.4, -0.1, "n good"),
        ("higher", -0.4, -0.1, "n bad"),
        ("higher", -0.1, 0.4, "n"),
        (None, 0.1, 0.4, "n"),
        ("higher", None, None, "n"),
        ("higher", 0.0, 0.0, "n"),
    ],
)
def test_a_colour_needs_an_interval_without_zero(
    better: str | None, low: float | None, high: float | None, colour: str
) -> None:
    page = render_page(report(metrics=[metric(better, low, high)]))
    assert f'<td class="{colour}">+25.0%p' in page


def test_figures_have_their_unit() -> None:
    page = render_page(report(metrics=[metric("lower", None, None, "perplexity")]))
    assert "0.25" in page
    assert "%p" not in page
    nothing = metric("higher", None, None) | {"base": estimate(None), "difference": estimate(None)}
    assert '<td class="n">–' in render_page(report(metrics=[nothing]))


def test_failed_rows_and_rows_left_out_are_told() -> None:
    failed = row(1)["base"] | {"text": "", "failure": "context_length_exceeded", "finish_reason": None}
    outputs = [row(1, base=failed, tuned=None), *(row(number) for number in range(2, MAX_SHOWN + 5))]
    page = render_page(report(outputs=outputs, outputs_left_out=10))
    assert "(질문이 문맥보다 깁니다)" in page
    assert "(답이 없습니다)" in page
    assert "여기에 보이지 않는 14행은" in page


def test_benchmarks_stand_beside_each_other() -> None:
    found = {"base": {"kobest_copa": {"acc": 0.5, "f1": 0.4}}, "tuned": {"kobest_copa": {"acc": 0.625}}}
    page = render_page(report(benchmarks=found))
    assert "0.5000" in page
    assert "0.6250" in page
