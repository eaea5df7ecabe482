"""``python -m training``: ``train``, ``merge`` and ``answer`` with a CONFIG.json, ``serve``, and ``build-demo``.

Exit codes: 0 done, 2 bad input, 1 anything else. Standard output carries JSON lines only.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from corpora.errors import MalmoiError


def _exit_with_parent() -> None:
    """End when standard input closes: whoever started this run is gone or wants it to stop."""

    def watch() -> None:
        # os.read, not sys.stdin: a thread that sits in a buffered read aborts the interpreter's shutdown.
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _leave_interrupts_to_parent() -> None:
    """Ctrl-C in a terminal reaches every process; the parent decides whether it means to pause or to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _train(arguments: argparse.Namespace) -> int:
    from training.pause import Pause, first_process, listen

    pause = Pause()
    if arguments.exit_with_parent:
        _leave_interrupts_to_parent()
    # One process of several listens and speaks for all.
    if arguments.exit_with_parent and first_process():
        listen(pause)
    # One process computes on one GPU; the library would spread itself over all it sees, and then refuse to.
    if "WORLD_SIZE" not in os.environ:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
    from training.events import Events

    # Before the libraries come in: with WANDB_MODE=offline one of them prints as it is imported.
    events = Events.take_stdout(silent=not first_process())
    from training.config import TrainConfig
    from training.run import run_training

    try:
        config = TrainConfig.model_validate_json(arguments.config.read_text(encoding="utf-8"))
        run_training(config, events, pause)
    except MalmoiError as exc:
        data = {"code": exc.code, "retryable": exc.retryable, "hint": exc.hint, "param": exc.param}
        events.emit("error", exc.message, data, "error")
        return 2 if exc.status < 500 else 1
    except (ValidationError, OSError) as exc:
        events.emit("error", f"{arguments.config}: {exc}", {"code": "invalid_config", "retryable": False}, "error")
        return 2
    return 0


def _merge(arguments: argparse.Namespace) -> int:
    if arguments.exit_with_parent:
        _leave_interrupts_to_parent()
        _exit_with_parent()
    from training.events import Events

    events = Events.take_stdout()
    from training.merge import MergeConfig, merge_adapter

    try:
        merge_adapter(MergeConfig.model_validate_json(arguments.config.read_text(encoding="utf-8")), events)
    except MalmoiError as exc:
        data = {"code": exc.code, "retryable": exc.retryable, "hint": exc.hint, "param": exc.param}
        events.emit("error", exc.message, data, "error")
        return 2 if exc.status < 500 else 1
    except (ValidationError, OSError) as exc:
        events.emit("error", f"{arguments.config}: {exc}", {"code": "invalid_config", "retryable": False}, "error")
        return 2
    return 0


def _answer(arguments: argparse.Namespace) -> int:
    from training.events import Events

    events = Events.take_stdout()
    from training.answer_config import AnswerConfig
    from training.answers import run_answers

    try:
        config = AnswerConfig.model_validate_json(arguments.config.read_text(encoding="utf-8"))
        run_answers(config, events)
    except MalmoiError as exc:
        data = {"code": exc.code, "retryable": exc.retryable, "hint": exc.hint, "param": exc.param}
        events.emit("error", exc.message, data, "error")
        return 2 if exc.status < 500 else 1
    except (ValidationError, OSError) as exc:
        events.emit("error", f"{arguments.config}: {exc}", {"code": "invalid_config", "retryable": False}, "error")
        return 2
    return 0


def _lines_of_parent() -> Iterator[str]:
    """The lines of standard input; when it closes nobody is left to answer, and the process ends at once."""
    yield from sys.stdin
    os._exit(0)


def _serve() -> int:
    out, sys.stdout = sys.stdout, sys.stderr
    from training.chat import serve

    serve(_lines_of_parent(), out)
    return 0


def _build_demo(arguments: argparse.Namespace) -> int:
    from training.events import Events

    events = Events.take_stdout()
    from training.demo_base import build_demo_base

    build_demo_base(arguments.corpus, arguments.out, events.say)
    return 0


def main() -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="python -m training")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="run one fine-tune")
    train.add_argument("config", type=Path)
    train.add_argument(
        "--exit-with-parent", action="store_true", help="end when standard input closes, pause on the line 'pause'"
    )
    merge = commands.add_parser("merge", help="merge an adapter into its bfloat16 base, and prove that nothing changed")
    merge.add_argument("config", type=Path)
    merge.add_argument("--exit-with-parent", action="store_true", help="end when standard input closes")
    answer = commands.add_parser("answer", help="answer rows with several models, for an evaluation")
    answer.add_argument("config", type=Path)
    answer.add_argument("--exit-with-parent", action="store_true", help="end when standard input closes")
    commands.add_parser("serve", help="answer chats, JSON lines in and out")
    demo = commands.add_parser("build-demo", help="build malmoi-demo")
    demo.add_argument("--corpus", type=Path, required=True)
    demo.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    # No hub is asked for what lies on disk, and nothing phones home.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if arguments.command == "train":
        return _train(arguments)
    if arguments.command == "merge":
        return _merge(arguments)
    if arguments.command == "answer":
        if arguments.exit_with_parent:
            _exit_with_parent()
        return _answer(arguments)
    return _serve() if arguments.command == "serve" else _build_demo(arguments)


if __name__ == "__main__":
    sys.exit(main())
