"""The index of a corpus as the API shows it, and the request to build it again, with another embedder if wanted.

Search goes on with the index that is there until the next one is whole; generation jobs compare texts with the
weightless embedder and notice nothing.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from app.services.context import Services
from app.services.corpora import require_corpus, submit_index
from app.services.embedders import check_spec
from app.settings import Settings
from app.store.queries import Session, count, latest
from app.store.tables import ChunkRow, CorpusRow, JobRow
from corpora.errors import InvalidInputError

__all__ = ["build_again", "get_index"]


def get_index(services: Services, corpus_id: str) -> dict[str, Any]:
    """What answers searches now, and the last job that worked on it."""
    with services.store.read() as session:
        return _body(session, require_corpus(session, corpus_id))


def build_again(services: Services, corpus_id: str, embedder: str | None) -> dict[str, Any]:
    """Queue a job that embeds every chunk of the corpus with ``embedder``; without one, with the one of the settings.

    Raises:
        NotFoundError: there is no such corpus.
        InvalidInputError: there is no such embedder, or its endpoint has no address.
    """
    spec = embedder or services.settings.embedder
    _refuse_strange(services.settings, spec)
    check_spec(services.settings, spec)
    with services.store.write(durable=True) as session:
        corpus = require_corpus(session, corpus_id)
        submit_index(services, session, corpus_id, embedder=spec)
        body = _body(session, corpus)
        services.answer(session, body)
    services.wake()
    return body


def _refuse_strange(settings: Settings, spec: str) -> None:
    """A client may name what the operator has put there: no folder of the machine, and nothing to be downloaded."""
    known = spec in ("hashed", settings.embedder) or spec.startswith("openai:")
    folder = None if settings.models_dir is None or "/" in spec or spec in (".", "..") else settings.models_dir / spec
    if not known and (folder is None or not folder.is_dir()):
        ours = ", ".join(f"'{name}'" for name in dict.fromkeys(("hashed", _named(settings.embedder))))
        raise InvalidInputError(
            f"There is no embedder '{spec}' here; name {ours}, 'openai:<model>' or a folder in MODELS_DIR.",
            param="embedder",
            code="model_not_found",
        )


def _body(session: Session, corpus: CorpusRow) -> dict[str, Any]:
    built = corpus.embedder_fingerprint is not None
    of_corpus = JobRow.params["corpus_id"].as_string() == corpus.id
    job = latest(session, JobRow, JobRow.kind == "index", of_corpus)
    return {
        "object": "corpus.index",
        "id": corpus.id,
        "created_at": int(corpus.created_at),
        "corpus_id": corpus.id,
        "status": "ready" if built else "empty",
        "embedder": _named(corpus.embedder) if built else None,
        "fingerprint": corpus.embedder_fingerprint,
        "generation": corpus.index_generation,
        "chunks": count(session, ChunkRow, ChunkRow.corpus_id == corpus.id),
        "job": _job_body(job) if job is not None else None,
    }


def _job_body(job: JobRow) -> dict[str, Any]:
    return {
        "id": job.id,
        "object": "index.job",
        "created_at": int(job.created_at),
        "status": job.status,
        "embedder": _named(job.params.get("embedder")),
        "progress": {name: value for name, value in job.progress.items() if name in ("chunks", "embedded")},
        "result": job.result,
        "error": job.error,
        "finished_at": int(job.finished_at) if job.finished_at else None,
    }


def _named(spec: str | None) -> str | None:
    """The embedder as it may be shown: a folder of the machine by its name alone."""
    return spec if spec is None or not PurePath(spec).is_absolute() else PurePath(spec).name
