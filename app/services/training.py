"""The training job: checks the files, runs ``python -m training`` as a child, and ends as that did.

The trainer is a process of its own under the worker: it exits when the worker does (its standard input closes), and a
new attempt goes on from its last checkpoint. A trainer that dies makes the job try again or fail, with the last lines
of its log; none dies in silence. This module composes paths and rows; how a LoRA works is ``training``'s.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Literal

from app.jobs.kinds import JobContext, JobOutcome
from app.services.context import Services
from app.services.devices import gpus, training_environment
from app.services.models import DEMO_MODEL, current_base
from app.services.training_clearing import clear_ended, clear_run
from app.services.training_command import TrainJobParams, process_count, train_command, train_config, write_config
from app.services.training_events import TrainerEvents
from app.services.training_files import check_files, job_error
from app.services.training_process import Ended, TrainerRun, run_trainer
from app.services.training_results import register
from app.store.patience import patiently
from corpora.errors import MissingExtraError
from training.pieces import halve

__all__ = ["KIND", "TrainJobParams", "run_train"]

KIND = "train"


def _failed(
    code: str, message: str, param: str | None = None, hint: str = "", *, retryable: bool = False
) -> JobOutcome:
    return JobOutcome(status="failed", error=job_error(code, message, param, hint, retryable=retryable))


def run_train(services: Services, context: JobContext, params: TrainJobParams) -> JobOutcome:
    """Validate, train, and register the fine-tuned model; a run that came to nothing leaves nothing useless behind.

    Raises:
        MissingExtraError: torch is not installed any more.
    """
    patiently(lambda: clear_ended(services, KIND))
    outcome = _run(services, context, params)
    if outcome.status in ("failed", "cancelled"):
        how: Literal["failed", "cancelled"] = "failed" if outcome.status == "failed" else "cancelled"
        resumable = bool((outcome.error or {}).get("retryable"))
        patiently(lambda: clear_run(services, context.job_id, how, resumable=resumable))
    return outcome


def _run(services: Services, context: JobContext, params: TrainJobParams) -> JobOutcome:
    """Validate, train, and register the fine-tuned model.

    Raises:
        MissingExtraError: torch is not installed any more.
    """
    if find_spec("torch") is None:
        # Installed when the job was asked for, perhaps; the trainer would end in a traceback.
        raise MissingExtraError("train", "Training")
    demo = params.model == DEMO_MODEL
    moved = params.base_path if demo else current_base(services, params.model, params.base_path)
    if moved != params.base_path:
        context.event("warn", f"기반 모델 '{params.model}'의 폴더가 옮겨져 이제 {moved}에서 읽습니다.")
        params = params.model_copy(update={"base_path": moved})
    context.progress({"phase": "validating"})
    context.event("info", f"파일을 검사합니다: {params.training_file}")
    checked = check_files(services, params)
    for warning in checked.warnings:
        context.event("warn", warning)
    if checked.error is not None:
        return JobOutcome(status="failed", error=checked.error)
    usable, processes = gpus(), process_count(services.settings.train_gpus)
    if 0 < len(usable) < processes:
        return _failed(
            "gpus_missing",
            f"TRAIN_GPUS is {processes}, and this machine lets us use {len(usable)} GPU(s): {', '.join(usable)}.",
            hint="Set MALMOI_TRAIN_GPUS to auto or to a smaller number, or widen CUDA_VISIBLE_DEVICES.",
            retryable=True,
        )
    run_dir = services.folder("runs", context.job_id).resolve()
    config_path = write_config(train_config(services, params, run_dir), run_dir)
    events = TrainerEvents(services, context, params)
    context.progress(events.progress)
    run = TrainerRun(
        command=train_command(config_path, processes),
        log=run_dir / "trainer.log",
        wanted=context.should_stop,
        on_event=events.take,
        environ=training_environment(usable, processes),
    )
    return _outcome(services, context, params, events, run_trainer(run))


def _outcome(
    services: Services, context: JobContext, params: TrainJobParams, events: TrainerEvents, ended: Ended
) -> JobOutcome:
    """What the process's end makes of the job."""
    wanted = context.should_stop()
    if events.result is not None and ended.returncode == 0:
        return JobOutcome(status="succeeded", result=register(services, context, params, events))
    if wanted == "cancel":
        return JobOutcome(status="cancelled")
    if events.error is not None:
        return _told(context, events.error)
    if wanted == "pause" or events.paused:
        if not events.paused:
            context.event("warn", "체크포인트를 새로 남기지 못하고 멈췄습니다. 마지막 체크포인트에서 이어집니다.")
        return JobOutcome(status="paused")
    tail = "\n".join(ended.tail)
    if ended.signal_name is not None:
        # Killed from outside, by the machine's memory guard as a rule: the checkpoint is still there.
        message = f"학습 프로세스가 끝났습니다({ended.signal_name}). 체크포인트에서 다시 시작합니다."
        if ended.signal_name == "SIGKILL" and not events.advanced:
            pieces = halve(services.folder("runs", context.job_id) / "out")
            message += f" 메모리가 모자랐을 수 있어 마이크로배치를 {pieces}조각으로 나누어 계산합니다."
        context.event("error", message, data={"signal": ended.signal_name, "log": ended.tail})
        return JobOutcome(status="retry")
    log = services.folder("runs", context.job_id) / "trainer.log"
    return _failed(
        "training_failed",
        f"The trainer ended with code {ended.returncode} and no word. Its last lines:\n{tail}",
        hint=f"The whole log lies in {log}.",
    )


def _told(context: JobContext, error: dict[str, Any]) -> JobOutcome:
    """The failure that the trainer itself told of; memory that ran out on several processes is another attempt."""
    if error.get("code") == "out_of_memory" and error.get("retryable"):
        # They cannot take smaller pieces in mid-step; they have noted them, and begin again.
        context.event("warn", f"메모리가 부족하여 마이크로배치를 절반으로 줄여 다시 시작합니다. {error['message']}")
        # The pieces are work that is kept: they end where a single row does not fit, not after so many deaths.
        context.advanced()
        return JobOutcome(status="retry")
    return _failed(
        error.get("code") or "training_failed",
        error["message"],
        error.get("param"),
        error.get("hint") or "",
        retryable=bool(error.get("retryable")),
    )
