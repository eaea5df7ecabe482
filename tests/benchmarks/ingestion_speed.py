"""Ingestion of a folder of documents: characters per second, the share of each stage, growth with the number of files.

Run by hand::

    python -m tests.benchmarks.ingestion_speed DATA_DIR/wms_docs_ko --files 154 1000 10000

Files are uploaded into a corpus on SQLite and read by the index job, run in this process, with the default embedder.
Beyond the folder's own files each is written again with its sentences in a seeded order and a number in every
paragraph, so that no document is another's copy. Times are CPU seconds of this process; stages that call one another
are told without what they call.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import re
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

from app.jobs.kinds import JobContext
from app.services import corpora, corpus_index, indexing, ingest, uploads
from app.services.context import Services, worker_config
from app.settings import Settings
from app.store.blobs import BlobStore
from app.store.database import open_store
from app.store.jobs import JobStore
from corpora.korean.analyse import content_morphemes
from retrieval.embedders import HashedEmbedder
from retrieval.index import CorpusIndex

#: Stage -> where the function is looked up, and its name.
STAGES: dict[str, tuple[Any, str]] = {
    "read": (ingest, "parse_document"),
    "cut": (ingest, "chunk_document"),
    "language": (ingest, "detect_language"),
    "store": (ingest, "store_document"),
    "morphemes": (corpus_index, "prefetch"),
    "vectors and lists": (CorpusIndex, "add"),
    "word weights": (HashedEmbedder, "fit"),
    "save": (CorpusIndex, "save"),
    "versions": (indexing, "tell_similar"),
}
BATCH = 500


class Stages:
    """CPU seconds by stage; the time of a stage called inside another one counts for the inner one alone."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._open: list[float] = []

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            begun = time.process_time()
            self._open.append(0.0)
            try:
                return function(*args, **kwargs)
            finally:
                whole = time.process_time() - begun
                self.seconds[stage] += whole - self._open.pop()
                if self._open:
                    self._open[-1] += whole

        return run


def documents(folder: Path, count: int) -> Iterator[tuple[str, bytes]]:
    """``count`` files: the folder's own, then versions of them that repeat no line."""
    own = [(path.name, path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.md"))]
    dice = random.Random(7)
    for number in range(count):
        name, text = own[number % len(own)]
        if number >= len(own):
            parts = re.split(r"(?<=[.다])\s", text)
            dice.shuffle(parts)
            text = "\n\n".join(f"{part} {number}-{place}" for place, part in enumerate(parts))
        yield f"{number:05d}-{name}", text.encode()


def measure(folder: Path, count: int) -> tuple[int, float, float, Stages]:
    """Characters, CPU and wall seconds, and the stages of one ingestion."""
    stages = Stages()
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        settings = Settings(data_dir=Path(temporary))
        store = open_store(settings.database_url, settings.data_dir)
        stack.callback(store.engine.dispose)
        blobs = BlobStore(settings.data_dir / "blobs")
        services = Services(settings=settings, store=store, blobs=blobs, jobs=JobStore(store))
        corpus_id = corpora.create_corpus(services, "벤치마크")["id"]
        files = list(documents(folder, count))
        characters = sum(len(data.decode()) for _, data in files)
        for stage, (holder, name) in STAGES.items():
            stack.enter_context(mock.patch.object(holder, name, stages.timed(stage, getattr(holder, name))))
        cpu, wall = time.process_time(), time.perf_counter()
        for start in range(0, len(files), BATCH):
            some: Sequence[tuple[str, str | None, bytes]] = [(n, None, d) for n, d in files[start : start + BATCH]]
            uploads.upload_documents(services, corpus_id, some)
        upload = time.process_time() - cpu
        stages.seconds["take uploads"] = upload
        job = services.jobs.claim("benchmark", ["index"])
        assert job is not None
        indexing.run_index(services, _context(services, job.id, job.attempt), indexing.IndexParams(corpus_id=corpus_id))
        return characters, time.process_time() - cpu, time.perf_counter() - wall, stages


def _context(services: Services, job_id: str, attempt: int) -> JobContext:
    return JobContext(
        store=services.store,
        settings=worker_config(services.settings)["settings"],
        job_id=job_id,
        attempt=attempt,
        stop=lambda: None,
        log=lambda *_: None,
        report=lambda _: None,
        advance=lambda: None,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Ingestion speed.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, nargs="+", default=[154, 1000])
    options = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    content_morphemes("준비")  # what is loaded once is not counted
    names: list[str] = []
    for count in options.files:
        characters, cpu, wall, stages = measure(options.folder, count)
        if not names:
            names = [*STAGES, "take uploads"]
            head = ["files", "characters", "CPU s", "wall s", "characters a CPU s", "peak MB", *names, "rest"]
            print(f"| {' | '.join(head)} |")
            print("|---" * (7 + len(names)) + "|")
        shares = [stages.seconds[name] / cpu for name in names]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        cells = " | ".join(f"{share:.1%}" for share in [*shares, 1 - sum(shares)])
        print(
            f"| {count:,} | {characters:,} | {cpu:.1f} | {wall:.1f} | {characters / cpu:,.0f} | {peak:.0f} | {cells} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
