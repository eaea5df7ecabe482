"""``Services``: what every service function is handed, opened once a process by ``open_services``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.settings import Settings
from app.store.blobs import BlobStore
from app.store.database import Store, open_store
from app.store.jobs import JobStore
from app.store.queries import Session, change
from app.store.tables import IdempotencyRow

__all__ = ["IdempotencyClaim", "Services", "open_services", "worker_config"]


@dataclass(frozen=True, kw_only=True, slots=True)
class IdempotencyClaim:
    """An ``Idempotency-Key`` that this request was the first to use."""

    key: str  #: As the client sent it.
    scope: str  #: Method and path.


@dataclass(frozen=True, kw_only=True)
class Services:
    """The opened store and what stands on it."""

    settings: Settings  #: The settings of this process.
    store: Store  #: The database.
    blobs: BlobStore  #: Uploaded and produced bytes, by hash.
    jobs: JobStore  #: The queue.
    wake: Callable[[], None] = lambda: None  #: Tells the supervisor that there is work.
    claim: IdempotencyClaim | None = None  #: Of the request that is being answered, where it carries a key.

    def answer(self, session: Session, body: dict[str, Any]) -> None:
        """Keep the request's answer in the transaction that creates what it tells of: both are stored, or neither."""
        if self.claim is not None:
            change(
                session,
                IdempotencyRow,
                IdempotencyRow.key == self.claim.key,
                IdempotencyRow.scope == self.claim.scope,
                status=200,
                response=json.dumps(body, ensure_ascii=False),
            )

    def folder(self, *parts: str) -> Path:
        """A folder under the data directory, made when missing."""
        path = self.settings.data_dir.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
        return path

    @staticmethod
    def now() -> float:
        """Unix seconds."""
        return time.time()


def open_services(settings: Settings, wake: Callable[[], None] | None = None) -> Services:
    """Open (and migrate) the store that ``settings`` name.

    Raises:
        MalmoiError: the data directory cannot be written or lies on a network file system.
    """
    store = open_store(settings.database_url, settings.data_dir)
    return Services(
        settings=settings,
        store=store,
        blobs=BlobStore(settings.data_dir / "blobs"),
        jobs=JobStore(store),
        wake=wake or (lambda: None),
    )


def worker_config(settings: Settings) -> dict[str, Any]:
    """What a worker process needs to open the same services; holds secrets, so it travels by environment only."""
    values = settings.model_dump(mode="json", exclude={"api_keys", "model_api_key", "embedder_api_key"})
    values["data_dir"] = str(settings.data_dir.resolve())
    if settings.models_dir is not None:
        values["models_dir"] = str(settings.models_dir.resolve())
    if settings.model_api_key is not None:
        values["model_api_key"] = settings.model_api_key.get_secret_value()
    if settings.embedder_api_key is not None:
        values["embedder_api_key"] = settings.embedder_api_key.get_secret_value()
    return {"database_url": settings.database_url, "data_dir": values["data_dir"], "settings": values}
