"""How much good text each filter would drop and each flag would mark, by source, and how fast they are.

    python -m tests.benchmarks.filter_rates DATA [--examples N]

``DATA`` is a folder with ``wms_docs_ko/*.md`` (paragraphs of manuals as grounded answers), ``korquad/*.json``
(questions, passages), ``chatbot_ko/*.csv`` (Q and A) and ``sae4k/*.txt`` (commands with short answers); what is missing
is left out. People wrote all of it, so every hit is a false alarm or a real blemish: look with ``--examples``.
Seconds are of this process's CPU.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
import time
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from corpora.markdown import blocks
from corpora.records import Candidate, Message, Provenance
from generators.curation.filters import FILTERS
from generators.curation.flags import FLAGS
from generators.curation.settings import Limits

QUESTION = "입고 예정을 등록하려면 어떻게 해야 하나요?"
ANSWER = "입고 예정 화면에서 차량 번호와 도착 시각을 입력하고 저장합니다."
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
#: Includes and images are no prose.
_DIRECTIVE = re.compile(r"\[!\s*include\s*\[[^\]]*\](?:\([^)]*\))?\]|!\[[^\]]*\]\([^)]*\)", re.IGNORECASE)


def candidate(question: str, answer: str, *, grounded: bool) -> Candidate:
    return Candidate(
        messages=(Message(role="user", content=question), Message(role="assistant", content=answer)),
        provenance=Provenance(generator="benchmark", slot=0),
        grounded=grounded,
    )


def manuals(folder: Path) -> Iterator[Candidate]:
    """Paragraphs and lists; links as their text. What announces a list (…:) comes with it, as a chunk would."""
    for path in sorted(folder.glob("wms_docs_ko/*.md")):
        text = unicodedata.normalize("NFC", path.read_text(encoding="utf-8"))
        opening = ""
        for block in blocks(text):
            body = _LINK.sub(r"\1", _DIRECTIVE.sub("", text[block.start : block.end])).strip()
            if block.kind not in ("paragraph", "list") or not body:
                opening = ""
                continue
            whole = f"{opening}\n\n{body}".strip()
            if body.endswith(":"):
                opening = whole
                continue
            opening = ""
            yield candidate(QUESTION, whole, grounded=True)


def korquad(folder: Path) -> Iterator[Candidate]:
    for path in sorted(folder.glob("korquad/*.json")):
        for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
            for paragraph in article["paragraphs"]:
                for asked in paragraph["qas"]:
                    yield candidate(unicodedata.normalize("NFC", asked["question"]), ANSWER, grounded=True)


def contexts(folder: Path) -> Iterator[Candidate]:
    for path in sorted(folder.glob("korquad/*.json")):
        for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
            for paragraph in article["paragraphs"]:
                yield candidate(QUESTION, unicodedata.normalize("NFC", paragraph["context"]), grounded=True)


def chatbot(folder: Path) -> Iterator[Candidate]:
    for path in sorted(folder.glob("chatbot_ko/*.csv")):
        with path.open(encoding="utf-8-sig", newline="") as handle:
            for row in csv.DictReader(handle):
                yield candidate(row["Q"], row["A"], grounded=False)


def commands(folder: Path) -> Iterator[Candidate]:
    for path in sorted(folder.glob("sae4k/*.txt")):
        for line in path.read_text(encoding="utf-8-sig").splitlines():
            cells = line.split("\t")
            if len(cells) > 1:
                yield candidate(cells[0].strip(), cells[1].strip(), grounded=False)


SOURCES: dict[str, Callable[[Path], Iterator[Candidate]]] = {
    "manual paragraphs": manuals,
    "korquad questions": korquad,
    "korquad passages": contexts,
    "chatbot pairs": chatbot,
    "sae4k commands": commands,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--examples", type=int, default=0, help="hits shown for each filter and source")
    options = parser.parse_args()
    columns: dict[str, dict[str, float]] = {}
    shown: dict[tuple[str, str], list[str]] = {}
    for source, read in SOURCES.items():
        rows = list(read(options.data))
        if rows:
            columns[source], hits = measure(rows)
            shown.update({(source, name): found[: options.examples] for name, found in hits.items()})
    if not columns:
        sys.exit(f"no known source in {options.data}")
    _print(columns, shown if options.examples else {})


def measure(rows: list[Candidate]) -> tuple[dict[str, float], dict[str, list[str]]]:
    """The share that each check hits, in percent, with the hits; how many rows a second pass through all filters."""
    limits = Limits()
    hits: dict[str, list[str]] = defaultdict(list)
    dropped = 0
    for row in rows:
        verdicts = {name: check(row, limits) for name, check in FILTERS.items()}
        dropped += any(verdicts.values())
        raised = {f"flag {name}": flag(row, limits) for name, flag in FLAGS.items()}
        for name, evidence in (*verdicts.items(), *raised.items()):
            if evidence:
                hits[name].append(str(evidence))
    started = time.process_time()
    for row in rows:
        for check in FILTERS.values():
            check(row, limits)
    speed = len(rows) / (time.process_time() - started)
    names = (*FILTERS, *(f"flag {name}" for name in FLAGS))
    shares = {name: 100 * len(hits[name]) / len(rows) for name in names}
    return {"rows": len(rows), "rows a second": speed, **shares, "any filter": 100 * dropped / len(rows)}, hits


def _print(columns: dict[str, dict[str, float]], shown: dict[tuple[str, str], list[str]]) -> None:
    print("| % of rows | " + " | ".join(columns) + " |")
    print("|---|" + "---:|" * len(columns))
    for name in next(iter(columns.values())):
        digits = 0 if name.startswith("rows") else 2
        print(f"| {name} | " + " | ".join(f"{column[name]:,.{digits}f}" for column in columns.values()) + " |")
    for (source, name), examples in shown.items():
        if examples:
            print(f"\n{source}, {name}", *(f"  {example[:300]}" for example in examples), sep="\n")


if __name__ == "__main__":
    main()
