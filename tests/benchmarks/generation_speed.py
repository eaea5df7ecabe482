"""How fast requests leave and replies arrive, beside other tools, against a server with a fixed latency; run by hand.

::

    python -m tests.benchmarks.generation_speed --rounds 8
    python -m tests.benchmarks.generation_speed --tools ours --memory 50000

The server (``tests.weather_server``, model ``static``) runs in a process of its own and answers everything after the
same latency, so the ideal rate is concurrency / latency. ``--rounds`` is how many times each connection is used. Prints
Markdown. Peers make their environments in a temporary folder, from the package index.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.lexical_join import environment

__all__: list[str] = []

ROOT = Path(__file__).resolve().parents[2]
PEERS = Path(__file__).with_name("generation_peers.py")
#: (requests in flight, seconds until an answer).
LOADS = ((64, 1.0), (256, 2.0))
ENVIRONMENTS = {
    "curator": ("bespokelabs-curator",),
    # requests and bs4 are imported by distilabel 1.5 and not required by it.
    "distilabel": ("distilabel[openai]", "requests", "bs4"),
}
TOOLS = ("ours", "openai", "curator", "distilabel")


@contextmanager
def server(latency: float) -> Iterator[str]:
    """The URL of a running server."""
    command = [sys.executable, "-m", "tests.weather_server", "--latency", str(latency)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.wait()


def measure(python: str, tool: str, load: tuple[int, float], requests: int, folder: Path) -> dict[str, Any]:
    """One tool under one load, in a fresh process."""
    concurrency, latency = load
    answer = folder / "answer.json"
    with server(latency) as url:
        command = [python, str(PEERS), tool, url, str(requests), str(concurrency), str(answer)]
        environ = {**os.environ, "PYTHONPATH": str(ROOT) if python == sys.executable else ""}
        # Peers draw progress; it is no result.
        subprocess.run(command, cwd=folder, env=environ, check=True, capture_output=True)
    found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return found | {"tool": tool, "concurrency": concurrency, "latency": latency, "requests": requests}


def row(found: dict[str, Any]) -> str:
    """A line of the table."""
    rate = found["arrived"] / found["wall"]
    ideal = found["concurrency"] / found["latency"]
    return (
        f"| {found['tool']} | {found['concurrency']} / {found['latency']:g} s | {found['arrived']:,} | {rate:.1f} | "
        f"{100 * rate / ideal:.1f} % | {1000 * found['cpu'] / found['requests']:.2f} | "
        f"{found['rss_before_mb']:.0f} -> {found['rss_mb']:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8, help="requests for each one in flight")
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS))
    parser.add_argument("--memory", type=int, default=0, help="also so many requests of ours, for its memory")
    options = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| tool | in flight / latency | replies | per second | of ideal | CPU ms a request | memory MB |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for tool in options.tools:
            python = environment(folder / tool, ENVIRONMENTS[tool]) if tool in ENVIRONMENTS else sys.executable
            for load in LOADS:
                print(row(measure(python, tool, load, options.rounds * load[0], folder)), flush=True)
        if options.memory:
            print(row(measure(sys.executable, "ours", (256, 0.5), options.memory, folder)), flush=True)


if __name__ == "__main__":
    main()
