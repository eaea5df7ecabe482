"""The services on both databases, and a way to run their jobs in this process."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from app.jobs.kinds import JobContext, JobOutcome
from app.services.context import Services, worker_config
from app.services.indexing import IndexParams, run_index
from app.services.kinds import KINDS
from app.settings import Settings
from app.store.blobs import BlobStore
from app.store.database import Store
from app.store.jobs import JobStore

RunNext = Callable[..., JobOutcome]


@pytest.fixture
def services(store: Store, tmp_path: Path) -> Services:
    settings = Settings(data_dir=tmp_path / "data")
    return Services(settings=settings, store=store, blobs=BlobStore(settings.data_dir / "blobs"), jobs=JobStore(store))


def context_of(services: Services, job_id: str, attempt: int) -> JobContext:
    jobs = services.jobs
    return JobContext(
        store=services.store,
        settings=worker_config(services.settings)["settings"],
        job_id=job_id,
        attempt=attempt,
        stop=lambda: None,
        log=lambda level, message, kind, data: jobs.event(job_id, attempt, level, message, kind, data),
        report=lambda progress: jobs.progress(job_id, attempt, progress),
        advance=lambda: jobs.advanced(job_id, attempt),
    )


class KilledError(BaseException):
    """The worker is gone: nothing that handles errors sees it."""


def die(services: Services) -> None:
    """An index job's attempt that ends in a kill, as the supervisor sees it."""
    row = services.jobs.claim("test", ["index"])
    assert row is not None
    context = context_of(services, row.id, row.attempt)
    with pytest.raises(KilledError):
        run_index(services, context, IndexParams.model_validate(row.params))
    services.jobs.release(row.id, row.attempt, crashed=True)


@pytest.fixture
def run_next(services: Services) -> RunNext:
    """Claims the next job of a kind and runs it to its end, as a worker would."""

    def run(kind: str) -> JobOutcome:
        row = services.jobs.claim("test", [kind])
        assert row is not None
        context = context_of(services, row.id, row.attempt)
        outcome = KINDS[kind].run(context, KINDS[kind].params.model_validate(row.params))
        services.jobs.finish(row.id, row.attempt, outcome.status, outcome.result, outcome.error)
        return outcome

    return run


@pytest.fixture
def corpus(services: Services, run_next: RunNext) -> Callable[..., tuple[str, list[str]]]:
    """A corpus of processed Markdown texts: its id and those of its documents, in the given order."""

    def make(*texts: str, corpus_id: str | None = None) -> tuple[str, list[str]]:
        from app.services import corpora, uploads

        made: Any = corpus_id or corpora.create_corpus(services, "냉장 창고")["id"]
        # A name of its own for each text: the same name would be a newer version.
        files = [(f"문서-{sha256(text.encode()).hexdigest()[:8]}.md", None, text.encode()) for text in texts]
        ids = uploads.upload_documents(services, made, files)
        run_next("index")
        return made, ids

    return make
