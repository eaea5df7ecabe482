"""What a finished training leaves: a model's row, its checkpoints, and result files (CSV first, then the plot)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.jobs.kinds import JobContext
from app.services.checkpoints import settle_checkpoints
from app.services.context import Services
from app.services.files import add_file
from app.services.training_command import TrainJobParams
from app.services.training_events import TrainerEvents
from app.store.jobs import hold
from app.store.patience import patiently
from app.store.queries import remove
from app.store.tables import AdapterRow

__all__ = ["register"]

#: Purpose that OpenAI gives result files.
_PURPOSE = "fine-tune-results"
_LOSSES = ("train_loss_before", "train_loss_after", "valid_loss_before", "valid_loss_after")
#: What the trainer's result tells that the job's body shows or that is worth keeping with it.
_KEPT = (
    "hyperparameters",
    "adapter_dir",
    "steps",
    "best_step",
    "stopped_early",
    "encoding",
    "trained_tokens",
    "timing",
)


def register(services: Services, context: JobContext, params: TrainJobParams, events: TrainerEvents) -> dict[str, Any]:
    """Make the adapter a model, keep the result files, and say what came out."""
    result = events.result
    assert result is not None
    files = [("step_metrics.csv", result["result_csv"])]
    if result.get("plot"):
        # OpenAI's clients read the first result file as the CSV.
        files.append(("step_metrics.png", result["plot"]))
    blobs = [(name, _stored(services, Path(path))) for name, path in files]
    now = services.now()

    def registered() -> list[str]:
        with services.store.write(durable=True) as session:
            hold(session, context.job_id, context.attempt)
            ids = [add_file(session, name, _PURPOSE, blob, now).id for name, blob in blobs]
            settle_checkpoints(session, context.job_id, events.model, result["checkpoints"], now)
            # An attempt that died after this commit and before the job's end left the same row behind.
            remove(session, AdapterRow, AdapterRow.id == events.model)
            session.add(
                AdapterRow(
                    id=events.model,
                    job_id=context.job_id,
                    base_model=params.model,
                    recipe=params.recipe,
                    base_path=result.get("base_path", params.base_path),
                    path=result["adapter_dir"],
                    created_at=now,
                )
            )
            return ids

    ids = patiently(registered)
    context.event("info", f"새 모델이 준비되었습니다: {events.model}", data={"fine_tuned_model": events.model})
    return {
        "fine_tuned_model": events.model,
        "result_files": ids,
        "losses": {name: result.get(name) for name in _LOSSES},
        "preflight": result.get("preflight") or events.progress.get("preflight"),
        **{name: result.get(name) for name in _KEPT},
    }


def _stored(services: Services, path: Path) -> tuple[str, int]:
    with path.open("rb") as handle:
        return services.blobs.put(iter(lambda: handle.read(1 << 20), b""), None)
