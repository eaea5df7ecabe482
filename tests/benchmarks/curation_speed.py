"""``malmoi curate`` whole: rows per second with a profile by stage, and what more than one Kiwi worker gains.

Run by hand::

    python -m tests.benchmarks.curation_speed DATA_DIR --rows 100000

Rows: KorQuAD questions and answers, chat turns and commands of the data folder, then more of the same with other
numbers and nouns put in, so that most of them are kept. Kiwi, every filter, speech levels asked for, both kinds of
near-duplicates, report and files included.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from app.services.file_curation import CurationFiles, curate_files
from generators.curation.settings import import_settings

SEED = 7
NOUNS = (
    "냉장 창고",
    "상온 구역",
    "도크",
    "반품장",
    "검수대",
    "적치 구역",
    "출하장",
    "보세 창고",
    "야적장",
    "자동 창고",
)


def real(folder: Path) -> Iterator[tuple[str, str]]:
    with (folder / "chatbot_ko" / "ChatbotData.csv").open(encoding="utf-8") as handle:
        yield from ((row["Q"], row["A"]) for row in csv.DictReader(handle))
    for path in sorted((folder / "korquad").glob("*.json")):
        for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
            for paragraph in article["paragraphs"]:
                for asked in paragraph["qas"]:
                    yield asked["question"], paragraph["context"][:300]


def rows(folder: Path, count: int) -> Iterator[tuple[str, str]]:
    found = list(real(folder))
    rng = random.Random(SEED)
    yield from found[:count]
    for number in range(count - len(found)):
        question, answer = rng.choice(found)
        place = rng.choice(NOUNS)
        yield (
            f"{place} {number}번 구역에서 {question}",
            f"{place} {rng.randrange(1000)}번을 기준으로 말씀드립니다. {answer}",
        )


def write(folder: Path, path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8") as handle:
        for question, answer in rows(folder, count):
            messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            handle.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")


def kiwi_workers(folder: Path, count: int = 4000) -> None:
    from kiwipiepy import Kiwi

    texts = [text for pair in rows(folder, count) for text in pair]
    speeds = {}
    for workers in (1, len(os.sched_getaffinity(0))):
        kiwi = Kiwi(num_workers=workers)
        list(kiwi.tokenize(texts[:200]))
        start = time.perf_counter()
        list(kiwi.split_into_sents(texts, return_tokens=True))
        speeds[workers] = len(texts) / (time.perf_counter() - start)
    one, many = speeds.values()
    print(f"\nKiwi: {one:.0f} texts/s with 1 worker, {many:.0f} with {max(speeds)}: {many / one:.2f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    arguments = parser.parse_args()
    settings = import_settings(speech_level={"user": "any", "assistant": "polite"})
    with tempfile.TemporaryDirectory() as temporary:
        source, out = Path(temporary, "in.jsonl"), Path(temporary, "out.jsonl")
        write(arguments.folder, source, arguments.rows)
        files = CurationFiles(
            inputs=(source,), output=out, rejected=Path(temporary, "r.jsonl"), report=Path(temporary, "report.json")
        )
        start, cpu = time.perf_counter(), time.process_time()
        counts = curate_files(files, settings)
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{counts.rows:,} rows, {counts.accepted:,} accepted, in {wall:.0f} s ({counts.rows / wall:.0f} rows/s; "
        f"CPU {cpu:.0f} s), peak {peak:.2f} GiB\n"
    )
    print("| stage | s | share |\n|---|---|---|")
    spent = dict(counts.seconds)
    spent["reading, writing, report"] = wall - sum(spent.values())
    for stage, seconds in sorted(spent.items(), key=lambda entry: -entry[1]):
        print(f"| {stage} | {seconds:.1f} | {seconds / wall:.1%} |")
    kiwi_workers(arguments.folder)


if __name__ == "__main__":
    main()
