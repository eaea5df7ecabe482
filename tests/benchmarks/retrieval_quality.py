"""Does retrieval find the passage that a question was asked about? KorQuAD 1.0 dev, all 964 passages, default embedder.

Run by hand::

    python -m tests.benchmarks.retrieval_quality DATA_DIR/korquad
    python -m tests.benchmarks.retrieval_quality DATA_DIR/korquad --sweep          # other weights, and the split

A tie counts against the passage. ``--sweep`` also chooses weights on the questions of one half of the passages and
tests them on the other half, for several halves: what was chosen must hold where it was not chosen.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corpora.korean.analyse import forget, prefetch
from retrieval.embedders import HashedEmbedder
from retrieval.index.hybrid import WEIGHTS, Weights, standardised
from retrieval.index.lexical import LexicalIndex

GRAMS = (0.7, 1.0, 1.5, 2.0)
DENSE = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
HALVES = 5

Table = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Standardised scores of every question (row) with every passage (column)."""

    bm25: Table
    grams: Table
    dense: Table
    gold: NDArray[np.int64]  #: The right passage of each question.

    def ranks(self, weights: Weights) -> NDArray[np.int64]:
        """Place of the right passage, from 0."""
        mixed = weights.bm25 * self.bm25 + weights.grams * self.grams + weights.dense * self.dense
        right = mixed[np.arange(len(self.gold)), self.gold][:, None]
        return np.asarray((mixed >= right).sum(axis=1) - 1)


def read(folder: Path) -> tuple[list[str], list[str], NDArray[np.int64]]:
    passages: list[str] = []
    questions: list[str] = []
    gold: list[int] = []
    for path in sorted(folder.glob("*dev*.json")):
        for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
            for paragraph in article["paragraphs"]:
                questions += [asked["question"] for asked in paragraph["qas"]]
                gold += [len(passages)] * len(paragraph["qas"])
                passages.append(paragraph["context"])
    return passages, questions, np.array(gold)


def scored(passages: list[str], questions: list[str], gold: NDArray[np.int64]) -> Scored:
    prefetch([*passages, *questions])  # The embedder and the index analyse the same texts.
    embedder, index = HashedEmbedder.fit(passages), LexicalIndex()
    dense = embedder.embed(questions) @ embedder.embed(passages).T
    index.add(range(len(passages)), passages)
    started = time.process_time()
    found = [index.scores(question) for question in questions]
    print(f"{(time.process_time() - started) / len(questions) * 1e3:.2f} ms of CPU a lexical query, analysis apart\n")
    forget()
    return Scored(
        bm25=np.array([standardised(one.bm25) for one in found]),
        grams=np.array([standardised(one.grams) for one in found]),
        dense=np.array([standardised(row) for row in dense]),
        gold=gold,
    )


def first(ranks: NDArray[np.int64], count: int) -> float:
    return float((ranks < count).mean())


def row(name: str, ranks: NDArray[np.int64]) -> str:
    figures = [*(first(ranks, count) for count in (1, 5, 10)), float((1 / (ranks + 1)).mean())]
    return f"| {name} | " + " | ".join(f"{figure:.4f}" for figure in figures) + " |"


def halves(table: Scored, passages: int) -> None:
    """Choose on one half, test on the other."""
    grid = [Weights(bm25=1.0, grams=grams, dense=dense) for grams in GRAMS for dense in DENSE if dense]
    ranks = {weights: table.ranks(weights) for weights in grid}
    lexical = {grams: table.ranks(Weights(bm25=1.0, grams=grams, dense=0.0)) for grams in GRAMS}
    ours, our_lexical = table.ranks(WEIGHTS), table.ranks(Weights(bm25=1.0, grams=WEIGHTS.grams, dense=0.0))
    print("\n| half | chosen (grams, dense) | chosen on | tested on | its lexical | default | its lexical |")
    print("|---|---|---|---|---|---|---|")
    for seed in range(HALVES):
        left = np.random.default_rng(seed).permutation(passages) < passages // 2
        for name, here in ((f"{seed}a", left[table.gold]), (f"{seed}b", ~left[table.gold])):
            best = max(grid, key=lambda w: (first(ranks[w][here], 5), float((1 / (ranks[w][here] + 1)).mean())))
            tested, beside = first(ranks[best][~here], 5), first(lexical[best.grams][~here], 5)
            print(
                f"| {name} | {best.grams}, {best.dense} | {first(ranks[best][here], 5):.4f} | {tested:.4f} "
                f"| {beside:.4f} | {first(ours[~here], 5):.4f} | {first(our_lexical[~here], 5):.4f} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--grams", type=float, default=WEIGHTS.grams, help="weight of the n-grams")
    parser.add_argument("--dense", type=float, default=WEIGHTS.dense, help="weight of the cosine")
    parser.add_argument("--sweep", action="store_true", help="every weight of the grid, and the split")
    asked = parser.parse_args()
    passages, questions, gold = read(asked.folder)
    print(f"{platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python "
          f"{platform.python_version()}; {len(questions)} questions, {len(passages)} passages, load "
          f"{os.getloadavg()[0]:.1f}\n")  # fmt: skip
    table = scored(passages, questions, gold)
    print("| mode | first | among 5 | among 10 | MRR |\n|---|---|---|---|---|")
    hybrid = Weights(bm25=1.0, grams=asked.grams, dense=asked.dense)
    for name, weights in {
        "dense": Weights(bm25=0.0, grams=0.0, dense=1.0),
        "BM25 of morphemes": Weights(bm25=1.0, grams=0.0, dense=0.0),
        "BM25 of n-grams": Weights(bm25=0.0, grams=1.0, dense=0.0),
        "lexical": Weights(bm25=1.0, grams=asked.grams, dense=0.0),
        "hybrid": hybrid,
    }.items():
        print(row(name, table.ranks(weights)))
    if asked.sweep:
        for grams in GRAMS:
            for dense in DENSE:
                print(row(f"grams {grams}, dense {dense}", table.ranks(Weights(bm25=1.0, grams=grams, dense=dense))))
        halves(table, len(passages))


if __name__ == "__main__":
    main()
