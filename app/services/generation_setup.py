"""Everything that a generation job works with, built from its parameters and from what is stored.

Used by the job itself and by the dry run, so that a dry run shows the very prompts that the job would send. Reads the
store and uploaded files; writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.services.context import Services
from app.services.corpus_index import chunk_record, hashed_embedder
from app.services.curation_request import curation_settings
from app.services.generation import GenerationParams
from app.services.generation_entries import build_generator, is_reference
from app.services.generation_sources import Sources, read_sources
from app.store.queries import find, listed
from app.store.samples import row_to_sample
from app.store.tables import ChunkRow, CorpusRow, SampleRow
from corpora.records import Chunk, Sample
from generators.base import Generator, ModelClient, SlotPlan, SourceItem, Workspace
from generators.curation.curator import Curator
from generators.curation.decontamination import Contamination
from generators.planning import plan_slots
from generators.registry import GENERATORS
from generators.self_instruct import reference_curation
from generators.speech import SpeechContract
from retrieval.embedders import HashedEmbedder
from retrieval.retriever import Retriever, shown

__all__ = ["Setup", "build_generators", "read_setup"]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What is read from the store once, at the start of an attempt."""

    params: GenerationParams  #: The job's parameters.
    train: tuple[Chunk, ...]  #: Chunks of the training documents.
    heldout: tuple[Chunk, ...]  #: Chunks of the held-out documents.
    embedder: HashedEmbedder | None  #: Of the corpus, where there is one.
    sources: Sources  #: Seed tasks, rows of files, samples of datasets.
    earlier: tuple[Sample, ...]  #: Accepted samples of the dataset that other jobs have made.

    def sides(self, model: ModelClient | None) -> tuple[Workspace, Workspace | None]:
        """Workspaces of the training and the held-out documents; each one's search sees its own side only."""
        held = self._workspace(self.heldout, self.sources.heldout, model)
        return self._workspace(self.train, self.sources.items, model), held if held.chunks or held.items else None

    def _workspace(
        self, chunks: tuple[Chunk, ...], items: Mapping[str, tuple[SourceItem, ...]], model: ModelClient | None
    ) -> Workspace:
        known = {chunk.id for chunk in chunks}
        earlier: dict[str, tuple[Sample, ...]] = {}
        for sample in self.earlier:
            for chunk_id in sample.candidate.provenance.chunk_ids[:1]:
                if chunk_id in known:
                    earlier[chunk_id] = (*earlier.get(chunk_id, ()), sample)
        retriever = Retriever.build(chunks, self.embedder) if chunks and self.embedder is not None else None
        return Workspace(
            chunks=chunks,
            retriever=retriever,
            seed_tasks=self.sources.seeds,
            items=items,
            earlier=earlier,
            model=model,
        )

    def plan(
        self, weights: Sequence[tuple[Generator, int]], sides: tuple[Workspace, Workspace | None]
    ) -> list[SlotPlan]:
        """The slots of a job that begins now."""
        params = self.params
        return plan_slots(
            weights,
            sides,
            seed=params.seed,
            heldout_fraction=params.heldout_fraction,
            contract=self.contract,
            pooled=frozenset(entry["type"] for entry in params.generators if _works_on_pool(entry)),
        )

    @property
    def contract(self) -> SpeechContract:
        """How both sides speak."""
        asked = self.params.curation.speech_level
        return SpeechContract(user=asked.user, plain_share=str(asked.plain_share), assistant=asked.assistant)

    def curator(self) -> Curator:
        """A curator that knows the seeds, what the dataset holds already, and what must not be given away."""
        texts = [seed.instruction for seed in self.sources.seeds]
        texts += [message.content for items in self.sources.items.values() for i in items for message in i.messages[:1]]
        embedder = self.embedder or (HashedEmbedder.fit(texts) if texts else None)
        if is_reference(self.params.generators):
            # As published: English rows, compared by rouge-score's own tokens, and by nothing else.
            curator = Curator(reference_curation(), None)
        else:
            curator = Curator(curation_settings(self.params.curation), embedder, _protected(self.heldout))
        for task in self.sources.seeds:
            curator.remember_seed(task)
        for sample in self.earlier:
            curator.remember(sample)
        return curator


def read_setup(services: Services, params: GenerationParams, job_id: str | None) -> Setup:
    """Read what the job needs.

    Args:
        services: The opened store.
        params: The job's parameters.
        job_id: The job, whose own samples are not part of what was there before; None for one that does not exist.
    """
    with services.store.read() as session:
        corpus = find(session, CorpusRow, CorpusRow.id == params.corpus_id)
        embedder = hashed_embedder(corpus) if corpus else None
        earlier = listed(
            session,
            SampleRow,
            SampleRow.dataset_id == params.dataset_id,
            SampleRow.status == "accepted",
            SampleRow.job_id != (job_id or ""),
        )

        def chunks(document_ids: Sequence[str]) -> tuple[Chunk, ...]:
            """Chunks in the order of the documents, which is that of their sha256, and of the text."""
            return tuple(
                chunk_record(row)
                for document_id in document_ids
                for row in listed(session, ChunkRow, ChunkRow.document_id == document_id, order_by=ChunkRow.index)
            )

        train, heldout = chunks(params.train_documents), chunks(params.heldout_documents)
        samples = tuple(row_to_sample(row) for row in earlier)
    if embedder is None and (train or heldout):
        embedder = HashedEmbedder.fit([shown(chunk) for chunk in train or heldout])
    return Setup(
        params=params,
        train=train,
        heldout=heldout,
        embedder=embedder,
        sources=read_sources(services, params.generators, params.heldout_fraction),
        earlier=samples,
    )


def build_generators(params: GenerationParams) -> list[tuple[Generator, int]]:
    """The job's generators with their weights."""
    return [(build_generator(entry), entry["weight"]) for entry in params.generators]


def _works_on_pool(entry: dict[str, Any]) -> bool:
    """Whether an entry's generator works on what the job itself makes."""
    spec = GENERATORS[entry["type"]]
    if not spec.uses_pool:
        return False
    return entry.get("start_from") == "pool" or (entry.get("source") is None and not spec.takes_seeds)


def _protected(heldout: Sequence[Chunk]) -> Contamination | None:
    """The held-out passages: a sample made of a training document must not give them away, as stock pages would."""
    if not heldout:
        return None
    found = Contamination()
    for chunk in heldout:
        found.protect_text(chunk.id, chunk.text)
    return found
