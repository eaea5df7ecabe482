"""How much of a manual's training side counts as contaminated by its held-out pages, by coverage.

Run by hand::

    python -m tests.benchmarks.contamination_rates DATA_DIR/wms_docs_ko

A tenth of the pages is held out (by sha256). Every paragraph of the others is a sample. What is found are stock
paragraphs that stand on both sides; below the default coverage it would be stock phrases.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from generators.curation.decontamination import Contamination

COVERAGES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    pages = sorted(folder.rglob("*.md"), key=lambda path: hashlib.sha256(path.read_bytes()).digest())
    held = pages[: len(pages) // 10]
    paragraphs = [
        text
        for page in pages[len(held) :]
        for text in page.read_text(encoding="utf-8").split("\n\n")
        if len(text) >= 40
    ]
    print(f"{len(pages)} pages, {len(held)} held out, {len(paragraphs)} paragraphs of 40 characters or more\n")
    print("| n-gram | " + " | ".join(f"coverage {c}" for c in COVERAGES) + " |")
    print("|---|" + "---|" * len(COVERAGES))
    for ngram in (5, 8, 13):
        found = Contamination(ngram=ngram, coverage=min(COVERAGES))
        for page in held:
            found.protect_text(page.name, page.read_text(encoding="utf-8"))
        verdicts = [found.find("", text) for text in paragraphs]
        scores = [verdict.score or 0.0 for verdict in verdicts if verdict is not None]
        shares = [sum(score >= c for score in scores) / len(paragraphs) for c in COVERAGES]
        print(f"| {ngram} | " + " | ".join(f"{share:.2%}" for share in shares) + " |")


if __name__ == "__main__":
    main()
