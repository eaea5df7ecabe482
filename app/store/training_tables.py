"""The tables of files, checkpoints and adapters; ``app.store.tables`` names them all."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.store.table_base import AUTO, CASCADE, Base, Seq

__all__ = ["AdapterRow", "CheckpointRow", "FileRow"]


class FileRow(Base):
    """An uploaded or produced file; its bytes lie in the blob store under ``sha256``."""

    __tablename__ = "files"
    seq: Mapped[int] = mapped_column(Seq, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    filename: Mapped[str]
    purpose: Mapped[str]
    bytes: Mapped[int]
    sha256: Mapped[str] = mapped_column(index=True)
    status: Mapped[str]
    status_details: Mapped[str | None]
    created_at: Mapped[float]
    #: From then on it answers 404 and is cleaned away; None is never.
    expires_at: Mapped[float | None] = mapped_column(index=True)


class CheckpointRow(Base):
    """A kept checkpoint of a training job: loads as an adapter, during the training and after it."""

    __tablename__ = "checkpoints"
    __table_args__ = (UniqueConstraint("job_id", "step"), AUTO)
    seq: Mapped[int] = mapped_column(Seq, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete=CASCADE))
    #: As clients name it in ``model``.
    name: Mapped[str] = mapped_column(unique=True)
    step: Mapped[int]
    #: Folder of the adapter at that step.
    path: Mapped[str]
    metrics: Mapped[dict[str, Any]]
    created_at: Mapped[float]


class AdapterRow(Base):
    """A finished fine-tuned model."""

    __tablename__ = "adapters"
    seq: Mapped[int] = mapped_column(Seq, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    job_id: Mapped[str] = mapped_column(index=True)
    base_model: Mapped[str]
    recipe: Mapped[str]
    #: Folder of the base model's weights on this machine.
    base_path: Mapped[str]
    #: Folder of the adapter.
    path: Mapped[str]
    created_at: Mapped[float]
