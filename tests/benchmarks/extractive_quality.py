"""What the generator without a model makes of a folder of manuals, and a seeded sample of it to judge by hand.

Run by hand::

    python -m tests.benchmarks.extractive_quality DATA_DIR/wms_docs_ko --part test-b --seed 1 --out sample.jsonl

A file belongs to a part by the first eight hexadecimal digits of its sha256, modulo 4: 0 and 1 are ``dev``, 2 is
``test-a``, 3 is ``test-b``; ``test`` is both of these. Rules are written on ``dev`` only. What is run is one corpus
and one job, with the curation that every job has. A line of the sample holds the question, the answer, the template,
what stands before and behind the answer in its document, and a hash that names the row without quoting it.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from corpora.ids import content_id
from corpora.readers import read_document
from corpora.records import Document, Sample
from generators.base import Workspace
from generators.curation.curator import Curator
from generators.curation.settings import CurationSettings
from generators.extractive_qa import ExtractiveQa
from generators.memory import MemoryLedger, MemoryReplyCache, MemorySink
from generators.pipeline import PipelineConfig, Ports, plan_slots, run_pipeline
from retrieval.chunking import chunk_document
from retrieval.embedders import HashedEmbedder
from retrieval.retriever import Retriever

PARTS = ("dev", "dev", "test-a", "test-b")
#: Characters of the document shown on either side of an answer.
AROUND = 400


def part_of(data: bytes) -> str:
    """The part that a file belongs to."""
    return PARTS[int(hashlib.sha256(data).hexdigest()[:8], 16) % len(PARTS)]


def load(folder: Path, part: str) -> list[Document]:
    """The documents of one part (or all of them) in the order of their names."""
    found = []
    for path in sorted(folder.rglob("*.md")):
        data = path.read_bytes()
        if part in ("all", part_of(data)) or (part == "test" and part_of(data).startswith("test")):
            read = read_document(data, path.name)
            doc_id = content_id("doc", path.name)
            found.append(Document(id=doc_id, title=read.title, text=read.text, media_type=read.media_type))
    return found


def generate(documents: Sequence[Document]) -> tuple[int, list[Sample]]:
    """The number of chunks, and every sample of one job over the documents, rejected ones too."""
    chunks = [chunk for document in documents for chunk in chunk_document(document)]
    embedder = HashedEmbedder.fit([chunk.text for chunk in chunks])
    workspace = Workspace(chunks=tuple(chunks), retriever=Retriever.build(chunks, embedder))
    generator = ExtractiveQa()
    sink = MemorySink()
    running = run_pipeline(
        PipelineConfig(job_id="quality"),
        plan_slots([(generator, 1)], (workspace, None), seed=7, heldout_fraction=0.0),
        {generator.name: generator},
        (workspace, None),
        curator=Curator(CurationSettings(), embedder),
        ports=Ports(cache=MemoryReplyCache(), sink=sink, ledger=MemoryLedger()),
        should_stop=lambda: False,
    )
    asyncio.run(running)
    return len(chunks), [sample for outcome in sink.committed() for sample in outcome.samples]


def drawn(samples: Sequence[Sample], count: int, seed: int) -> list[Sample]:
    """``count`` samples, the same for the same seed whatever their order."""

    def place(sample: Sample) -> bytes:
        candidate = sample.candidate
        return hashlib.sha256(f"{seed}\n{candidate.question}\n{candidate.answer}".encode()).digest()

    return sorted(samples, key=place)[:count]


def rows(samples: Sequence[Sample], documents: Sequence[Document]) -> Iterator[dict[str, Any]]:
    """What a judge reads of each sample."""
    by_id = {document.id: document for document in documents}
    for sample in samples:
        candidate = sample.candidate
        span = candidate.provenance.spans[0]
        document = by_id[span.document_id]
        whole = f"{candidate.question}\n{candidate.answer}"
        yield {
            "hash": hashlib.sha256(whole.encode()).hexdigest()[:12],
            "template": candidate.provenance.prompt,
            "title": document.title,
            "question": candidate.question,
            "answer": candidate.answer,
            "before": document.text[max(0, span.start - AROUND) : span.start],
            "behind": document.text[span.end : span.end + AROUND],
            "usable": None,
            "failure": None,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", choices=[*sorted(set(PARTS)), "test", "all"], default="all")
    parser.add_argument("--sample", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSONL to write the drawn rows to")
    wanted = parser.parse_args()
    documents = load(wanted.folder, wanted.part)
    chunks, samples = generate(documents)
    accepted = [sample for sample in samples if sample.accepted]
    print(f"{wanted.part}: {len(documents)} documents, {chunks} chunks, {len(samples)} candidates")
    print(f"{len(accepted)} accepted, {100 * len(accepted) / max(1, chunks):.1f} per 100 chunks\n")
    print("| template | accepted |\n|---|---|")
    for name, count in Counter(s.candidate.provenance.prompt for s in accepted).most_common():
        print(f"| {name} | {count} |")
    print("\n| rejected | |\n|---|---|")
    for name, count in Counter(s.verdict.reason for s in samples if not s.accepted).most_common():
        print(f"| {name} | {count} |")
    if wanted.out is not None:
        sample = drawn(accepted, wanted.sample, wanted.seed)
        lines = (json.dumps(row, ensure_ascii=False) for row in rows(sample, documents))
        wanted.out.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
