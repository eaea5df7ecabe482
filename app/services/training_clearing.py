"""What a training that came to nothing leaves on the disk: what nobody can use is removed, and it is told.

A run that was cancelled, or failed for good, is not resumed. Where it has kept a checkpoint, that is a model, and all
stays. Where it has none, pieces of checkpoints and of an adapter are of no use: they go. Of a failed run the log, the
configuration and the curves stay, for they say why; of one that may be resumed, also what the next attempt begins with:
the pieces that micro-batches are cut into, and checkpoints that are whole but were not told. Of a cancelled one only
what Weights & Biases has not been sent yet stays.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from app.services.context import Services
from app.store.queries import find, listed
from app.store.tables import AdapterRow, CheckpointRow, EventRow, JobRow
from training.checkpoints import sealed_checkpoints
from training.pieces import PIECES_FILE

__all__ = ["clear_ended", "clear_run"]

#: What stays of a failed run; of its folder ``out`` the lower ones.
_TELLING = frozenset({"trainer.log", "config.json", "out"})
_TELLING_OUT = frozenset({"tensorboard", "wandb", "curves.png", "result.csv"})
#: What stays of a cancelled one.
_UNSENT = frozenset({"wandb"})
Ended = Literal["failed", "cancelled"]


def clear_run(services: Services, job_id: str, status: Ended, *, resumable: bool = False) -> int:
    """Remove what a run has left that nobody can use; returns the bytes, and tells them in the job's events.

    Args:
        services: The opened services.
        job_id: The training job, which has ended or is about to.
        status: How it ended.
        resumable: Whether a failed one may be resumed.
    """
    folder = services.settings.data_dir.resolve() / "runs" / job_id
    if not folder.is_dir() or folder.is_symlink() or _has_models(services, job_id):
        return 0
    useless = _useless(folder, status, resumable)
    size = sum(_bytes_of(path) for path in useless)
    for path in useless:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    for empty in (folder / "out", folder):
        if empty.is_dir() and not any(empty.iterdir()):
            empty.rmdir()
    if useless:
        names = ", ".join(sorted(str(path.relative_to(folder)) for path in useless))
        message = f"남길 체크포인트가 없어 쓸 수 없는 파일을 지웠습니다: {names} ({size:,}바이트)."
        data = {"removed": {"files": names, "bytes": size}}
        with services.store.write() as session:
            session.add(
                EventRow(
                    job_id=job_id,
                    created_at=services.now(),
                    level="info",
                    type="message",
                    message=message,
                    data=data,
                )
            )
    return size


def clear_ended(services: Services, kind: str) -> None:
    """The same for jobs that ended while nobody could clear: killed workers, versions before this one."""
    root = services.settings.data_dir.resolve() / "runs"
    there = {path.name for path in root.iterdir() if path.is_dir()} if root.is_dir() else set()
    with services.store.read() as session:
        states: tuple[Ended, ...] = ("failed", "cancelled")
        ended = [
            (row.id, status, bool((row.error or {}).get("retryable")))
            for status in states
            for row in listed(session, JobRow, JobRow.kind == kind, JobRow.status == status)
            if row.id in there
        ]
    for job_id, status, resumable in ended:
        clear_run(services, job_id, status, resumable=resumable)


def _has_models(services: Services, job_id: str) -> bool:
    with services.store.read() as session:
        return any(find(session, kind, kind.job_id == job_id) for kind in (AdapterRow, CheckpointRow))


def _useless(folder: Path, status: Ended, resumable: bool) -> list[Path]:
    if status == "cancelled":
        inner = folder / "out"
        kept = [path for path in inner.iterdir() if path.name in _UNSENT] if inner.is_dir() else []
        if not kept:
            return list(folder.iterdir())
        return [path for path in (*folder.iterdir(), *inner.iterdir()) if path != inner and path not in kept]
    found = [path for path in folder.iterdir() if path.name not in _TELLING]
    out, telling = folder / "out", _TELLING_OUT
    if resumable:
        telling = telling | {PIECES_FILE} | ({"checkpoints"} if sealed_checkpoints(out / "checkpoints") else set())
    return found + ([path for path in out.iterdir() if path.name not in telling] if out.is_dir() else [])


def _bytes_of(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    return sum(file.lstat().st_size for file in files if file.is_symlink() or file.is_file())
