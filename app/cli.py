"""The ``malmoi`` command: ``serve``, ``demo``, ``settings``. Exit codes: 0 done, 2 bad input or usage, 1 anything else.

Errors are one line that says what to do. Flags override ``MALMOI_…`` variables, which override ``malmoi.toml``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
        command.add_argument("--config", type=Path, help="settings file instead of ./malmoi.toml")
    demo = commands.add_parser("demo", help="walk the whole road on the bundled manual, over HTTP")
    demo.add_argument("--output", type=Path, default=Path("demo-output"), help="folder for everything it makes")
    return parser


def _flags(arguments: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in ("host", "port", "data_dir")}


def _show_settings(arguments: argparse.Namespace) -> None:
    for line in explain_settings(_flags(arguments), config=arguments.config):
        print(f"{line.name} = {line.value}  [{line.source}]\n    {line.description}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.command == "settings":
            _show_settings(arguments)
        elif arguments.command == "serve":
            from app.main import serve

            serve(load_settings(_flags(arguments), config=arguments.config))
        else:
            from app.demo.road import run_demo

            run_demo(arguments.output)
    except MalmoiError as exc:
        hint = f" {exc.hint}" if exc.hint and exc.hint not in exc.message else ""
        print(f"malmoi: {exc.message}{hint}", file=sys.stderr)
        return 2 if exc.status < 500 else 1
    except KeyboardInterrupt:
        print("malmoi: stopped", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
