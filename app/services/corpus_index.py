"""Where the index of a corpus lies, and how its next generation is built from the store.

The store is the truth, the folder ``<fingerprint>/<generation>/`` a cache of it: an index that cannot be read, or that
is of another embedder, is built again. The id in the index is ``ChunkRow.seq``. A corpus goes on being searched with
the index that its row names until the next one is whole on the disk. Jobs call ``build``, ``searching`` the rest.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.jobs.kinds import JobContext
from app.services.context import Services
from app.services.document_states import BATCH
from app.services.embedders import embedder_for, state_of
from app.store.jobs import hold
from app.store.queries import change, count, find, listed, values
from app.store.tables import ChunkRow, CorpusRow
from corpora.errors import MalmoiError
from corpora.korean.analyse import forget, prefetch
from corpora.records import Chunk
from retrieval.chunking import TokenLimit
from retrieval.embedders import Embedder, HashedEmbedder
from retrieval.embedders.base import TokenLimited, overlong
from retrieval.index import BrokenIndexError, CorpusIndex
from retrieval.retriever import shown

__all__ = ["Built", "build", "chunk_record", "corpus_embedder", "hashed_embedder", "index_folder", "token_limit"]

#: Chunks that are added between two looks at whether the job is to stop.
SLICE = 512
#: Chunks that the default embedder takes its word weights from, about; from 100 on more changed nothing on KorQuAD, and
#: at 1,000 they were two fifths of the time of ingesting 154 files.
FIT_TEXTS = 500
#: Tokens that are kept free for a chunk's headings.
HEADING_TOKENS = 64


class _StoppedError(MalmoiError):
    """The index job was asked to stop before its index was whole."""

    code = "stopped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """What became of an index."""

    chunks: int  #: In it now.
    added: int = 0  #: Embedded by this job.
    removed: int = 0  #: Taken out by this job.
    stopped: bool = False  #: Whether the job was asked to stop; the earlier index then stays.


def chunk_record(row: ChunkRow) -> Chunk:
    """A stored chunk as the record that the other rooms know."""
    return Chunk(
        id=row.id,
        document_id=row.document_id,
        index=row.index,
        text=row.text,
        start=row.start,
        end=row.end,
        headings=tuple(row.headings),
    )


def index_folder(services: Services, corpus_id: str, fingerprint: str, generation: int) -> Path:
    """Where that generation of a corpus's index lies."""
    name = fingerprint.replace("/", "_").replace(":", "_")
    return services.folder("indexes", corpus_id, name) / str(generation)


def corpus_embedder(services: Services, corpus: CorpusRow) -> Embedder | None:
    """The embedder that built the corpus's index, or None before the first build.

    Raises:
        InvalidInputError: its model is no longer there.
        MissingExtraError: it needs an extra that is not installed.
    """
    if corpus.embedder_fingerprint is None or corpus.embedder is None:
        return None
    fingerprint = corpus.embedder_fingerprint
    return embedder_for(services, corpus.embedder, corpus.embedder_state, (), fingerprint=fingerprint)


def hashed_embedder(corpus: CorpusRow) -> HashedEmbedder | None:
    """The weightless embedder of the corpus where that one built its index.

    Generators and curation compare texts thousands of times inside one event loop: they never ask a model for it.
    """
    if corpus.embedder != "hashed" or corpus.embedder_state is None:
        return None
    return HashedEmbedder.from_json(corpus.embedder_state)


def token_limit(services: Services, corpus_id: str) -> TokenLimit | None:
    """What a chunk of this corpus may have in tokens of its embedder; None where that reads a text of any length."""
    with services.store.read() as session:
        corpus = find(session, CorpusRow, CorpusRow.id == corpus_id)
    if corpus is None:
        return None
    spec = corpus.embedder or services.settings.embedder
    if spec == "hashed":
        return None  # made from the corpus's texts, which are not there yet
    embedder = embedder_for(services, spec, corpus.embedder_state if corpus.embedder is not None else None, ())
    if not isinstance(embedder, TokenLimited) or embedder.max_tokens is None:
        return None
    # The headings above it are embedded with each chunk.
    room = embedder.max_tokens - min(HEADING_TOKENS, embedder.max_tokens // 4)
    return TokenLimit(count=embedder.count_tokens, max_tokens=room)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Before:
    """What the store says before a build."""

    spec: str
    fingerprint: str | None
    generation: int
    embedder: Embedder
    numbers: Sequence[int]  #: Of all chunks, ascending.
    current: tuple[Path, ...]  #: The folder that is searched now, if any.


def _before(services: Services, corpus_id: str, wanted: str | None) -> _Before | None:
    with services.store.read() as session:
        corpus = find(session, CorpusRow, CorpusRow.id == corpus_id)
        if corpus is None:
            return None
        numbers = [number for (number,) in values(session, [ChunkRow.seq], ChunkRow.corpus_id == corpus_id)]
    if not numbers:
        return None
    spec = wanted or corpus.embedder or services.settings.embedder
    # Who names an embedder wants everything anew, word weights included.
    same = wanted is None and corpus.embedder_fingerprint is not None
    sample: list[str] = []
    if spec == "hashed" and not same:
        # Evenly drawn: all sections of all documents have a say.
        sample = list(_texts(services, numbers[:: max(1, len(numbers) // FIT_TEXTS)]).values())
    embedder = embedder_for(services, spec, corpus.embedder_state if same else None, sample)
    return _Before(
        spec=spec,
        fingerprint=corpus.embedder_fingerprint if same else None,
        generation=corpus.index_generation,
        embedder=embedder,
        numbers=numbers,
        current=_current(services, corpus),
    )


def _current(services: Services, corpus: CorpusRow) -> tuple[Path, ...]:
    if corpus.embedder_fingerprint is None:
        return ()
    return (index_folder(services, corpus.id, corpus.embedder_fingerprint, corpus.index_generation),)


def _emptied(services: Services, context: JobContext, corpus_id: str) -> Built:
    """A corpus without chunks has no index: the words of what was deleted must not stay on the disk."""
    with services.store.write(durable=True) as session:
        hold(session, context.job_id, context.attempt)
        if count(session, ChunkRow, ChunkRow.corpus_id == corpus_id):
            return Built(chunks=0)  # read meanwhile; its own job is queued
        nothing = {"embedder_fingerprint": None, "embedder_state": None}
        change(session, CorpusRow, CorpusRow.id == corpus_id, **nothing)
    _sweep(services.folder("indexes", corpus_id), keep=set())
    return Built(chunks=0)


def _texts(services: Services, numbers: Sequence[int]) -> dict[int, str]:
    """What is embedded of each of these chunks, by its number; one that is gone meanwhile is left out."""
    found: dict[int, str] = {}
    for start in range(0, len(numbers), BATCH):
        wanted = ChunkRow.seq.in_(numbers[start : start + BATCH])
        with services.store.read() as session:
            found |= {row.seq: shown(chunk_record(row)) for row in listed(session, ChunkRow, wanted)}
    return found


def build(services: Services, context: JobContext, corpus_id: str, wanted: str | None = None) -> Built:
    """Bring the index up to the store and make it the corpus's; one that has nothing to gain is left as it is.

    Args:
        services: The opened store and folders.
        context: The job, whose attempt fences what is written.
        corpus_id: The corpus.
        wanted: Another embedder, as EMBEDDER is written: every chunk is embedded anew. None keeps the corpus's own.
    """
    before = _before(services, corpus_id, wanted)
    if before is None:
        return _emptied(services, context, corpus_id)
    embedder, numbers = before.embedder, before.numbers
    old = (
        None if before.fingerprint is None else index_folder(services, corpus_id, before.fingerprint, before.generation)
    )
    index = _load(context, old, embedder)
    if index is None:
        index, old = CorpusIndex.empty(embedder), None
    known = index.ids()
    gone, missing = sorted(known.difference(numbers)), sorted(set(numbers) - known)
    if old is not None and not gone and not missing:
        return Built(chunks=len(numbers))
    index.remove(gone)
    try:
        _add(services, context, index, missing, embedder)
    except _StoppedError:
        return Built(chunks=len(numbers), stopped=True)
    new = index_folder(services, corpus_id, embedder.fingerprint, before.generation + 1)
    index.save(new)
    with services.store.write(durable=True) as session:
        hold(session, context.job_id, context.attempt)
        there = change(
            session,
            CorpusRow,
            CorpusRow.id == corpus_id,
            index_generation=before.generation + 1,
            embedder=before.spec,
            embedder_fingerprint=embedder.fingerprint,
            embedder_state=state_of(embedder),
        )
    if not there:  # the corpus was deleted meanwhile
        shutil.rmtree(services.folder("indexes", corpus_id), ignore_errors=True)
        return Built(chunks=0)
    _sweep(services.folder("indexes", corpus_id), keep={new, *before.current})
    return Built(chunks=len(index), added=len(missing), removed=len(gone))


def _add(
    services: Services, context: JobContext, index: CorpusIndex, numbers: Sequence[int], embedder: Embedder
) -> None:
    cut = 0
    for start in range(0, len(numbers), SLICE):
        if context.should_stop():
            raise _StoppedError("The index job was asked to stop.")
        texts = _texts(services, numbers[start : start + SLICE])
        if not texts:
            continue  # deleted meanwhile
        some, shown_texts = list(texts), list(texts.values())
        # Both halves read the same morphemes.
        prefetch(shown_texts)
        try:
            index.add(some, shown_texts, embedder)
        finally:
            forget()
        cut += len(overlong(embedder, shown_texts))
        context.progress({"chunks": len(numbers), "embedded": start + len(some)})
    if cut:
        message = f"청크 {cut}개는 임베딩 모델의 길이 제한을 넘어, 앞부분만 벡터가 됩니다."
        context.event("warn", message, data={"code": "chunks_too_long", "chunks": cut})


def _load(context: JobContext, folder: Path | None, embedder: Embedder) -> CorpusIndex | None:
    """The index in the folder, or None for a broken one: it is a cache and is built again."""
    if folder is None:
        return None
    try:
        return CorpusIndex.load(folder, embedder)
    except BrokenIndexError as exc:
        context.event("warn", f"색인을 읽을 수 없어 다시 만듭니다: {exc.message}", data={"code": exc.code})
        return None


def _sweep(folder: Path, keep: set[Path]) -> None:
    """Remove older generations; the one before the current stays for readers that have just looked up its name."""
    for path in folder.glob("*/*"):
        if path not in keep:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for path in folder.iterdir():
        if not any(path.iterdir()):
            path.rmdir()
