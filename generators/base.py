"""What a generator is, and the values that a slot is run with.

A job plans numbered slots; a slot belongs to one generator and to one side (training or held-out documents). What a
generator makes of slot *n* is a function of the slot's seed, its source, the workspace and what slots up to *n - W*
decided. Knows nothing of how slots are scheduled or judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from corpora.bundled.loader import SeedTask
from corpora.records import Candidate, Chunk, Message, Provenance, Sample
from generators.ports import ModelRequest, Reply, Usage
from retrieval.retriever import Retriever

__all__ = ["Generator", "ModelClient", "PoolView", "SlotPlan", "SlotResult", "SourceItem", "UserLevel", "Workspace"]

#: How the user side is to speak: ``plain`` is 반말, ``polite`` is 존댓말, ``any`` leaves it open.
UserLevel = Literal["any", "plain", "polite"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotPlan:
    """One planned slot."""

    slot: int  #: Number, from 0.
    generator: str  #: Name of the generator that runs it.
    heldout: bool  #: Whether it runs on held-out documents.
    seed: int  #: Seed of everything random in it; a function of the job's seed and the number.
    source: str | None = None  #: Id of the chunk or source item it is about, for a generator that has such.
    user_level: UserLevel = "any"  #: How the user side is to speak in this slot.


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotResult:
    """What a generator made of a slot."""

    candidates: tuple[Candidate, ...] = ()  #: Proposals in order, unreadable replies included.
    usage: Usage = field(default_factory=Usage)  #: What the requests cost.
    failed: str | None = None  #: Why the slot could not run at all.


class ModelClient(Protocol):
    """A language model, with the job's cache and budget behind it."""

    async def complete(self, request: ModelRequest) -> tuple[Reply, Usage]:
        """One reply and what it cost.

        Raises:
            BudgetExhaustedError: the budget does not cover another send.
            EndpointError: one of the kinds in ``generators.llm.errors``.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceItem:
    """Something other than a chunk that a slot works on: a row of an uploaded file or a sample of a dataset."""

    id: str  #: Stable id: a sample's id, or the file's id and the row's number.
    messages: tuple[Message, ...] = ()  #: A conversation, or a task and its answer.
    text: str = ""  #: A passage or a dialogue as plain text, where it is one.
    group: str | None = None  #: Article, dialogue or sample that it belongs to; variants of a sample share it.
    origin: Provenance | None = None  #: Where a sample of a dataset came from.
    grounded: bool = False  #: Whether that sample rests on documents.


@dataclass(frozen=True, kw_only=True, slots=True)
class Workspace:
    """What a slot may see: one side of the corpus, the seeds, the model."""

    chunks: tuple[Chunk, ...] = ()  #: Chunks of this side's documents.
    retriever: Retriever | None = None  #: Search over exactly these chunks.
    seed_tasks: tuple[SeedTask, ...] = ()  #: Seed tasks.
    items: Mapping[str, tuple[SourceItem, ...]] = field(default_factory=dict)  #: Source items by generator name.
    #: Accepted samples that other jobs of the same dataset have made, by the chunk they are about.
    earlier: Mapping[str, tuple[Sample, ...]] = field(default_factory=dict)
    model: ModelClient | None = None  #: The language model, where one is configured.
    _by_id: dict[str, Chunk] = field(init=False, repr=False, compare=False)
    _by_place: dict[tuple[str, int], Chunk] = field(init=False, repr=False, compare=False)
    _items: dict[tuple[str, str], SourceItem] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index chunks and items by id."""
        object.__setattr__(self, "_by_id", {chunk.id: chunk for chunk in self.chunks})
        object.__setattr__(self, "_by_place", {(chunk.document_id, chunk.index): chunk for chunk in self.chunks})
        items = {(name, item.id): item for name, members in self.items.items() for item in members}
        object.__setattr__(self, "_items", items)

    @property
    def used(self) -> dict[str, int]:
        """How often a chunk was a source for earlier jobs of the dataset, by id."""
        return {chunk_id: len(samples) for chunk_id, samples in self.earlier.items()}

    def known(self, chunk_id: str, pool: PoolView) -> list[Candidate]:
        """What the dataset holds already on this chunk: of earlier jobs, then of this one, in order."""
        of_this = [s for s in pool.accepted() if s.candidate.provenance.chunk_ids[:1] == (chunk_id,)]
        return [sample.candidate for sample in (*self.earlier.get(chunk_id, ()), *of_this)]

    def chunk(self, chunk_id: str | None) -> Chunk | None:
        """The chunk of that id on this side, or None: its document was deleted since the plan was made."""
        return self._by_id.get(chunk_id) if chunk_id is not None else None

    def following(self, chunk: Chunk) -> Chunk | None:
        """The chunk behind ``chunk`` in its document, or None behind the last."""
        return self._by_place.get((chunk.document_id, chunk.index + 1))

    def item(self, generator: str, item_id: str | None) -> SourceItem | None:
        """A generator's source item of that id, or None: it was deleted since the plan was made."""
        return self._items.get((generator, item_id)) if item_id is not None else None

    def holds(self, generator: str, source: str) -> bool:
        """Whether the chunk or item that a slot is about is still there."""
        return source in self._by_id or (generator, source) in self._items


class PoolView(Protocol):
    """What earlier slots decided, as far as this slot may know it."""

    def accepted(self) -> Sequence[Sample]:
        """Accepted samples of slots up to *n - W*, in slot order."""
        ...


class Generator(Protocol):
    """One way of making candidates."""

    name: str
    needs_model: bool
    both_sides: bool  #: Whether slots run on the chunks of held-out documents too; on held-out rows they always do.

    def sources(self, workspace: Workspace) -> Sequence[str | None]:
        """What each slot that it can fill on ``workspace`` is about: a chunk's id, or None for no chunk."""
        ...

    async def run(self, plan: SlotPlan, workspace: Workspace, pool: PoolView) -> SlotResult:
        """Run one slot."""
        ...
