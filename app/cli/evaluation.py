"""``malmoi evaluate``: a base against a tuned model on held-out rows, no server needed.

Runs on a private store that is gone afterwards, or on ``--data-dir``, where models have names and the evaluation can be
looked at later. Ctrl-C stops it. Progress on a terminal, none in a pipe.
"""

from __future__ import annotations

import argparse
import sys
import threading
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.inline import services_on, watched
from corpora.errors import MalmoiError

if TYPE_CHECKING:
    from app.services.context import Services

__all__ = ["add_evaluate", "run_evaluate"]

Commands = Any  # argparse's own type is private
#: Ends that give a report.
_GAVE = frozenset({"succeeded", "incomplete"})
POLL_S = 1.0
#: Behind a difference whose interval leaves 0 out.
MARK = " *"


def add_evaluate(commands: Commands) -> None:
    """Declare ``malmoi evaluate``."""
    command = commands.add_parser("evaluate", help="compare a base with a tuned model on rows that training never saw")
    add = command.add_argument
    add("--base", required=True, metavar="BASE", help="folder of the base model, or its name with --data-dir")
    add("--model", required=True, metavar="ADAPTER", help="folder of the adapter, or its name with --data-dir")
    add("--data", type=Path, required=True, metavar="FILE", help="JSONL in the messages schema; last answer: reference")
    add("-o", "--output", type=Path, required=True, metavar="DIR", help="folder of report.json, report.html, answers")
    add("--metrics", nargs="+", metavar="M", help="figures to measure; everything but kobest and klue when left out")
    add("--judge-model", help="model that judges the answers (MALMOI_MODEL_BASE_URL)")
    add("--recipe", help="recipe whose template is used; the adapter's own when left out")
    add("--max-rows", type=int, default=200, help="rows to ask, drawn by the seed (default 200); 0 for all")
    add("--seed", type=int, default=7)
    add("--max-tokens", type=int, default=512, help="most tokens of an answer")
    add("--temperature", type=float, default=0.0, help="0 is greedy")
    add("--batch-size", type=int, default=8, help="prompts that are answered together")
    add("--speech-level", choices=("reference", "polite", "plain"), default="reference", help="what answers must keep")
    add("--repeats", type=int, default=4, help="sampled answers to each repeated question")
    add("--repeat-rows", type=int, default=20, help="questions that are repeated")
    add("--judge-check-rows", type=int, default=10, help="rows of which wrong answers are made, to test the judge")
    add("--harness-limit", type=int, help="most questions of each task of a benchmark")
    add("--max-requests", type=int, help="requests that the judge may be sent")
    add("--max-cost-usd", type=Decimal, help="US dollars that the judge may cost")
    add("--data-dir", type=Path, help="keep store and job here instead of forgetting them")
    add("--config", type=Path, help="settings file instead of ./malmoi.toml")


def run_evaluate(arguments: argparse.Namespace) -> None:
    """Run ``malmoi evaluate``."""
    from app.services.evaluation import stop_evaluation
    from app.services.file_evaluation import EvaluationFiles, evaluate_files

    options = _options(arguments)
    files = EvaluationFiles(
        data=arguments.data, output=arguments.output, recipe=arguments.recipe, judge_model=arguments.judge_model
    )
    with services_on(arguments.data_dir, arguments.config) as services:
        stop = partial(stop_evaluation, services, what="cancel")
        with watched(partial(_progress, services), stop, "stopping") as watch:
            made = evaluate_files(services, files, options, watch)
    if made["status"] not in _GAVE:
        error = made["error"] or {"code": made["status"], "message": f"The evaluation was {made['status']}."}
        failed = MalmoiError(error["message"], code=error.get("code"), hint=error.get("hint"))
        if error.get("param") is not None or error.get("code") == "invalid_training_file":
            failed.status = 400
        raise failed
    _say(made, arguments.output)


def _options(arguments: argparse.Namespace) -> Any:
    from pydantic import ValidationError

    from app.services.evaluation_request import EvaluationOptions
    from app.services.faults import invalid_body

    names = ("model", "metrics", "seed", "max_tokens", "temperature", "batch_size", "speech_level", "repeats")
    more = ("repeat_rows", "judge_check_rows", "harness_limit")
    body = {name: getattr(arguments, name) for name in (*names, *more)}
    body |= {
        "base_model": arguments.base,
        "max_rows": arguments.max_rows or None,
        "budget": {"max_requests": arguments.max_requests, "max_cost_usd": arguments.max_cost_usd},
    }
    try:
        return EvaluationOptions.model_validate(body)
    except ValidationError as exc:
        raise invalid_body(exc, body, []) from exc


def _progress(services: Services, job_id: str, ended: threading.Event) -> None:
    """How far the evaluation is, on a terminal, until it has ended."""
    from app.services.evaluation import get_evaluation

    while not ended.wait(POLL_S):
        if sys.stderr.isatty():
            told = get_evaluation(services, job_id)["progress"]
            total = "" if told["total"] is None else f"/{told['total']:,}"
            print(f"\r{told['phase'] or ''} {told['done']:,}{total}        ", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print(file=sys.stderr)


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    return f"{value:.1%}" if unit == "share" else f"{value:,.2f}"


def _changed(change: dict[str, Any], unit: str) -> str:
    """The difference with its interval, in percentage points where the figure is a share; marked where it is clear."""
    if change["value"] is None:
        return ""
    times, places, sign = (100.0, 1, "%p") if unit == "share" else (1.0, 2, "")
    said = f"{times * change['value']:+,.{places}f}{sign}"
    if change["low"] is None:
        return f"  {said:>10}"
    ends = ", ".join(f"{times * change[end]:+,.{places}f}" for end in ("low", "high"))
    return f"  {said:>10}  [{ends}]{sign}{MARK if _is_clear(change) else ''}"


def _is_clear(change: dict[str, Any]) -> bool:
    """Whether the interval of a difference leaves 0 out."""
    return change["low"] is not None and not change["low"] <= 0 <= change["high"]


def _say(made: dict[str, Any], output: Path) -> None:
    results = made["results"]
    rows = results["rows"]
    print(f"{rows['total']:,}행 = 비교 {rows['scored']:,} + 실패 {rows['failed']:,}")
    for code, count in rows["failures"].items():
        print(f"  실패 {count:>8,}  {code}")
    for metric in results["metrics"]:
        before, after, change = metric["base"], metric["tuned"], metric["difference"]
        unit = metric["unit"]
        sides = f"{_shown(before['value'], unit):>9} -> {_shown(after['value'], unit):>9}"
        print(f"  {metric['name']:<18} {sides}{_changed(change, unit)}")
    if any(_is_clear(metric["difference"]) for metric in results["metrics"]):
        print(f"  {MARK.strip()} 95% 구간에 0이 들지 않는 차이")
    if results["judge"] is not None:
        said, check = results["judge"]["comparison"], results["judge"]["check"]["all"]["by_comparison"]
        print(f"심사: 이김 {said['win']:,}, 비김 {said['tie']:,}, 짐 {said['lose']:,}, 엇갈림 {said['inconsistent']:,}")
        print(f"심사 모델이 틀린 답을 가려낸 비율: {_shown(check['share'], 'share')} ({check['caught']}/{check['n']})")
    for note in results["notes"]:
        print(f"  참고: {note['message']}")
    print(f"보고서: {output / 'report.html'}")
    if made["status"] == "incomplete" and made["error"]:
        print(f"malmoi: {made['error']['message']}", file=sys.stderr)
