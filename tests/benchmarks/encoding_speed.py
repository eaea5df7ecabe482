"""How fast conversations become tokens and labels, and in how much memory.

    python -m tests.benchmarks.encoding_speed [--rows 5000 20000 100000] [--template eeve.jinja]

Rows are seeded: a question of about 40 characters and an answer of log-normal length (median 90, sigma 0.6), cut from
the bundled manual; the tokenizer is a byte-level BPE of 3,000 tokens trained on the same pages. Reading the JSONL with
all checks is told apart. One process; the tokenizer takes as many threads as ``RAYON_NUM_THREADS`` says. Each size runs
in a child of its own, so that memory is that size's: the peak of a process that holds the library, the
tokenizer and both forms of the rows.

``--template own`` takes a template without ``{% generation %}``, which is rendered twice to find the answers.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from corpora.bundled import MANUAL_DIR
from corpora.messages import message_line, training_rows
from tests.small_tokenizers import CHATML
from training.demo_base import _tokenizer
from training.encoding import encode_rows
from training.templates import load_template


def lines(count: int) -> Iterator[str]:
    """Seeded conversations."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in sorted(MANUAL_DIR.glob("*.md")))
    source = random.Random(1)
    for _ in range(count):
        place, length = source.randrange(len(text) - 2000), int(source.lognormvariate(4.5, 0.6))
        question, answer = text[place : place + 40].strip() or "말", text[place : place + length].strip() or "말"
        yield message_line([{"role": "user", "content": question}, {"role": "assistant", "content": answer}])


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(path: Path, name: str) -> dict[str, float]:
    """One size, in this process."""
    tokenizer = _tokenizer([page.read_text(encoding="utf-8") for page in sorted(MANUAL_DIR.glob("*.md"))])
    # The same text that marks answers would take one rendering; this one has no marks, and its stop is the end of text.
    template = CHATML.replace("'<|im_end|>'", "eos_token") if name == "own" else load_template(name)
    with path.open("rb") as handle:
        started = time.perf_counter()
        count = sum(1 for _ in training_rows(handle))
        read = time.perf_counter() - started
    with path.open("rb") as handle:
        started, cpu = time.perf_counter(), time.process_time()
        rows, report = encode_rows(training_rows(handle), tokenizer, template, 2048)
        wall, used = time.perf_counter() - started, time.process_time() - cpu
    started = time.perf_counter()
    data = rows.to_dataset()
    table = time.perf_counter() - started
    assert len(data) == report.kept == count
    return {"rows": count, "tokens": report.tokens, "read_s": read, "wall_s": wall, "cpu_s": used, "table_s": table,
            "rows_mb": rows.nbytes / 2**20, "peak_mb": peak_mb()}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[5_000, 20_000, 100_000])
    parser.add_argument("--template", default="eeve.jinja")
    parser.add_argument("--measure", type=Path)
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(measure(asked.measure, asked.template)))
        return
    print("| rows | tokens a row | rows/s (wall) | rows/s (CPU) | reading, s | table, s | rows, MB | process, MB |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        for count in asked.rows:
            path.write_text("\n".join(lines(count)) + "\n", encoding="utf-8")
            command = [sys.executable, "-m", "tests.benchmarks.encoding_speed", "--measure", str(path)]
            done = subprocess.run([*command, "--template", asked.template], check=True, capture_output=True, text=True)
            m = json.loads(done.stdout)
            print(
                f"| {count:,} | {m['tokens'] / count:.0f} | {count / m['wall_s']:,.0f} | {count / m['cpu_s']:,.0f} "
                f"| {m['read_s']:.1f} | {m['table_s']:.1f} | {m['rows_mb']:.0f} | {m['peak_mb']:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
