"""The training job: checks the file, runs ``python -m training`` as a child, and turns its events into the job's.

The trainer is a process of its own under the worker: it exits when the worker does (its standard input closes), and a
new attempt goes on from its last checkpoint. This module composes paths and rows; how a LoRA works is ``training``'s.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from app.jobs.kinds import JobContext, JobOutcome
from app.services.children import torch_environment
from app.services.context import Services
from app.services.files import add_file
from app.services.models import DEMO_MODEL
from app.store.jobs import hold
from app.store.queries import remove
from app.store.tables import AdapterRow
from corpora.bundled import MANUAL_DIR
from corpora.errors import MalmoiError
from corpora.messages import validate_training_file

__all__ = ["KIND", "TrainJobParams", "run_train"]

KIND = "train"
#: Seconds that the trainer gets to end by itself before it is killed.
GRACE_S = 10.0
#: Last lines of the trainer's log kept for the error message.
LOG_TAIL = 20


class TrainJobParams(BaseModel):
    """What a training job is asked; files are fixed by hash."""

    model: str
    recipe: str
    base_path: str
    training_file: str
    training_sha256: str
    validation_file: str | None
    validation_sha256: str | None
    suffix: str | None
    seed: int
    hyperparameters: dict[str, Any]
    lora: dict[str, Any] | None
    max_steps: int | None
    metadata: dict[str, str] | None


def _failed(code: str, message: str, param: str | None = None, hint: str = "") -> JobOutcome:
    error = {"code": code, "message": message, "param": param, "hint": hint, "retryable": False}
    return JobOutcome(status="failed", error=error)


def run_train(services: Services, context: JobContext, params: TrainJobParams) -> JobOutcome:
    """Validate, train, and register the fine-tuned model."""
    context.progress({"phase": "validating"})
    context.event("info", f"파일을 검사합니다: {params.training_file}")
    for sha256, param in ((params.training_sha256, "training_file"), (params.validation_sha256, "validation_file")):
        if sha256 is None:
            continue
        try:
            with services.blobs.open(sha256) as handle:
                report = validate_training_file(handle, minimum=10 if param == "training_file" else 1, param=param)
        except MalmoiError as exc:
            return _failed(exc.code, exc.message, exc.param or param, exc.hint)
        for warning in report.warnings:
            context.event("warn", warning)
    run_dir = services.folder("runs", context.job_id).resolve()
    config_path = _write_config(services, params, run_dir)
    context.progress({"phase": "training"})
    return _Trainer(context, params, run_dir).run(services, config_path)


def _write_config(services: Services, params: TrainJobParams, run_dir: Path) -> Path:
    """The trainer's configuration, whole or not at all."""
    hyper = params.hyperparameters
    validation = str(services.blobs.path(params.validation_sha256)) if params.validation_sha256 else None
    demo = params.model == DEMO_MODEL
    config = {
        "base": params.base_path,
        "base_label": params.model,
        "training_file": str(services.blobs.path(params.training_sha256)),
        "validation_file": validation,
        "output_dir": str(run_dir / "out"),
        "recipe": params.recipe,
        "seed": params.seed,
        "suffix": params.suffix,
        "n_epochs": hyper["n_epochs"],
        "batch_size": hyper["batch_size"],
        "learning_rate_multiplier": hyper["learning_rate_multiplier"],
        "lora": params.lora,
        "max_steps": params.max_steps,
        "demo_corpus": str(MANUAL_DIR) if demo else None,
        "models_dir": str(Path(params.base_path).parent) if demo else None,
        "resume": True,
    }
    path = run_dir / "config.json"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(config, ensure_ascii=False, indent=1), encoding="utf-8")
    os.replace(temporary, path)
    return path


class _Trainer:
    """One run of the child process."""

    def __init__(self, context: JobContext, params: TrainJobParams, run_dir: Path) -> None:
        self.context = context
        self.params = params
        self.run_dir = run_dir
        self.log: deque[str] = deque(maxlen=LOG_TAIL)
        self.result: dict[str, Any] | None = None
        self.error: dict[str, Any] | None = None

    def run(self, services: Services, config_path: Path) -> JobOutcome:
        """Run to the end, or until somebody asks to stop."""
        command = [sys.executable, "-m", "training", "train", str(config_path), "--exit-with-parent"]
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=torch_environment(),
        )
        assert child.stdout is not None
        assert child.stderr is not None
        stderr = threading.Thread(target=self._keep_log, args=(child.stderr,), daemon=True)
        stderr.start()
        done = threading.Event()
        stopper = threading.Thread(target=self._stop_when_asked, args=(child, done), daemon=True)
        stopper.start()
        try:
            self._read(child.stdout)
            child.wait()
        finally:
            done.set()
            if child.poll() is None:
                child.kill()
                child.wait()
            stopper.join()
            stderr.join(timeout=GRACE_S)
        return self._outcome(services, child.returncode)

    def _stop_when_asked(self, child: subprocess.Popen[str], done: threading.Event) -> None:
        while not done.wait(0.5):
            if self.context.should_stop() is not None:
                assert child.stdin is not None
                child.stdin.close()
                try:
                    child.wait(GRACE_S)
                except subprocess.TimeoutExpired:
                    child.kill()
                return

    def _keep_log(self, stream: Iterator[str]) -> None:
        with (self.run_dir / "trainer.log").open("a", encoding="utf-8") as handle:
            for line in stream:
                handle.write(line)
                handle.flush()
                self.log.append(line.rstrip())

    def _read(self, stream: Iterator[str]) -> None:
        for line in stream:
            event = json.loads(line)
            kind, data = event["type"], event.get("data") or {}
            if kind == "result":
                self.result = data
            elif kind == "error":
                self.error = data | {"message": event["message"]}
            else:
                self.context.event(event.get("level", "info"), event["message"], type=kind, data=event.get("data"))
                if "estimated_finish" in data:
                    self.context.progress({"phase": "training", "estimated_finish": data["estimated_finish"]})

    def _outcome(self, services: Services, returncode: int) -> JobOutcome:
        wanted = self.context.should_stop()
        if self.result is not None and returncode == 0:
            return JobOutcome(status="succeeded", result=_register(services, self.context, self.params, self.result))
        if wanted is not None:
            return JobOutcome(status="paused" if wanted == "pause" else "cancelled")
        if self.error is not None:
            return _failed(
                self.error.get("code", "training_failed"),
                self.error["message"],
                self.error.get("param"),
                self.error.get("hint", ""),
            )
        if returncode < 0:
            # Killed from outside, by the machine's memory guard as a rule: the checkpoint is still there.
            name = signal.Signals(-returncode).name
            self.context.event("error", f"학습 프로세스가 {name}(으)로 끝났습니다. 체크포인트에서 다시 시작합니다.")
            return JobOutcome(status="retry")
        tail = "\n".join(self.log)
        return _failed(
            "training_failed",
            f"The trainer ended with code {returncode} and no word. Its last lines:\n{tail}",
            None,
            f"The whole log lies in {self.run_dir / 'trainer.log'}.",
        )


def _register(
    services: Services, context: JobContext, params: TrainJobParams, result: dict[str, Any]
) -> dict[str, Any]:
    """Make the adapter a model, keep the result file, and say what came out."""
    label = re.sub(r"[^0-9A-Za-z가-힣_.-]+", "-", params.suffix) if params.suffix else ""
    name = f"ft:{params.model}:malmoi:{label}:{context.job_id[-8:]}"
    csv = Path(result["result_csv"])
    with csv.open("rb") as handle:
        blob = services.blobs.put(iter(handle), None)
    checkpoints = [
        {
            "id": f"ftckpt_{context.job_id[-8:]}{entry['step']}",
            "object": "fine_tuning.job.checkpoint",
            "created_at": int(services.now()),
            "fine_tuned_model_checkpoint": f"{name}:ckpt-step-{entry['step']}",
            "fine_tuning_job_id": context.job_id,
            "metrics": entry["metrics"],
            "step_number": entry["step"],
        }
        for entry in result["checkpoints"]
    ]
    with services.store.write(durable=True) as session:
        hold(session, context.job_id, context.attempt)
        file = add_file(session, "step_metrics.csv", "fine-tune-results", blob, services.now())
        # An attempt that died after this commit and before the job's end left the same row behind.
        remove(session, AdapterRow, AdapterRow.id == name)
        session.add(
            AdapterRow(
                id=name,
                job_id=context.job_id,
                base_model=params.model,
                recipe=params.recipe,
                base_path=result.get("base_path", params.base_path),
                path=result["adapter_dir"],
                created_at=services.now(),
            )
        )
        file_id = file.id
    context.event("info", f"새 모델이 준비되었습니다: {name}", data={"fine_tuned_model": name})
    losses = {
        key: result.get(key)
        for key in ("train_loss_before", "train_loss_after", "valid_loss_before", "valid_loss_after")
    }
    return {
        "fine_tuned_model": name,
        "result_files": [file_id],
        "trained_tokens": result["trained_tokens"],
        "checkpoints": checkpoints,
        "losses": losses,
        "hyperparameters": result.get("hyperparameters"),
        "adapter_dir": result["adapter_dir"],
        "steps": result["steps"],
        "encoding": result.get("encoding"),
    }
