"""``python -m training train CONFIG.json``, ``serve`` and ``build-demo``.

Exit codes: 0 done, 2 bad input, 1 anything else. Standard output carries JSON lines only.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
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


def _train(arguments: argparse.Namespace) -> int:
    from training.config import TrainConfig
    from training.events import Events
    from training.run import run_training

    events = Events.take_stdout()
    try:
        config = TrainConfig.model_validate_json(arguments.config.read_text(encoding="utf-8"))
        run_training(config, events)
    except MalmoiError as exc:
        data = {"code": exc.code, "retryable": exc.retryable, "hint": exc.hint, "param": exc.param}
        events.emit("error", exc.message, data, "error")
        return 2 if exc.status < 500 else 1
    except (ValidationError, OSError) as exc:
        events.emit("error", f"{arguments.config}: {exc}", {"code": "invalid_config", "retryable": False}, "error")
        return 2
    return 0


def _serve() -> int:
    from training.chat import serve

    out, sys.stdout = sys.stdout, sys.stderr
    serve(sys.stdin, out)
    return 0


def _build_demo(arguments: argparse.Namespace) -> int:
    from training.demo_base import build_demo_base
    from training.events import Events

    events = Events.take_stdout()
    build_demo_base(arguments.corpus, arguments.out, events.say)
    return 0


def main() -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="python -m training")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="run one fine-tune")
    train.add_argument("config", type=Path)
    train.add_argument("--exit-with-parent", action="store_true", help="end when standard input closes")
    commands.add_parser("serve", help="answer chats, JSON lines in and out")
    demo = commands.add_parser("build-demo", help="build malmoi-demo")
    demo.add_argument("--corpus", type=Path, required=True)
    demo.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    # No hub is asked for what lies on disk, and nothing phones home.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if arguments.command == "train":
        if arguments.exit_with_parent:
            _exit_with_parent()
        return _train(arguments)
    return _serve() if arguments.command == "serve" else _build_demo(arguments)


if __name__ == "__main__":
    sys.exit(main())
