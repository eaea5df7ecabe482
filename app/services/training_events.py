"""The trainer's events turned into the job's: log lines, progress, preflight, and checkpoints that are models at once.

OpenAI's clients know two types of events, ``message`` and ``metrics``; everything else is a message whose ``data``
names it: ``{"preflight": {…}}``, ``{"checkpoint": {…}}``. What decides how the job ends (``result``, ``error``,
``paused``) is kept for whoever ran the trainer.
"""

from __future__ import annotations

from typing import Any

from app.jobs.kinds import JobContext
from app.services.checkpoints import forget_checkpoint, keep_checkpoint, model_name
from app.services.context import Services
from app.services.training_command import TrainJobParams
from app.store.jobs import hold
from app.store.patience import patiently
from app.store.queries import latest
from app.store.tables import CheckpointRow

__all__ = ["TrainerEvents"]

_LEVELS = frozenset({"info", "warn", "error"})


class TrainerEvents:
    """Takes the events of one attempt."""

    def __init__(self, services: Services, context: JobContext, params: TrainJobParams) -> None:
        self._services = services
        self._context = context
        self.model = model_name(params.model, params.suffix, context.job_id)
        self.result: dict[str, Any] | None = None  #: Once the trainer has finished.
        self.error: dict[str, Any] | None = None  #: Once it has told of a failure.
        self.paused = False  #: Whether it has paused itself, checkpoint and all.
        self.advanced = False  #: Whether it has got further than any attempt before.
        self.progress: dict[str, Any] = {"phase": "training"}
        with services.store.read() as session:
            kept = latest(session, CheckpointRow, CheckpointRow.job_id == context.job_id)
        self._furthest = kept.step if kept is not None else 0

    def take(self, event: dict[str, Any]) -> None:
        """One event."""
        kind, message, data = event["type"], str(event["message"]), event.get("data") or {}
        level = event.get("level", "info")
        level = level if level in _LEVELS else "info"
        if kind == "result":
            self.result = data
        elif kind == "error":
            # Of several processes the first one's is the cause, and the others' follow from it.
            self.error = self.error or data | {"message": message}
        elif kind == "checkpoint":
            self._keep(level, message, data)
        elif kind == "checkpoint_removed":
            self._forget(level, message, data)
        elif kind in ("message", "metrics"):
            self._context.event(level, message, type=kind, data=event.get("data"))
            self._follow(data, ("estimated_finish", "step", "total_steps"))
        else:
            self.paused = self.paused or kind == "paused"
            self._context.event(level, message, data={kind: data})
            if kind == "preflight":
                self._follow({"preflight": data}, ("preflight",))

    def _follow(self, data: dict[str, Any], names: tuple[str, ...]) -> None:
        """Show what the job's body tells while it runs."""
        seen = {name: data[name] for name in names if data.get(name) is not None}
        # A lone step is of a message about something else; an estimate or a preflight is always worth telling.
        if "estimated_finish" in seen or "preflight" in seen:
            self.progress |= seen
            self._context.progress(self.progress)

    def _keep(self, level: str, message: str, data: dict[str, Any]) -> None:
        context = self._context

        def kept() -> CheckpointRow:
            with self._services.store.write(durable=True) as session:
                hold(session, context.job_id, context.attempt)
                return keep_checkpoint(session, context.job_id, self.model, data, self._services.now())

        row = patiently(kept)
        shown = {"id": row.id, "step": row.step, "fine_tuned_model_checkpoint": row.name}
        context.event(level, message, data={"checkpoint": shown | {"metrics": row.metrics}})
        if row.step > self._furthest:
            self._furthest, self.advanced = row.step, True
            # A later attempt goes on from here. One that dies before it gets further than any before is counted.
            context.advanced()

    def _forget(self, level: str, message: str, data: dict[str, Any]) -> None:
        context = self._context

        def forgotten() -> None:
            with self._services.store.write() as session:
                hold(session, context.job_id, context.attempt)
                forget_checkpoint(session, context.job_id, int(data["step"]))

        patiently(forgotten)
        shown = {"step": data["step"], "fine_tuned_model_checkpoint": f"{self.model}:ckpt-step-{data['step']}"}
        context.event(level, message, data={"checkpoint_removed": shown})
