"""One tool on one file of token lists, timed: what ``lexical_join`` starts as a process of its own.

::

    python lexical_peers.py TOOL ROWS.jsonl ANSWER.json

Imports nothing of the project but for ``ours``, so that it runs in a peer's environment. Imports and reading the rows
are not timed; everything a tool does with them is. Every tool keeps the first of what repeats.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

Rows = list[tuple[str, ...]]
THRESHOLD = 0.7
#: Rows compared with all earlier ones at once by rapidfuzz.
BLOCK = 512
PERMUTATIONS = 128


def ours(rows: Rows, _path: Path) -> list[int]:
    """The join with evidence, without guards, which look at texts."""
    from retrieval.near_duplicates import LexicalDuplicates, Tokenized

    index = LexicalDuplicates(str(THRESHOLD), guards=())
    given = ((str(number), Tokenized("", tokens)) for number, tokens in enumerate(rows))
    return [number for number, hit in enumerate(index.join(given)) if hit is None]


def rouge_score(rows: Rows, _path: Path) -> list[int]:
    """rouge-score's own scoring of tokens, all pairs."""
    score = import_module("rouge_score.rouge_scorer")._score_lcs
    kept: dict[int, None] = {}
    for number, row in enumerate(rows):
        scores = [score(rows[other], row).fmeasure for other in range(number)]
        if not any(value > THRESHOLD and other in kept for other, value in enumerate(scores)):
            kept[number] = None
    return list(kept)


def rapidfuzz(rows: Rows, _path: Path) -> list[int]:
    """All pairs in blocks: a code point a token, Indel's normalised similarity, which is the F1."""
    np = import_module("numpy")
    process, indel = import_module("rapidfuzz.process"), import_module("rapidfuzz.distance").Indel
    numbers: dict[str, int] = {}
    bodies = ["".join([chr(0xE000 + numbers.setdefault(t, len(numbers))) for t in row]) for row in rows]
    dropped = np.zeros(len(rows), dtype=bool)
    for start in range(0, len(rows), BLOCK):
        block = bodies[start : start + BLOCK]
        scores = process.cdist(
            block,
            bodies[: start + len(block)],
            scorer=indel.normalized_similarity,
            score_cutoff=THRESHOLD,
            dtype=np.float64,
            workers=1,
        )
        for place in range(len(block)):
            earlier = np.flatnonzero(scores[place, : start + place] > THRESHOLD + 1e-9)
            dropped[start + place] = bool((~dropped[earlier]).any())
    return [int(number) for number in np.flatnonzero(~dropped)]


def datasketch(rows: Rows, _path: Path) -> list[int]:
    """MinHash-LSH over sets of tokens; F1 0.7 of equal lengths is a Jaccard of 7/13."""
    minhash, lsh = import_module("datasketch").MinHash, import_module("datasketch").MinHashLSH
    index = lsh(threshold=THRESHOLD / (2 - THRESHOLD), num_perm=PERMUTATIONS)
    kept = []
    sets = ([token.encode() for token in dict.fromkeys(row)] for row in rows)
    for number, sketch in enumerate(minhash.generator(sets, num_perm=PERMUTATIONS)):
        if not index.query(sketch):
            index.insert(str(number), sketch)
            kept.append(number)
    return kept


def semhash(rows: Rows, path: Path) -> list[int]:
    """semhash with our encoder: its vectors are computed beforehand, which is not timed either."""
    np = import_module("numpy")
    vectors = np.load(path.with_suffix(".npy"))

    class Encoder:
        """Looks up the vector of a text that is its own number."""

        def encode(self, inputs: Any, **_settings: Any) -> Any:
            return vectors[[int(text) for text in inputs]]

    records = [{"text": str(number)} for number in range(len(rows))]
    index = import_module("semhash").SemHash.from_records(records=records, columns=["text"], model=Encoder())
    # The cosine our semantic search calls a duplicate.
    result = index.self_deduplicate(threshold=0.85)
    return sorted(int(record["text"]) for record in result.selected)


TOOLS: dict[str, Callable[[Rows, Path], list[int]]] = {
    "ours": ours,
    "rouge-score": rouge_score,
    "rapidfuzz": rapidfuzz,
    "datasketch": datasketch,
    "semhash": semhash,
}


#: What each tool imports, before the clock starts.
MODULES = {
    "ours": ("retrieval.near_duplicates",),
    "rouge-score": ("rouge_score.rouge_scorer",),
    "rapidfuzz": ("numpy", "rapidfuzz.process", "rapidfuzz.distance"),
    "datasketch": ("datasketch",),
    "semhash": ("numpy", "semhash"),
}


def peak() -> int:
    """Peak resident memory in bytes; ``ru_maxrss`` would begin with that of the process that started this one."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("no VmHWM in /proc/self/status: this benchmark measures memory on Linux")


def main(tool: str, given: str, answer: str) -> int:
    intern = sys.intern
    with Path(given).open(encoding="utf-8") as handle:
        rows = [tuple([intern(token) for token in json.loads(line)]) for line in handle]
    for module in MODULES[tool]:
        import_module(module)
    wall, cpu = time.perf_counter(), time.process_time()
    kept = TOOLS[tool](rows, Path(given))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    measured = {"tool": tool, "texts": len(rows), "cpu": cpu, "wall": wall, "peak": peak(), "kept": kept}
    Path(answer).write_text(json.dumps(measured), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
