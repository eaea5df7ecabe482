"""The processes of an evaluation: models that answer (``python -m training answer``), benchmarks (the harness).

Both are children of the worker and end with it; torch never enters here. Answers are appended to a file as they come:
a child that is stopped, or killed, costs the batch that was under way, and the next attempt goes on behind it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.jobs.kinds import JobContext, JobOutcome
from app.services.evaluation_harness import harness_command, read_results, write_tasks
from app.services.evaluation_request import EvaluateParams
from app.services.evaluation_scores import SIDES
from app.services.training_process import Ended, TrainerRun, run_trainer
from generators.particles import with_particle

__all__ = ["EvaluationFolder", "failed", "run_answering", "run_benchmarks", "stopped"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationFolder:
    """Where one evaluation works."""

    root: Path

    @property
    def rows(self) -> Path:
        """What is asked, as JSON lines."""
        return self.root / "rows.jsonl"

    @property
    def answers(self) -> Path:
        """What was answered, as JSON lines."""
        return self.root / "answers.jsonl"

    @property
    def log(self) -> Path:
        """What the children's libraries say."""
        return self.root / "answers.log"


def failed(code: str, message: str, hint: str = "", param: str | None = None) -> JobOutcome:
    """The end of a job that cannot go on."""
    error = {"code": code, "message": message, "hint": hint, "param": param, "retryable": False}
    return JobOutcome(status="failed", error=error)


def stopped(context: JobContext) -> JobOutcome | None:
    """The end of a job that somebody asked to stop; None where nobody did."""
    wanted = context.should_stop()
    return None if wanted is None else JobOutcome(status="paused" if wanted == "pause" else "cancelled")


def _run(command: Sequence[str], context: JobContext, log: Path, heard: Callable[[dict[str, Any]], None]) -> Ended:
    # A pause ends the child as a cancel does: everything that it has answered is on the disk.
    return run_trainer(
        TrainerRun(
            command=command,
            log=log,
            wanted=lambda: None if context.should_stop() is None else "cancel",
            on_event=heard,
        )
    )


def _died(context: JobContext, ended: Ended, log: Path, what: str) -> JobOutcome:
    if ended.signal_name is not None:
        # Killed from outside, by the machine's memory guard as a rule.
        context.event("error", f"{what} 프로세스가 끝났습니다({ended.signal_name}). 이어서 다시 시작합니다.")
        return JobOutcome(status="retry")
    lines = "\n".join(ended.tail)
    return failed(
        "evaluation_failed",
        f"A child process of the evaluation ended with code {ended.returncode} and no word. Its last lines:\n{lines}",
        f"The whole log lies in {log}.",
    )


def run_answering(context: JobContext, params: EvaluateParams, folder: EvaluationFolder) -> JobOutcome | None:
    """Let both models answer; None once every row is answered, else how the job ends."""
    config = {
        "sides": [{"name": side, **params.targets[side].model_dump(exclude={"template"})} for side in SIDES],
        "rows_file": str(folder.rows),
        "output": str(folder.answers),
        "seed": params.seed,
        "max_tokens": params.max_tokens,
        "temperature": params.temperature,
        "batch_size": params.batch_size,
        "likelihood": "perplexity" in params.metrics,
        "repeats": params.repeats if "diversity" in params.metrics else 0,
        "repeat_rows": params.repeat_rows,
    }
    path = folder.root / "config.json"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(config, ensure_ascii=False, indent=1), encoding="utf-8")
    os.replace(temporary, path)
    finished: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []

    def heard(event: dict[str, Any]) -> None:
        data = event.get("data") or {}
        if event["type"] == "result":
            finished.append(data)
        elif event["type"] == "error":
            errors.append(data | {"message": event["message"]})
        elif event["type"] == "progress":
            context.progress({"phase": "answering", "done": data["done"], "total": data["total"]})
            context.advanced()
        else:
            context.event(event.get("level", "info"), event["message"], type=event["type"], data=event.get("data"))

    command = [sys.executable, "-m", "training", "answer", str(path), "--exit-with-parent"]
    ended = _run(command, context, folder.log, heard)
    if finished and ended.returncode == 0:
        return None
    if (end := stopped(context)) is not None:
        return end
    if errors:
        error = errors[-1]
        return failed(error["code"], error["message"], error.get("hint") or "", error.get("param"))
    return _died(context, ended, folder.log, "답변")


def run_benchmarks(
    context: JobContext, params: EvaluateParams, folder: EvaluationFolder, names: Sequence[str]
) -> dict[str, Any] | JobOutcome:
    """Run the harness on both models; figures by side, task and metric, or how the job ends.

    A side whose results are there already is not run again.

    Raises:
        HarnessError: it wrote no results.
    """
    tasks = write_tasks(folder.root / "tasks")
    found: dict[str, Any] = {}
    for side in SIDES:
        output = folder.root / "benchmarks" / side
        done = output / "done"
        if not done.exists():
            context.progress({"phase": "benchmarks", "done": len(found), "total": len(SIDES)})
            context.event("info", f"{side}: {with_particle(', '.join(names), '을/를')} 잽니다.")
            target = params.targets[side]
            output.mkdir(parents=True, exist_ok=True)
            command = harness_command(
                target.base,
                target.adapter,
                names,
                tasks=tasks,
                output=output,
                seed=params.seed,
                limit=params.harness_limit,
            )
            ended = _run(command, context, folder.log, lambda _event: None)
            if (end := stopped(context)) is not None:
                return end
            if ended.returncode != 0:
                return _died(context, ended, folder.log, "벤치마크")
            read_results(output)
            done.touch()
        found[side] = read_results(output)
    return found
