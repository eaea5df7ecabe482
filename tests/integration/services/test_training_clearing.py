"""Runs that came to nothing: pieces go, what tells why stays, models and what a resume needs are never touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.services.checkpoints import keep_checkpoint
from app.services.context import Services
from app.services.events import list_events
from app.services.training_clearing import clear_ended, clear_run
from app.store.queries import find
from app.store.tables import JobRow
from training.checkpoints import seal
from training.pieces import PIECES_FILE, note_pieces


def run_of(services: Services, status: str) -> tuple[str, Path]:
    """A training job that ended so, with what a trainer that was stopped in a checkpoint leaves."""
    row = services.jobs.submit("train", {"model": "아기"})
    claimed = services.jobs.claim("test", ["train"])
    assert claimed is not None
    assert claimed.id == row.id
    services.jobs.finish(row.id, claimed.attempt, status)
    folder = services.folder("runs", row.id).resolve()
    for name in ("out/checkpoints/tmp-checkpoint-3", "out/tensorboard", "out/wandb"):
        (folder / name).mkdir(parents=True)
        (folder / name / "파일").write_bytes(b"x" * 100)
    for name in ("config.json", "trainer.log", "out/curves.png"):
        (folder / name).write_bytes(b"y")
    return row.id, folder


def left(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_failed_run_keeps_what_says_why(services: Services) -> None:
    job, folder = run_of(services, "failed")
    assert clear_run(services, job, "failed") == 100
    assert left(folder) == {"config.json", "trainer.log", "out/curves.png", "out/tensorboard/파일", "out/wandb/파일"}
    told = list_events(services, job, "fine_tuning.job.event", None, 1, "desc")[0][0]
    assert "out/checkpoints (100바이트)" in told["message"]
    assert told["data"] == {"removed": {"files": "out/checkpoints", "bytes": 100}}
    # Nothing more to remove, and nothing more to say.
    assert clear_run(services, job, "failed") == 0
    assert len(list_events(services, job, "fine_tuning.job.event", None, 9, "desc")[0]) == 1


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("retryable", [True, False])
def test_what_a_resume_begins_with_stays(services: Services, retryable: bool, whole: bool) -> None:
    """The pieces, and checkpoints that are whole though the store never heard of them."""
    job, folder = run_of(services, "failed")
    with services.store.write() as session:
        row = find(session, JobRow, JobRow.id == job)
        assert row is not None
        row.error = {"code": "database_unavailable", "message": "멈춤", "retryable": retryable}
    note_pieces(folder / "out", 4)
    checkpoint = folder / "out" / "checkpoints" / "checkpoint-3"
    checkpoint.mkdir()
    (checkpoint / "adapter_model.safetensors").write_bytes(b"z")
    if whole:
        seal(checkpoint)
    clear_ended(services, "train")
    assert (folder / "out" / PIECES_FILE).exists() == retryable
    assert checkpoint.exists() == (retryable and whole)
    assert {"trainer.log", "out/curves.png"} <= left(folder)


@pytest.mark.parametrize("unsent", [True, False])
def test_a_cancelled_run_goes(services: Services, unsent: bool) -> None:
    job, folder = run_of(services, "cancelled")
    if not unsent:
        (folder / "out/wandb/파일").unlink()
        (folder / "out/wandb").rmdir()
    clear_run(services, job, "cancelled")
    assert (left(folder) if folder.exists() else set()) == ({"out/wandb/파일"} if unsent else set())
    assert folder.exists() == unsent


def test_checkpoints_and_paused_runs_stay(services: Services) -> None:
    kept, folder = run_of(services, "failed")
    with services.store.write() as session:
        keep_checkpoint(session, kept, "ft:아기:malmoi::1", {"step": 3, "path": str(folder / "out/checkpoints")}, 1.0)
    paused, waiting = run_of(services, "paused")
    failed, useless = run_of(services, "failed")
    strange = services.folder("runs", "ftjob-남의-것")
    before = left(folder), left(waiting)
    clear_ended(services, "train")
    assert (left(folder), left(waiting)) == before
    assert "out/checkpoints/tmp-checkpoint-3/파일" not in left(useless)
    assert strange.is_dir()
    with services.store.read() as session:
        assert find(session, JobRow, JobRow.id == paused) is not None
        assert find(session, JobRow, JobRow.id == failed) is not None
