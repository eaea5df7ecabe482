"""Semantic near-duplicates at scale: 200,000 vectors exactly, 1,000,000 by an inverted file with its recall.

Run by hand::

    python -m tests.benchmarks.semantic_join --sizes 200000 1000000

Vectors of 384 dimensions in clumps, as texts of one domain are, with a share of planted near-duplicates. Above the
exact limit recall is taken twice: as the index measures it on itself, and here, on a sample against every row.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import time

import numpy as np

from retrieval.embedders import Vectors
from retrieval.nearest import NearestVectors
from retrieval.semantic_duplicates import EXACT_LIMIT

DIMENSION = 384
BATCH = 1024
#: Share of rows that repeat an earlier one up to a little noise.
REPEATS = 0.1
SEED = 7
THRESHOLD = 0.92
SAMPLE = 1000


def vectors(count: int) -> Vectors:
    rng = np.random.default_rng(SEED)
    centres = rng.normal(size=(max(1, count // 200), DIMENSION)).astype(np.float32)
    rows = centres[rng.integers(0, len(centres), count)]
    rows += 0.9 * rng.normal(size=rows.shape).astype(np.float32)
    repeats = np.flatnonzero(rng.random(count) < REPEATS)
    repeats = repeats[repeats > 0]
    earlier = (rng.random(len(repeats)) * repeats).astype(np.int64)
    rows[repeats] = rows[earlier] + 0.2 * rng.normal(size=(len(repeats), DIMENSION)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def join(rows: Vectors) -> tuple[NearestVectors, np.ndarray]:
    """Keep-first over all rows; the index and the numbers of the rows it keeps."""
    index, kept = NearestVectors(DIMENSION, exact_limit=EXACT_LIMIT), []
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        found = index.search(batch, 1)
        inside = batch @ batch.T
        stays: list[int] = []
        for number in range(len(batch)):
            near = bool(found[number]) and found[number][0][1] > THRESHOLD
            if not near and (not stays or inside[number, stays].max() <= THRESHOLD):
                stays.append(number)
        index.add(batch[stays])
        kept += [start + number for number in stays]
    return index, np.array(kept)


def recall(index: NearestVectors, rows: Vectors, kept: np.ndarray) -> float:
    """Share of sampled rows whose nearest kept row is found, against all of them."""
    sample = np.random.default_rng(SEED + 1).choice(len(rows), SAMPLE, replace=False)
    best = np.full(SAMPLE, -1.0)
    for start in range(0, len(kept), 50_000):
        best = np.maximum(best, (rows[sample] @ rows[kept[start : start + 50_000]].T).max(axis=1))
    found = np.array([hits[0][1] if hits else -1.0 for hits in index.search(rows[sample], 1)])
    return float(np.mean(found >= best - 1e-5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[200_000, 1_000_000])
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {DIMENSION} dimensions\n")
    print("| rows | kept | search | wall s | CPU s | peak RSS | recall, own measure | recall on a sample |")
    print("|---|---|---|---|---|---|---|---|")
    for size in arguments.sizes:
        rows = vectors(size)
        wall, cpu = time.perf_counter(), time.process_time()
        index, kept = join(rows)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        how = "exact" if index.exact else "inverted file"
        print(
            f"| {size:,} | {len(kept):,} | {how} | {wall:.0f} | {cpu:.0f} | {peak:.1f} GiB "
            f"| {index.recall:.3f} | {recall(index, rows, kept):.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
