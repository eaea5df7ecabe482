"""``malmoi train DATA.jsonl --model M -o ADAPTER``: a file in, an adapter out, no server needed.

Runs on a private store that is gone afterwards, or on ``--data-dir``. Ctrl-C pauses there: a checkpoint is kept, and
the same command goes on from it; without ``--data-dir`` it stops. A bar on a terminal, plain lines in a pipe.
"""

from __future__ import annotations

import argparse
import sys
import threading
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from app.cli.inline import services_on, watched
from corpora.errors import InvalidInputError, MalmoiError, MissingExtraError

if TYPE_CHECKING:
    from app.services.context import Services
    from app.services.file_training import Trained

__all__ = ["add_train", "run_train"]

Commands = Any  # argparse's own type is private
POLL_S = 0.5
WIDTH = 30
#: Plain lines of metrics: so many over a run, and the last.
LINES = 10
PAGE = 200


def add_train(commands: Commands) -> None:
    """Declare ``malmoi train``."""
    command = commands.add_parser("train", help="fine-tune a base model on a file; writes an adapter")
    add = command.add_argument
    add("data", type=Path, metavar="DATA", help="JSONL in the messages schema")
    add("--model", required=True, help="base: its folder, a name in MALMOI_MODELS_DIR, a hub name, or malmoi-demo")
    add("-o", "--output", type=Path, required=True, metavar="DIR", help="folder of the adapter, in PEFT's layout")
    add("--recipe", help="numbers of the fine-tune; the base's own when left out")
    add("--validation", type=Path, metavar="FILE", help="rows that are only measured, in the same schema")
    add("--method", choices=("supervised", "dpo"), default="supervised", help="dpo takes preference pairs")
    add("--suffix", help="your name for the model, up to 64 characters")
    add("--epochs", type=int, help="passes over the data; the recipe's when left out")
    add("--batch-size", type=int, help="rows of one update; the recipe's when left out")
    add("--learning-rate-multiplier", type=float, help="times the recipe's rate")
    add("--max-steps", type=int, help="so many updates, instead of epochs")
    add("--max-length", type=int, help="tokens of a row at most")
    add("--allow-truncated", type=float, help="share of rows that may be cut (default 0.01)")
    add(
        "--stop-phrase",
        nargs="?",
        const=True,
        metavar="TEXT",
        help="text that every answer is trained to end in, and chat cuts off; '(답변 종료)' where none is given",
    )
    add("--lora-r", type=int, help="rank of the adapter; the recipe's when left out")
    add("--lora-alpha", type=int, help="scale of the adapter; the recipe's when left out")
    add("--validation-fraction", type=float, help="share of DATA that is held out, instead of --validation")
    add("--packing", action=argparse.BooleanOptionalAction, help="several rows in one sequence; or each in its own")
    add("--early-stopping-patience", type=int, help="evaluations without gain before the end; 0 never stops")
    add("--seed", type=int, default=7, help="of order, initialisation and dropout (default 7)")
    add("--force", action="store_true", help="replace an adapter that lies in DIR")
    add("--data-dir", type=Path, help="keep store, job and checkpoints here instead of forgetting them")
    add("--config", type=Path, help="settings file instead of ./malmoi.toml")


def run_train(arguments: argparse.Namespace) -> None:
    """Run ``malmoi train``."""
    from app.services.demo_cache import make_demo_models
    from app.services.file_training import TrainingFiles, check_output, train_files
    from app.services.fine_tuning import stop_job
    from app.services.models import DEMO_MODEL

    files = TrainingFiles(
        data=arguments.data, validation=arguments.validation, output=arguments.output, force=arguments.force
    )
    # Before anything is opened: hours later would be too late.
    check_output(files.output, force=files.force)
    if find_spec("torch") is None:
        raise MissingExtraError("train", "Training")
    for path, param in ((files.data, "data"), (files.validation, "validation")):
        if path is not None and not path.is_file():
            raise InvalidInputError(f"There is no file {path}.", param=param, code="file_not_found")
    how: Literal["cancel", "pause"] = "cancel" if arguments.data_dir is None else "pause"
    words = "체크포인트를 남기고 멈춥니다" if how == "pause" else "멈춥니다"
    model, places = _base(arguments.model)
    if arguments.data_dir is None and model == DEMO_MODEL:
        # The adapter needs its base after the private store is gone.
        make_demo_models()
    with services_on(arguments.data_dir, arguments.config, **places) as services:
        stop = partial(stop_job, services, what=how)
        follow = partial(_follow, services, kept=arguments.data_dir is not None)
        with watched(follow, stop, words) as watch:
            made = train_files(services, files, _request(arguments, model), watch)
    _end(made, arguments)


def _base(given: str) -> tuple[str, dict[str, Path]]:
    """The base's name for the services, and the setting that makes it one: a folder is a name in the one above it."""
    folder = Path(given)
    if not folder.is_dir():
        return given, {}
    folder = folder.resolve()
    return folder.name, {"models_dir": folder.parent}


def _follow(services: Services, job_id: str, ended: threading.Event, *, kept: bool) -> None:
    _Shown(services, job_id, kept=kept).follow(ended)


def _request(arguments: argparse.Namespace, model: str) -> dict[str, Any]:
    from pydantic import ValidationError

    from app.services.faults import invalid_body
    from app.services.fine_tuning_request import CreateFineTuningJob

    given = {
        "n_epochs": arguments.epochs,
        "batch_size": arguments.batch_size,
        "learning_rate_multiplier": arguments.learning_rate_multiplier,
    }
    hyper = {name: value for name, value in given.items() if value is not None}
    sizes = {"r": arguments.lora_r, "alpha": arguments.lora_alpha}
    sizes = {name: value for name, value in sizes.items() if value is not None}
    body = {
        "model": model,
        "recipe": arguments.recipe,
        "suffix": arguments.suffix,
        "seed": arguments.seed,
        "max_steps": arguments.max_steps,
        "max_length": arguments.max_length,
        "allow_truncated": arguments.allow_truncated,
        "stop_phrase": arguments.stop_phrase,
        "validation_fraction": arguments.validation_fraction,
        "packing": arguments.packing,
        "early_stopping_patience": arguments.early_stopping_patience,
        "lora": sizes or None,
        "method": {"type": arguments.method, arguments.method: {"hyperparameters": hyper}},
    }
    try:
        # Files get their ids later; everything else is looked at now.
        later = {"training_file": "file-later"}
        if arguments.validation is not None:
            # Before the share, as in the body of a request: of the two only one may be given.
            later |= {"validation_file": "file-later"}
        CreateFineTuningJob.model_validate(later | body)
    except ValidationError as exc:
        raise invalid_body(exc, body, []) from exc
    return body


class _Shown:
    """What a job says, on standard error: messages as lines, metrics as a bar or now and then as a line."""

    def __init__(self, services: Services, job_id: str, *, kept: bool) -> None:
        self._services = services
        self._job_id = job_id
        self._kept = kept
        self._after: str | None = None
        self._terminal = sys.stderr.isatty()
        self._told = 0
        self._bar = False

    def follow(self, ended: threading.Event) -> None:
        """Show events until the job has ended, the last ones too."""
        self._skip_earlier()
        while not ended.wait(POLL_S):
            self._take()
        self._take()
        if self._bar:
            print(file=sys.stderr)

    def _page(self, order: str, limit: int) -> list[dict[str, Any]]:
        from app.services.events import list_events

        name: Literal["fine_tuning.job.event"] = "fine_tuning.job.event"
        return list_events(self._services, self._job_id, name, self._after, limit, order)[0]

    def _skip_earlier(self) -> None:
        """What a paused job said before was shown then."""
        newest = self._page("desc", 1)
        job = self._services.jobs.get(self._job_id)
        self._after = newest[0]["id"] if newest and job.attempt else None

    def _take(self) -> None:
        while page := self._page("asc", PAGE):
            for event in page:
                self._after = event["id"]
                self._show(event)

    def _show(self, event: dict[str, Any]) -> None:
        data = event["data"] or {}
        if event["type"] == "metrics":
            self._metrics(data)
            return
        if "fine_tuned_model" in data and not self._kept:
            # A name in a store that is gone in a moment; the end says the folder.
            return
        self._line(event["message"] if event["level"] == "info" else f"[{event['level']}] {event['message']}")
        for warning in (data.get("preflight") or {}).get("warnings", ()):
            self._line(f"  참고: {warning}")

    def _metrics(self, data: dict[str, Any]) -> None:
        step, total = data["step"], data.get("total_steps") or data["step"]
        named = (("train_loss", "손실"), ("valid_loss", "검증 손실"))
        losses = "  ".join(f"{word} {data[name]:.4f}" for name, word in named if data.get(name) is not None)
        if self._terminal:
            done = round(WIDTH * step / total)
            bar = f"[{'#' * done}{'.' * (WIDTH - done)}] {step:,}/{total:,}  {losses}"
            print(f"\r\x1b[K{bar}", end="", file=sys.stderr, flush=True)
            self._bar = True
        elif step >= total or step * LINES // total > self._told or data.get("valid_loss") is not None:
            self._told = step * LINES // total
            print(f"{step:,}/{total:,}단계  {losses}", file=sys.stderr, flush=True)

    def _line(self, text: str) -> None:
        print(f"\r\x1b[K{text}" if self._bar else text, file=sys.stderr, flush=True)
        self._bar = False


def _end(made: Trained, arguments: argparse.Namespace) -> None:
    job, status = made.job, made.job["status"]
    if status == "succeeded":
        losses = job["losses"] or {}
        for side, word in (("train", "학습"), ("valid", "검증")):
            before, after = losses.get(f"{side}_loss_before"), losses.get(f"{side}_loss_after")
            if before is not None and after is not None:
                print(f"{word} 손실 {before:.4f} -> {after:.4f}")
        print(f"{job['steps']:,}단계, 토큰 {job['trained_tokens']:,}개")
        print(f"어댑터: {arguments.output}")
        return
    if status == "paused":
        hint = "Run the same command again to go on from it."
        raise MalmoiError(f"The training was paused; job {job['id']} keeps its checkpoint.", code="paused", hint=hint)
    error = made.error or {"code": status, "message": f"The training was {status}; no adapter was written."}
    failed = MalmoiError(error["message"], code=error.get("code"), hint=error.get("hint") or "")
    if error.get("param") is not None:
        # Something in what was given; nothing that another try would mend.
        failed.status = 400
    raise failed
