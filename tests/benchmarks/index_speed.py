"""The vector index at 100,000 chunks beside langchain-community's FAISS store, and where an inverted file pays.

Run by hand::

    python -m tests.benchmarks.index_speed --peer PYTHON    # an interpreter that has langchain-community 0.4.2
    python -m tests.benchmarks.index_speed --sizes 10000 50000 100000 200000

Vectors of 1,024 dimensions, made from a seed: ``words`` as the weightless embedder makes them (terms by Zipf's law
around topics, four signed buckets each, questions of seven terms of one passage), ``clumps`` around one centre for 200
rows, as models make them (questions: a row with noise, cosine 0.55), ``scattered`` without any order. Each side runs
in a process of its own. Memory is private memory; the rows of a loaded index of ours lie in the mapped file, whose
pages processes share. Times on a busy machine vary twofold, so CPU time stands beside them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

DIMENSION = 1024
TERMS, TOPIC_TERMS, LENGTH = 40_000, 300, 80
QUESTIONS = 100
SEED = 7


def words(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and questions as term hashing makes them."""
    rng = np.random.default_rng(SEED)
    buckets, signs = rng.integers(0, DIMENSION, (TERMS, 4)), rng.choice([-1.0, 1.0], (TERMS, 4))
    shares = 1 / np.arange(1, TERMS + 1)
    until = np.cumsum(shares / shares.sum())
    idf = np.clip(np.log(until[-1] / np.diff(until, prepend=0) / LENGTH) + 1, 1, 10)
    topics = np.searchsorted(until, rng.random((max(1, count // 50), TOPIC_TERMS))).clip(0, TERMS - 1)

    def row(terms: np.ndarray, times: np.ndarray | float) -> np.ndarray:
        weights = ((1 + np.log(times)) * idf[terms])[:, None] * signs[terms]
        made = np.bincount(buckets[terms].ravel(), weights=weights.ravel(), minlength=DIMENSION)
        return made / np.linalg.norm(made)

    rows, questions = np.empty((count, DIMENSION), dtype=np.float32), []
    for number in range(count):
        own = topics[rng.integers(len(topics)), rng.integers(0, TOPIC_TERMS, LENGTH // 2)]
        common = np.searchsorted(until, rng.random(LENGTH // 2)).clip(0, TERMS - 1)
        terms, times = np.unique(np.concatenate([own, common]), return_counts=True)
        rows[number] = row(terms, times)
        if number % max(1, count // QUESTIONS) == 0:
            questions.append(row(rng.choice(terms, 7), np.ones(7)))
    return rows, np.array(questions[:QUESTIONS], dtype=np.float32)


def clumps(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and questions in clusters."""
    rng = np.random.default_rng(SEED)
    rows = rng.normal(size=(max(1, count // 200), DIMENSION)).astype(np.float32)[
        rng.integers(0, max(1, count // 200), count)
    ]
    for start in range(0, count, 10_000):
        part = rows[start : start + 10_000]
        part += 0.9 * rng.normal(size=part.shape).astype(np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    questions = rows[rng.choice(count, QUESTIONS, replace=False)]
    questions = questions + 1.5 / DIMENSION**0.5 * rng.normal(size=questions.shape).astype(np.float32)
    return rows, questions / np.linalg.norm(questions, axis=1, keepdims=True)


def scattered(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows without any order, which fall into no lists: the hardest case; questions: a row with noise."""
    rng = np.random.default_rng(SEED)
    rows = rng.standard_normal((count, DIMENSION), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    questions = rows[rng.choice(count, QUESTIONS, replace=False)]
    questions = questions + 1.5 / DIMENSION**0.5 * rng.standard_normal(questions.shape, dtype=np.float32)
    return rows, questions / np.linalg.norm(questions, axis=1, keepdims=True)


def private() -> float:
    """Private memory of this process in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - wall, time.process_time() - cpu


def searches(search: Callable[[Any], Any], questions: list[Any]) -> dict[str, float]:
    times = [timed(partial(search, question)) for question in questions]
    walls, cpus = [wall * 1e3 for _, wall, _ in times], [cpu * 1e3 for _, _, cpu in times]
    return {
        "p50": float(np.percentile(walls, 50)),
        "p99": float(np.percentile(walls, 99)),
        "best": min(walls),
        "search_cpu": float(np.mean(cpus)),
    }


def ours(folder: Path) -> dict[str, Any]:
    from retrieval.index.files import Manifest, open_sealed, seal, whole_folder
    from retrieval.index.vectors import VectorIndex

    rows, questions = np.load(folder / "rows.npy", mmap_mode="r"), np.load(folder / "questions.npy")
    before = private()

    def build() -> VectorIndex:
        index = VectorIndex(DIMENSION)
        for start in range(0, len(rows), 2000):
            index.add(range(start, min(start + 2000, len(rows))), rows[start : start + 2000], settle=False)
        index.settle()
        return index

    def save() -> None:
        with whole_folder(folder / "index") as temporary:
            index.write(temporary / "vectors.faiss")
            index.write_columns(temporary)
            seal(temporary, Manifest(fingerprint="", dimension=DIMENSION, count=len(rows), content="", vectors={}))

    def load() -> VectorIndex:
        open_sealed(folder / "index")
        return VectorIndex.load(folder / "index" / "vectors.faiss", index.choice, mapped=True)

    index, build_wall, build_cpu = timed(build)
    memory = private() - before
    _, save_wall, _ = timed(save)
    loads = [timed(load)[1:] for _ in range(3)]
    loaded, choice = load(), index.choice
    found = [[number for number, _ in loaded.search(question, 10)] for question in questions]
    truth = np.argsort(-(questions @ rows.T), axis=1)[:, :10].tolist()
    shares = {
        k: np.mean([len(set(first[:k]) & set(second[:k])) / k for first, second in zip(found, truth, strict=True)])
        for k in (5, 10)
    }
    result = searches(lambda q: loaded.search(q, 10), list(questions))
    return result | {
        "build": build_wall, "build_cpu": build_cpu, "save": save_wall, "memory": memory,
        "load": min(wall for wall, _ in loads), "load_cpu": min(cpu for _, cpu in loads),
        "file": sum(path.stat().st_size for path in (folder / "index").iterdir()) / 2**20,
        "kind": f"{choice.kind} {choice.probes} of {choice.lists} lists" if choice.lists else "exact",
        "recall5": float(shares[5]), "recall10": float(shares[10]),
    }  # fmt: skip


def peer(folder: Path) -> dict[str, Any]:
    import warnings

    warnings.simplefilter("ignore")
    FAISS = importlib.import_module("langchain_community.vectorstores.faiss").FAISS  # noqa: N806
    from langchain_core.embeddings import Embeddings

    rows, questions = np.load(folder / "rows.npy", mmap_mode="r"), np.load(folder / "questions.npy")

    class Given(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            raise NotImplementedError

        def embed_query(self, text: str) -> list[float]:
            raise NotImplementedError

    before = private()

    def add(store: Any, start: int) -> Any:
        pairs = [
            (f"{number} " + "본문 " * 100, rows[number].tolist())
            for number in range(start, min(start + 2000, len(rows)))
        ]
        if store is None:
            return FAISS.from_embeddings(pairs, Given())
        store.add_embeddings(pairs)
        return store

    def build() -> Any:
        store = None
        for start in range(0, len(rows), 2000):
            store = add(store, start)
        assert store is not None
        return store

    store, build_wall, build_cpu = timed(build)
    memory = private() - before
    _, save_wall, _ = timed(lambda: store.save_local(str(folder / "peer")))
    loads = [
        timed(lambda: FAISS.load_local(str(folder / "peer"), Given(), allow_dangerous_deserialization=True))[1:]
        for _ in range(3)
    ]
    given = [question.tolist() for question in questions]
    result = searches(lambda q: store.similarity_search_with_score_by_vector(q, k=10), given)
    return result | {
        "build": build_wall, "build_cpu": build_cpu, "save": save_wall, "memory": memory,
        "load": min(wall for wall, _ in loads), "load_cpu": min(cpu for _, cpu in loads),
        "file": sum(path.stat().st_size for path in (folder / "peer").iterdir()) / 2**20,
        "kind": "exact (L2)", "recall5": 1.0, "recall10": 1.0,
    }  # fmt: skip


MAKERS = {"words": words, "clumps": clumps, "scattered": scattered}
SIDES = {"ours": ours, "langchain-community": peer}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000])
    parser.add_argument("--vectors", nargs="+", choices=list(MAKERS), default=list(MAKERS))
    parser.add_argument("--peer", help="interpreter that has langchain-community")
    parser.add_argument("--side", choices=list(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(SIDES[arguments.side](arguments.folder)))
        return
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}\n")
    print(
        "| rows | vectors | side | search | build s (CPU) | memory MiB | file MiB | save s | load s (CPU) "
        "| p50 ms | p99 ms | best ms | CPU ms | recall@5 | recall@10 |"
    )
    print("|---" * 15 + "|")
    interpreters = {"ours": sys.executable} | ({"langchain-community": arguments.peer} if arguments.peer else {})
    for size in arguments.sizes:
        for name in arguments.vectors:
            with tempfile.TemporaryDirectory() as folder:
                for what, array in zip(("rows", "questions"), MAKERS[name](size), strict=True):
                    np.save(Path(folder) / f"{what}.npy", array)
                for side, interpreter in interpreters.items():
                    command = [interpreter, "-m", "tests.benchmarks.index_speed", "--side", side, "--folder", folder]
                    done = subprocess.run(command, capture_output=True, text=True, check=True)
                    r = json.loads(done.stdout.splitlines()[-1])
                    speed = f"{r['p50']:.1f} | {r['p99']:.1f} | {r['best']:.1f} | {r['search_cpu']:.1f}"
                    disk = f"{r['file']:.0f} | {r['save']:.1f} | {r['load']:.2f} ({r['load_cpu']:.2f})"
                    print(
                        f"| {size:,} | {name} | {side} | {r['kind']} | {r['build']:.1f} ({r['build_cpu']:.1f}) "
                        f"| {r['memory']:.0f} | {disk} | {speed} | {r['recall5']:.3f} | {r['recall10']:.3f} |",
                        flush=True,
                    )
    if not arguments.peer:
        print("\nlangchain-community was not measured: no --peer.")


if __name__ == "__main__":
    main()
