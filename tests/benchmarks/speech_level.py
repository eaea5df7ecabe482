"""Accuracy of the speech level of texts on a formality corpus; run by hand, no test.

::

    python -m tests.benchmarks.speech_level path/to/formality_ko

The folder holds ``<domain>.formal.ko`` and ``<domain>.informal.ko``, one text a line: the Korean set of the formality
task of IWSLT 2023 (amazon-science/contrastive-controlled-mt, CDLA-Sharing-1.0). A text's label is that of its last
decided sentence; an undecided text counts as wrong. Only ``topical_chat`` was looked at in development.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from corpora.korean.speech import PLAIN, POLITE, SpeechLevel, speech_level, text_level

#: What a text of each file should be.
WANTED = {"formal": POLITE, "informal": PLAIN}


def outcomes(texts: Iterable[str], wanted: frozenset[SpeechLevel]) -> Counter[str]:
    """How many texts are right, wrong, undecided; and how many are mixed, whatever their label."""
    counts: Counter[str] = Counter()
    for text in texts:
        level = text_level(text)
        decided = level in POLITE or level in PLAIN
        counts["right" if level in wanted else "wrong" if decided else "undecided"] += 1
        counts["mixed"] += speech_level(text) is SpeechLevel.MIXED
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description="Accuracy of speech levels, by domain and direction.")
    parser.add_argument("folder", type=Path, help="folder with <domain>.formal.ko and <domain>.informal.ko")
    folder: Path = parser.parse_args().folder
    domains = sorted(path.name.split(".")[0] for path in folder.glob("*.formal.ko"))
    if not domains:
        print(f"No *.formal.ko in {folder}", file=sys.stderr)
        return 2
    print(f"{'domain':<14} {'direction':<10} texts right wrong undecided mixed accuracy")
    totals: dict[str, Counter[str]] = {direction: Counter() for direction in WANTED}
    for domain in domains:
        for direction, wanted in WANTED.items():
            lines = (folder / f"{domain}.{direction}.ko").read_text(encoding="utf-8").splitlines()
            counts = outcomes((line for line in lines if line.strip()), wanted)
            totals[direction] += counts
            _show(domain, direction, counts)
    for direction, counts in totals.items():
        _show("all", direction, counts)
    return 0


def _show(domain: str, direction: str, counts: Counter[str]) -> None:
    total = counts["right"] + counts["wrong"] + counts["undecided"]
    print(
        f"{domain:<14} {direction:<10} {total:>5} {counts['right']:>5} {counts['wrong']:>5} "
        f"{counts['undecided']:>9} {counts['mixed']:>5} {counts['right'] / total:8.4f}"
    )


if __name__ == "__main__":
    sys.exit(main())
