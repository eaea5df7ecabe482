"""Where else a run is reported: Weights & Biases where the request says so, TensorBoard where it is installed.

The libraries' own callbacks in transformers do the reporting; here only the run is opened and closed. Without a key or
a network the user sets WANDB_MODE=offline, and the library writes files that ``wandb sync`` sends later. Knows nothing
of losses. ``with closing_tracking(config, events): ... open_tracking(config, settings, events)``.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from corpora.errors import MissingExtraError
from training.config import TrainConfig, WandbConfig
from training.errors import TrackingError
from training.events import Events
from training.pause import PausedRun

__all__ = ["check_tracking", "closing_tracking", "open_tracking"]


def _installed(library: str) -> bool:
    return importlib.util.find_spec(library) is not None


def check_tracking(config: TrainConfig) -> None:
    """Say what is missing before anything is loaded.

    Raises:
        MissingExtraError: the request names a W&B project and the library is not installed.
    """
    if config.wandb is not None and not _installed("wandb"):
        raise MissingExtraError("tracking", "Reporting to Weights & Biases")


def open_tracking(config: TrainConfig, settings: dict[str, Any], events: Events) -> list[str]:
    """Open what reports and return what transformers calls it, for ``report_to``.

    Args:
        config: The request; its output folder holds W&B's and TensorBoard's files.
        settings: What the run is made of, shown beside its curves.
        events: Told where the W&B run is.

    Raises:
        TrackingError: W&B has no key, or refuses it, or does not answer.
    """
    reports = []
    if _installed("tensorboard"):
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(config.output_dir / "tensorboard")
        reports.append("tensorboard")
    if config.wandb is not None:
        run = _wandb_run(config, config.wandb, settings)
        where = run.url or str(config.output_dir / "wandb")
        events.emit("message", f"Weights & Biases에 기록합니다: {where}", {"wandb": where})
        reports.append("wandb")
    return reports


def _wandb_run(config: TrainConfig, asked: WandbConfig, settings: dict[str, Any]) -> Any:
    # Faults of the library are not to be reported to its makers unless the user has asked for that.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    wandb: Any = importlib.import_module("wandb")
    try:
        # transformers' callback reports into the run that is open. A resumed attempt goes on in the same one.
        return wandb.init(
            project=asked.project,
            name=asked.name or config.suffix,
            entity=asked.entity,
            tags=list(asked.tags),
            dir=str(config.output_dir),
            id=_run_id(config.output_dir),
            resume="allow",
            config=settings,
            # What is printed holds rows of the data; metrics were asked for, nothing else.
            settings=wandb.Settings(console="off", save_code=False, disable_git=True),
        )
    except wandb.Error as error:
        raise TrackingError(f"Weights & Biases cannot be reported to: {error}", param="integrations") from error


@contextmanager
def closing_tracking(config: TrainConfig, events: Events) -> Iterator[None]:
    """Close the W&B run at the end, as failed where the training failed; a pause is no failure."""
    try:
        yield
    except PausedRun:
        _finish(config, events, 0)
        raise
    except BaseException:
        _finish(config, events, 1)
        raise
    _finish(config, events, 0)


def _finish(config: TrainConfig, events: Events, exit_code: int) -> None:
    if config.wandb is None:
        return
    wandb: Any = importlib.import_module("wandb")
    if wandb.run is None:
        return
    try:
        wandb.finish(exit_code=exit_code)
    except wandb.Error as error:
        # The adapter is there all the same; what was not sent lies in the output folder.
        events.emit("message", f"Weights & Biases에 모두 보내지 못했습니다: {error}", None, "warn")


def _run_id(folder: Path) -> str:
    """One for each output folder, the same in every attempt."""
    path = folder / "wandb-run-id"
    if not path.exists():
        path.write_text(os.urandom(8).hex(), encoding="ascii")
    return path.read_text(encoding="ascii")
