"""The lexical index at 100,000 chunks: build without Kiwi, memory, file, search, removal.

Run by hand::

    python -m tests.benchmarks.lexical_index_speed DATA_DIR/korquad --chunks 100000

Chunks are seeded draws of words from KorQuAD's passages to about 300 characters, so that terms are as unequal as in
real text; each distinct word is analysed once and the analyser is replaced by that table. Queries are real questions.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import numpy as np

from corpora.korean.analyse import content_morphemes_many
from retrieval.index.lexical import LexicalIndex
from tests.benchmarks.retrieval_quality import read

CHARACTERS = 300
QUERIES = 300
STEP = 5_000


class Clock:
    """Wall and CPU seconds of a block, printed as a row."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        print(f"| {self.name} | {wall:.2f} s wall, {cpu:.2f} s CPU |", flush=True)


def chunks(words: list[str], count: int) -> list[str]:
    source = random.Random(7)
    found = []
    for _ in range(count):
        drawn: list[str] = []
        length = 0
        while length < CHARACTERS:
            drawn.append(source.choice(words))
            length += len(drawn[-1]) + 1
        found.append(" ".join(drawn))
    return found


def memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def search(index: LexicalIndex, questions: list[str], name: str) -> None:
    walls = []
    cpu = time.process_time()
    for question in questions:
        started = time.perf_counter()
        index.scores(question)
        walls.append((time.perf_counter() - started) * 1e3)
    cpu = (time.process_time() - cpu) / len(questions) * 1e3
    p50, p99 = np.percentile(walls, [50, 99])
    print(f"| {name} | p50 {p50:.1f} ms, p99 {p99:.1f} ms, CPU {cpu:.1f} ms a query |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--chunks", type=int, default=100_000)
    asked = parser.parse_args()
    passages, questions, _ = read(asked.folder)
    words = [word for passage in passages for word in passage.split()]
    distinct = sorted(set(words))
    table = dict(zip(distinct, content_morphemes_many(distinct), strict=True))

    def looked_up(texts: Sequence[str]) -> Iterator[tuple[str, ...]]:
        return (tuple(token for word in text.split() for token in table[word]) for text in texts)

    texts = chunks(words, asked.chunks)
    print(f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}; "
          f"{len(texts)} chunks, {sum(map(len, texts)) / len(texts):.0f} characters\n")  # fmt: skip
    print("| what | figure |\n|---|---|")
    before = memory()
    index = LexicalIndex()
    with mock.patch("retrieval.index.lexical.content_morphemes_many", looked_up), Clock("build without Kiwi"):
        for start in range(0, len(texts), STEP):
            index.add(range(start, start + len(texts[start : start + STEP])), texts[start : start + STEP])
    print(f"| lists | {index.nbytes / 2**20:.0f} MB; the process grew by {memory() - before:.0f} MB at its peak |")
    search(index, questions[:: len(questions) // QUERIES], "search, analysis of the question included")
    with mock.patch("retrieval.index.lexical.content_morphemes_many", looked_up), Clock("100 chunks more"):
        index.add(range(len(texts), len(texts) + 100), texts[:100])
    with Clock("remove 100"):
        index.remove(range(100))
    search(index, questions[:: len(questions) // QUERIES], "search with dead rows")
    with Clock("remove 30 %, lists written anew"):
        index.remove(range(len(texts) * 3 // 10))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lexical.npz"
        with Clock("save of the rest"):
            index.save(path)
        with Clock("load of the rest"):
            LexicalIndex.load(path)
        print(f"| its file | {path.stat().st_size / 2**20:.0f} MB, {len(index)} chunks |")


if __name__ == "__main__":
    main()
