"""The ``malmoi`` command, one function a subcommand. Exit codes: 0 done, 2 bad input or usage, 1 anything else.

Errors are one line that says what to do. Flags override ``MALMOI_…`` variables, which override ``malmoi.toml``.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from app.cli.chat import add_chat, run_chat
from app.cli.curation import add_curate, add_import, run_curate, run_import
from app.cli.evaluation import add_evaluate, run_evaluate
from app.cli.generation import add_generate, run_generate
from app.cli.training import add_train, run_train
from app.settings import explain_settings, load_settings
from corpora.errors import MalmoiError

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="malmoi", description="한국어 문서에서 학습 데이터와 모델까지, HTTP로.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="run the service")
    show = commands.add_parser("settings", help="show every setting, its value and where it comes from")
    for command in (serve, show):
        command.add_argument("--host", help="address to listen on")
        command.add_argument("--port", type=int, help="port to listen on; 0 picks a free one")
        command.add_argument("--data-dir", type=Path, help="folder of the store and all files")
        sources = command.add_mutually_exclusive_group()
        sources.add_argument("--config", type=Path, help="settings file instead of ./malmoi.toml")
        sources.add_argument(
            "--isolated", action="store_true", help="flags and defaults only: no settings file, no MALMOI_ variables"
        )
    # For whoever starts the service as a child: the pipe closes however the parent ends, SIGKILL included.
    serve.add_argument("--exit-with-parent", action="store_true", help=argparse.SUPPRESS)
    add_generate(commands)
    add_curate(commands)
    add_import(commands)
    add_train(commands)
    add_chat(commands)
    add_evaluate(commands)
    demo = commands.add_parser("demo", help="walk the whole road on the bundled manual, over HTTP")
    demo.add_argument("--output", type=Path, default=Path("demo-output"), help="folder for everything it makes")
    return parser


def _flags(arguments: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in ("host", "port", "data_dir")}


def _show_settings(arguments: argparse.Namespace) -> None:
    for line in explain_settings(_flags(arguments), config=arguments.config, isolated=arguments.isolated):
        print(f"{line.name} = {line.value}  [{line.source}]\n    {line.description}")


def _stop_with_parent() -> None:
    """Ask this process to stop, as SIGTERM does, once standard input closes."""

    def watch() -> None:
        # os.read, not sys.stdin: a thread that sits in a buffered read aborts the interpreter's end.
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="parent").start()


def _serve(arguments: argparse.Namespace) -> None:
    from app.main import serve

    settings = load_settings(_flags(arguments), config=arguments.config, isolated=arguments.isolated)
    if arguments.exit_with_parent:
        _stop_with_parent()
    serve(settings)


def _demo(arguments: argparse.Namespace) -> None:
    from app.demo.road import run_demo

    # Both ways of being asked to stop take the same way out, past the blocks that end the service.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run_demo(arguments.output)


def _one_line(exc: MalmoiError) -> str:
    """What happened and what to do; what a library said over several lines comes as one."""
    hint = f" {exc.hint}" if exc.hint and exc.hint not in exc.message else ""
    return " ".join(f"{exc.message}{hint}".split())


_COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "settings": _show_settings,
    "serve": _serve,
    "generate": run_generate,
    "curate": run_curate,
    "import": run_import,
    "train": run_train,
    "chat": run_chat,
    "evaluate": run_evaluate,
    "demo": _demo,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        _COMMANDS[arguments.command](arguments)
    except MalmoiError as exc:
        print(f"malmoi: {_one_line(exc)}", file=sys.stderr)
        return 2 if exc.status < 500 else 1
    except KeyboardInterrupt:
        print("malmoi: stopped", file=sys.stderr)
        return 1
    return 0
