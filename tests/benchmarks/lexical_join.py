"""Speed of the exact lexical near-duplicate join beside other tools on the same tokens; run by hand, no test.

::

    python -m tests.benchmarks.lexical_join path/to/data --sizes 50000 200000 1000000

``data`` holds the Korean corpora that ``lexical_sets`` knows. Prints Markdown. Tokenising is not timed; each join runs
in a process of its own on one core, whose peak memory includes the interpreter and the set itself. Peers run at
``--peer-size`` and make their environments themselves, in a temporary folder (datasketch and semhash from the package
index). A row counts as a repeat where a tool drops it, keep-first; recall and precision are against the exact answer.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.lexical_sets import SETS, Row, make, real_tokens

__all__: list[str] = []

ROOT = Path(__file__).resolve().parents[2]
PEERS = Path(__file__).with_name("lexical_peers.py")
#: Texts whose pairs are scored by rouge-score itself; more are extrapolated by the number of pairs.
ROUGE_SIZE = 3_000
#: Packages of the peers that need an environment of their own.
ENVIRONMENTS = {"datasketch": ("datasketch",), "semhash": ("semhash",)}
PEER_NAMES = ("rouge-score", "rapidfuzz", "datasketch", "semhash")


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One tool on one set."""

    tool: str  #: Name.
    texts: int  #: Rows given.
    cpu: float  #: CPU seconds of all its threads.
    wall: float  #: Seconds by the clock.
    peak: int  #: Peak resident memory, bytes.
    kept: list[int]  #: Numbers of the rows that repeat nothing before them.


def child(python: str, module: list[str], rows: Path, answer: Path) -> Measured:
    """Run one tool on ``rows`` (JSONL of token lists) in a fresh process; it writes a ``Measured`` as JSON."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
    command = [python, *module, str(rows), str(answer)]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, **threads, "TOKENIZERS_PARALLELISM": "false"})
    return Measured(**json.loads(answer.read_text(encoding="utf-8")))


def environment(folder: Path, packages: tuple[str, ...]) -> str:
    """A virtual environment with ``packages``; returns its Python."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def write_rows(path: Path, rows: list[Row]) -> Path:
    with path.open("w", encoding="utf-8") as handle:
        for row in rows:
            handle.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


def vectors(path: Path, rows: list[Row]) -> None:
    """Our encoder's vectors of the tokens, so that semhash compares what our semantic search would."""
    import numpy as np

    from retrieval.embedders import HashedEmbedder

    texts = [" ".join(row) for row in rows]
    np.save(path, HashedEmbedder.fit(texts[:5_000]).embed(texts))


def joins(folder: Path, real: list[Row], sizes: list[int]) -> dict[tuple[str, int], Measured]:
    """Our join on every set and size, each in a process of its own."""
    found = {}
    for name in SETS:
        for size in sizes:
            rows = make(name, size, real)
            if len(rows) < size:
                continue  # only ``real``, which says in its table what there is
            path = write_rows(folder / "rows.jsonl", rows)
            del rows
            result = child(sys.executable, ["-m", "tests.benchmarks.lexical_peers", "ours"], path, folder / "out.json")
            found[name, size] = result
            print(f"{name} {size}: {result.cpu:.2f} s CPU", file=sys.stderr, flush=True)
    return found


def peers(folder: Path, rows: list[Row], names: list[str]) -> list[Measured]:
    """Every peer on the same rows."""
    path = write_rows(folder / "peers.jsonl", rows)
    found = []
    for name in names:
        python = environment(folder / name, ENVIRONMENTS[name]) if name in ENVIRONMENTS else sys.executable
        if name == "semhash":
            vectors(path.with_suffix(".npy"), rows)
        given = path
        if name == "rouge-score":
            given = write_rows(folder / "rouge.jsonl", rows[:ROUGE_SIZE])
        found.append(child(python, [str(PEERS), name], given, folder / f"{name}.json"))
        print(f"{name}: {found[-1].cpu:.2f} s CPU", file=sys.stderr, flush=True)
    return found


def exponent(small: Measured, large: Measured) -> float:
    """k of ``time ~ texts ** k`` between two sizes."""
    return math.log(large.cpu / small.cpu) / math.log(large.texts / small.texts)


def show_joins(found: dict[tuple[str, int], Measured]) -> None:
    print("| set | texts | kept | CPU s | wall s | peak RSS GB | growth exponent |")
    print("|---|---|---|---|---|---|---|")
    for (name, size), result in found.items():
        smaller = [other for (kind, texts), other in found.items() if kind == name and texts < size]
        growth = f"{exponent(smaller[0], result):.2f}" if smaller else ""
        print(
            f"| {name} | {size:,} | {len(result.kept):,} | {result.cpu:.2f} | {result.wall:.2f} "
            f"| {result.peak / 1e9:.2f} | {growth} |"
        )


def show_peers(name: str, ours: Measured, found: list[Measured]) -> None:
    """Seconds beside ours, and how many of the exact repeats a peer drops."""
    print(f"\nPeers on {ours.texts:,} texts of `{name}`\n")
    print("| tool | texts | CPU s | wall s | at our size, CPU s | times ours | recall | precision |")
    print("|---|---|---|---|---|---|---|---|")
    kept = set(ours.kept)
    for result in (ours, *found):
        scale = 1.0
        if result.texts < ours.texts:  # all pairs
            scale = (ours.texts * (ours.texts - 1)) / (result.texts * (result.texts - 1))
        exact = set(range(result.texts)) - kept
        dropped = set(range(result.texts)) - set(result.kept)
        both = len(exact & dropped)
        print(
            f"| {result.tool} | {result.texts:,} | {result.cpu:.2f} | {result.wall:.2f} | {result.cpu * scale:,.2f} "
            f"| {result.cpu * scale / ours.cpu:,.1f} | {both / max(1, len(exact)):.4f} "
            f"| {both / max(1, len(dropped)):.4f} |"
        )


def hardware() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    model = platform.processor()
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, load average at the start {load:.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(description="The exact lexical join and its peers, as Markdown tables.")
    parser.add_argument("data", type=Path, help="folder with Korean corpora, see tests/benchmarks/lexical_sets.py")
    parser.add_argument("--sizes", type=int, nargs="+", default=[50_000, 200_000, 1_000_000])
    parser.add_argument("--peer-size", type=int, default=50_000)
    parser.add_argument("--peer-set", choices=sorted(SETS), default="real")
    parser.add_argument("--peers", nargs="*", choices=PEER_NAMES, default=list(PEER_NAMES))
    arguments = parser.parse_args()
    print(f"{hardware()}\n", flush=True)
    started = time.perf_counter()
    real = real_tokens(arguments.data)
    print(f"{len(real)} real texts tokenised in {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        show_joins(joins(folder, real, sorted(arguments.sizes)))
        if arguments.peers:
            rows = make(arguments.peer_set, arguments.peer_size, real)
            path = write_rows(folder / "rows.jsonl", rows)
            ours = child(sys.executable, ["-m", "tests.benchmarks.lexical_peers", "ours"], path, folder / "ours.json")
            show_peers(arguments.peer_set, ours, peers(folder, rows, arguments.peers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
